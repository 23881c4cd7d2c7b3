"""Metadata of records: columns (META of form 2, DELTA), what finds records in them (META_IDX), and Roaring sets. Written from `spec/` alone.

Owns what these payloads hold (META-2, META-3, MIX-1, MIX-2). Which segments are listed, and how they go together, `rvf_reader.py` knows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rvf_error import RvfError, ascends, check

if TYPE_CHECKING:
    from rvf_reader import Entry, Payload

Value = bool | int | float | str | list[str] | bytes
Numbers = np.ndarray[Any, Any]
DELTA = 0x23
BOOL, I64, F64, STRING, LIST, BYTES = range(1, 7)
WIDTHS = {BOOL: (0,), F64: (8,)} | dict.fromkeys((I64, STRING, LIST, BYTES), (1, 2, 4, 8))
HAS_ENTRIES, HAS_TEXTS = (STRING, LIST), (STRING, BYTES)
EVERY_RECORD, MOST_FIELDS, IS_SET = 0xFFFFFFFF, 4096, 1 << 31
NO_RUNS, WITH_RUNS, MANY_CONTAINERS, LONGEST_LIST = 12346, 12347, 4, 4096


class Field(NamedTuple):
    name: int; name_length: int; kind: int; width: int
    present: int; entries: int; base: int
    presence: int; values: int; starts: int; bytes: int; items: int; item_count: int
    text_starts: int; text_bytes: int; texts: int; reserved: int


class LookupField(NamedTuple):
    number: int; places: int; postings: int; reserved: int


FACTS, FIELD, LOOKUP_FIELD = struct.Struct("<IIQ"), struct.Struct("<IHBBIIq10I"), struct.Struct("<4I")
assert (FACTS.size, FIELD.size, LOOKUP_FIELD.size) == (16, 64, 16)


def utf8(stored: bytes, clause: str, at: int) -> str:
    try:
        return stored.decode()
    except UnicodeDecodeError as error:
        raise RvfError(clause, at, f"a text is not UTF-8: {error}") from None


def part(data: bytes, place: int, length: int, clause: str, at: int) -> bytes:
    """Bytes of DATA from a place on."""
    check(place * 8 + length <= len(data), clause, at, "a part lies outside DATA")
    return data[place * 8 : place * 8 + length]


def bits(stored: bytes, count: int) -> tuple[Numbers, bool]:
    """A row of bits, and whether those behind it are zero."""
    every = np.unpackbits(np.frombuffer(stored, "u1"), bitorder="little")
    return every[:count], not every[count:].any()


# ---------------------------------------------------------------- columns


class Column:
    """A field of the records of a segment. Parsed (META-2) without a look at what its parts hold; `verify` looks at all (META-3)."""

    def __init__(self, facts: Field, name: str, count: int, data: bytes, at: int) -> None:
        self.facts, self.name, self.kind, self.at = facts, name, facts.kind, at
        check(facts.width in WIDTHS.get(facts.kind, ()) and not facts.reserved, "META-2", at, f"kind, width or reserved field of {name!r}")
        row, self.spare_bits_are_zero, self.texts_follow = -(-count // 8), True, True
        self.present: Numbers = np.ones(count, "u1")
        if facts.presence != EVERY_RECORD:
            self.present, self.spare_bits_are_zero = bits(part(data, facts.presence, row, "META-2", at), count)
        if facts.kind == BOOL:
            self.numbers, unused_are_zero = bits(part(data, facts.values, row, "META-2", at), count)
            self.spare_bits_are_zero &= unused_are_zero
        else:
            dtype, number = {F64: ("<f8", count), LIST: ("<u4", count + 1)}.get(facts.kind, (f"<u{facts.width}", count))
            self.numbers = np.frombuffer(part(data, facts.values, number * np.dtype(dtype).itemsize, "META-2", at), dtype)
        items = part(data, facts.items, facts.item_count * facts.width, "META-2", at) if facts.kind == LIST else b""
        self.items: list[int] = np.frombuffer(items, f"<u{facts.width or 1}").tolist()
        self.entries = self._pieces(data, facts.entries, facts.starts, facts.bytes, "<u4") if facts.kind in HAS_ENTRIES else []
        self.texts = self._pieces(data, facts.texts, facts.text_starts, facts.text_bytes, "<u8") if facts.kind in HAS_TEXTS else []

    def _pieces(self, data: bytes, number: int, starts: int, place: int, dtype: str) -> list[bytes]:
        """Entries or long texts: none, or one after the other from a place on."""
        if not number:
            return []
        width = np.dtype(dtype).itemsize
        begins = np.frombuffer(part(data, starts, (number + 1) * width, "META-2", self.at), dtype).tolist()
        stored = part(data, place, begins[-1], "META-2", self.at)
        self.texts_follow &= all(a <= b for a, b in pairwise(begins))
        return [stored[a:b] for a, b in pairwise(begins)]

    def verify(self) -> Iterator[RvfError]:
        """META-3."""
        f, absent = self.facts, self.present == 0
        if not f.present or f.present != self.present.sum() or not self.spare_bits_are_zero:
            yield RvfError("META-3", self.at, f"presence of {self.name!r}")
        if f.kind not in HAS_ENTRIES and f.entries or f.kind not in HAS_TEXTS and f.texts or not (self.texts_follow and ascends(self.entries)):
            yield RvfError("META-3", self.at, f"entries or long texts of {self.name!r}")
        if f.kind == LIST:
            lengths = np.diff(self.numbers.astype("i8"))
            if self.numbers[0] or self.numbers[-1] != f.item_count or (lengths < 0).any() or lengths[absent].any():
                yield RvfError("META-3", self.at, f"lists of {self.name!r}")
        elif (self.numbers[absent].view("<u8") if f.kind == F64 else self.numbers[absent]).any():
            yield RvfError("META-3", self.at, f"a record without {self.name!r} has a number")
        if f.kind == I64 and f.base + int(self.numbers.max()) >= 1 << 63 or f.kind == F64 and not np.isfinite(self.numbers).all():
            yield RvfError("META-3", self.at, f"a number of {self.name!r}")
        codes = {LIST: self.items, STRING: self.numbers.tolist(), BYTES: self.numbers.tolist()}.get(f.kind, [])
        if max(codes, default=-1) >= len(self.entries) + len(self.texts):
            yield RvfError("META-3", self.at, f"a code of {self.name!r}")
        try:
            for text in self.entries + self.texts if f.kind != BYTES else []:
                utf8(text, "META-3", self.at)
        except RvfError as error:
            yield error

    def coded(self, code: int) -> bytes:
        """What a code stands for."""
        check(code < len(self.entries) + len(self.texts), "META-3", self.at, f"a code of {self.name!r}")
        return self.entries[code] if code < len(self.entries) else self.texts[code - len(self.entries)]

    def value(self, record: int) -> Value | None:
        if not self.present[record]:
            return None
        number = self.numbers[record].item()
        if self.kind == BOOL:
            return bool(number)
        if self.kind in (I64, F64):
            return self.facts.base + number if self.kind == I64 else number
        if self.kind == LIST:
            end = self.numbers[record + 1].item()
            check(number <= end <= len(self.items), "META-3", self.at, f"lists of {self.name!r}")
            return [utf8(self.coded(code), "META-3", self.at) for code in self.items[number:end]]
        return self.coded(number) if self.kind == BYTES else utf8(self.coded(number), "META-3", self.at)

    def numbers_of_records(self) -> list[tuple[int | float, int]]:
        """i64, f64: the number of each record that has one."""
        base = self.facts.base if self.kind == I64 else 0
        return [(base + self.numbers[p].item(), p) for p in np.flatnonzero(self.present).tolist()]

    def records_of_entries(self) -> list[list[int]]:
        """String, list: the records that have each entry. A code that stands for no entry finds nothing."""
        found: list[list[int]] = [[] for _ in self.entries]
        for p in np.flatnonzero(self.present).tolist():
            codes = {self.numbers[p].item()} if self.kind == STRING else set(self.items[self.numbers[p] : self.numbers[p + 1]])
            for code in codes:
                if code < len(found):
                    found[code].append(p)
        return found


class Columns:
    """The fields of the rows of a META (form 2) or a DELTA."""

    def __init__(self, payload: Payload, entry: Entry) -> None:
        self.entry, at = entry, entry.offset
        check(payload.form == (1 if entry.kind == DELTA else 2), "PAY-1", at, "facts about the file have rows")
        self.count, fields, reserved = FACTS.unpack(payload.get(1, FACTS.size))
        fits = self.count and self.count == entry.rows and fields <= MOST_FIELDS
        check(fits and not reserved, "META-2", at, "number of records or of fields, or a reserved field")
        facts = [Field._make(f) for f in FIELD.iter_unpack(payload.get(3, fields * FIELD.size))]
        names, data = payload.get(4), payload.get(5)
        self.rows: Sequence[int] = range(entry.base_row, entry.base_row + self.count)
        if entry.kind == DELTA:
            self.rows = payload.array(2, "<u8", self.count).tolist()
            check(self.rows[0] == entry.base_row, "META-2", at, "the first row is not that of the manifest")
        self.columns = [Column(f, name_of(f, names, at), self.count, data, at) for f in facts]
        check(ascends([column.name for column in self.columns]), "META-2", at, "names do not ascend")  # code points ascend as UTF-8 does

    @property
    def span(self) -> tuple[int, int]: return self.entry.base_row, self.entry.rows

    @cached_property
    def records(self) -> dict[int, int]:
        """The record of each row."""
        return {row: p for p, row in enumerate(self.rows)}

    def fields_of(self, row: int) -> dict[str, Value]:
        values = {column.name: column.value(self.records[row]) for column in self.columns}
        return {name: value for name, value in values.items() if value is not None}

    def verify(self) -> Iterator[RvfError]:
        """META-3."""
        if not ascends(self.rows):
            yield RvfError("META-3", self.entry.offset, "rows do not ascend")
        for column in self.columns:
            yield from column.verify()


def name_of(field: Field, names: bytes, at: int) -> str:
    end = field.name + field.name_length
    check(1 <= field.name_length <= 1024 and end <= len(names), "META-2", at, "length or place of a name")
    name = utf8(names[field.name : end], "META-2", at)
    check("\0" not in name, "META-2", at, "a name holds U+0000")
    return name


def fields_with_fractions(segments: Sequence[Columns]) -> set[str]:
    """Fields that are f64 somewhere, so everywhere (META-5)."""
    return {column.name for columns in segments for column in columns.columns if column.kind == F64}


def verify_kinds(segments: Sequence[Columns]) -> Iterator[RvfError]:
    """META-5, over all META and DELTA segments of a commit."""
    first: dict[str, int] = {}
    fractions = fields_with_fractions(segments)
    for columns in segments:
        for column in columns.columns:
            kind, at = first.setdefault(column.name, column.kind), columns.entry.offset
            if kind != column.kind and {kind, column.kind} != {I64, F64}:
                yield RvfError("META-5", at, f"another kind of {column.name!r} than elsewhere")
            elif column.kind == I64 and column.name in fractions and any(float(n) != n for n, _ in column.numbers_of_records()):
                yield RvfError("META-5", at, f"a whole number of {column.name!r} is no binary64")


# ---------------------------------------------------------------- Roaring sets


def to_roaring(numbers: Sequence[int]) -> bytes:
    """The portable form of ascending numbers, each container as short as can be."""
    containers = [(key, *container([n & 0xFFFF for n in low])) for key, low in groupby(numbers, lambda n: n >> 16)]
    count, runs = len(containers), [is_runs for _, _, is_runs, _ in containers]
    head = struct.pack("<II", NO_RUNS, count)
    if any(runs):
        head = struct.pack("<I", WITH_RUNS | count - 1 << 16) + np.packbits(runs, bitorder="little").tobytes()
    head += b"".join(struct.pack("<HH", key, size - 1) for key, size, _, _ in containers)
    bodies = [body for _, _, _, body in containers]
    if not any(runs) or count >= MANY_CONTAINERS:
        begins = len(head) + 4 * count + np.cumsum([0, *map(len, bodies)])[:count]
        head += begins.astype("<u4").tobytes()
    return head + b"".join(bodies)


def container(low: list[int]) -> tuple[int, bool, bytes]:
    """Size of a container, whether it is one of runs, and its bytes."""
    found = np.array(low, "i8")
    begins = found[np.diff(found, prepend=-2) != 1]
    ends = found[np.diff(found, append=1 << 17) != 1]
    runs = struct.pack("<H", len(begins)) + np.stack([begins, ends - begins], axis=1).astype("<u2").tobytes()
    plain = found.astype("<u2").tobytes()
    if len(low) > LONGEST_LIST:
        plain = np.packbits(np.isin(np.arange(1 << 16), found), bitorder="little").tobytes()
    return len(low), len(runs) < len(plain), runs if len(runs) < len(plain) else plain


def from_roaring(stored: bytes) -> tuple[list[int], int]:
    """The numbers of a portable set and the bytes that it takes. What is no such set raises ValueError or struct.error."""
    cookie, done = struct.unpack_from("<I", stored)[0], 4
    if cookie == NO_RUNS:
        count, runs, done = struct.unpack_from("<I", stored, 4)[0], b"", 8
    elif cookie & 0xFFFF == WITH_RUNS:
        count = (cookie >> 16) + 1
        runs, done = stored[4 : 4 + -(-count // 8)], 4 + -(-count // 8)
    else:
        raise ValueError("not the beginning of a Roaring set")
    heads = np.frombuffer(stored, "<u2", 2 * count, done).reshape(count, 2).tolist()
    done += 4 * count
    places: list[int] = []
    if not runs or count >= MANY_CONTAINERS:
        places, done = np.frombuffer(stored, "<u4", count, done).tolist(), done + 4 * count
    numbers: list[int] = []
    for i, (key, last) in enumerate(heads):
        if places and places[i] != done:
            raise ValueError("a container does not stand where its place says")
        if runs and runs[i // 8] >> i % 8 & 1:
            pairs = np.frombuffer(stored, "<u2", 2 * struct.unpack_from("<H", stored, done)[0], done + 2).reshape(-1, 2).tolist()
            if any(begin <= before + more + 1 for (before, more), (begin, _) in pairwise(pairs)):
                raise ValueError("runs overlap or touch")
            low, done = [n for begin, more in pairs for n in range(begin, begin + more + 1)], done + 2 + 4 * len(pairs)
        elif last < LONGEST_LIST:
            low, done = np.frombuffer(stored, "<u2", last + 1, done).tolist(), done + 2 * (last + 1)
        else:
            low, done = np.flatnonzero(bits(stored[done : done + 8192], 1 << 16)[0]).tolist(), done + 8192
        if len(low) != last + 1 or not ascends([*low, 1 << 16]):
            raise ValueError("a container of another size, or out of order")
        if numbers and key <= numbers[-1] >> 16:
            raise ValueError("keys do not ascend")
        numbers += [key << 16 | n for n in low]
    return numbers, done


# ---------------------------------------------------------------- META_IDX


def posting(records: list[int]) -> tuple[bool, bytes]:
    """Whether a posting is a Roaring set, and its bytes, a multiple of 4."""
    listed, packed = np.array(records, "<u4").tobytes(), to_roaring(records)
    return (True, packed + bytes(-len(packed) % 4)) if len(packed) < len(listed) else (False, listed)


def lookup_of(columns: Columns) -> tuple[bytes, bytes]:
    """FIELDS and DATA of the META_IDX of a META (MIX-2)."""
    fields, data = b"", bytearray()

    def place(stored: bytes) -> int:
        data.extend(bytes(-len(data) % 8))
        data.extend(stored)
        return (len(data) - len(stored)) // 8

    for column in columns.columns:
        count = places = postings = 0
        if column.kind in (I64, F64):
            order = [p for _, p in sorted(column.numbers_of_records())]
            count, places = len(order), place(np.array(order, "<u4").tobytes())
        elif column.kind in HAS_ENTRIES:
            found = [posting(records) for records in column.records_of_entries()]
            begins = np.cumsum([0, *(len(stored) // 4 for _, stored in found)]).tolist()
            numbers = [begin | IS_SET * is_set for begin, (is_set, _) in zip(begins, found)] + begins[-1:]
            count, places = len(found), place(np.array(numbers, "<u4").tobytes())
            postings = place(b"".join(stored for _, stored in found))
        fields += LOOKUP_FIELD.pack(count, places, postings, 0)
    return fields, bytes(data)


class Lookup:
    """A META_IDX. It is of use together with its META only."""

    def __init__(self, payload: Payload, entry: Entry) -> None:
        self.entry, at = entry, entry.offset
        self.count, fields, reserved = FACTS.unpack(payload.get(1, FACTS.size))
        self.stored, self.data = payload.get(2, fields * LOOKUP_FIELD.size), payload.get(3)
        self.fields = [LookupField._make(f) for f in LOOKUP_FIELD.iter_unpack(self.stored)]
        check(not reserved and not any(f.reserved for f in self.fields), "MIX-1", at, "a reserved field")

    @property
    def span(self) -> tuple[int, int]: return self.entry.base_row, self.entry.rows

    def places(self, field: LookupField, kind: int) -> list[int]:
        number = field.number + 1 if kind in HAS_ENTRIES else field.number if kind in (I64, F64) else 0
        return [] if not number else np.frombuffer(part(self.data, field.places, 4 * number, "MIX-1", self.entry.offset), "<u4").tolist()

    def in_order(self, columns: Columns, name: str) -> list[int]:
        """Records with a number, by that number."""
        return next(self.places(f, c.kind) for f, c in zip(self.fields, columns.columns) if c.name == name and c.kind in (I64, F64))

    def find(self, columns: Columns, name: str, text: str) -> list[int]:
        """Records that have a text of at most 255 bytes, or any item of a list."""
        field, column = next((f, c) for f, c in zip(self.fields, columns.columns) if c.name == name and c.kind in HAS_ENTRIES)
        if text.encode() not in column.entries:
            return []
        begin, end = self.places(field, column.kind)[column.entries.index(text.encode()) :][:2]
        stored, at = self.data[8 * field.postings :][4 * (begin % IS_SET) : 4 * (end % IS_SET)], self.entry.offset
        try:
            records, length = from_roaring(stored) if begin >= IS_SET else (np.frombuffer(stored, "<u4").tolist(), len(stored))
        except (ValueError, struct.error) as error:
            raise RvfError("MIX-2", at, f"a posting of {name!r}: {error}") from None
        check(length <= len(stored) < length + 4 and not any(stored[length:]), "MIX-2", at, f"length of a posting of {name!r}")
        return records

    def verify(self, columns: Columns) -> None:
        """MIX-1 and MIX-2, against the META that it belongs to."""
        at = self.entry.offset
        check((self.count, len(self.fields)) == (columns.count, len(columns.columns)), "MIX-1", at, "records or fields are not those of the META")
        for field, column in zip(self.fields, columns.columns, strict=True):
            numbers = self.places(field, column.kind)
            if column.kind in HAS_ENTRIES:
                part(self.data, field.postings, 4 * (numbers[-1] % IS_SET), "MIX-1", at)
        check((self.stored, self.data) == lookup_of(columns), "MIX-2", at, "not what the META gives")
