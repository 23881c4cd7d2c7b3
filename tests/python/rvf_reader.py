"""Reads RVF files, version 1. Written from `spec/` alone, as a check that the specification suffices.

    file = RvfFile.open("notes.rvf")
    file.newest.ids(), file.newest.search([0.9, 0.1, 0.0], k=1), file.at_epoch(2).count
    file.newest.search_by_walk([0.9, 0.1, 0.0], k=1, ef=64)
    findings = verify("notes.rvf", deep=True)
    branch = RvfFile.open("child.rvf", folders=["elsewhere"])  # its parents are looked for beside it and in these folders

Every deviation from the specification is an `RvfError` that names the clause. Clear rather than fast: a file is read whole.
"""

from __future__ import annotations

import hashlib
import heapq
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
from blake3 import blake3

from rvf_audit import BOTH_SIGNATURES, CRYPTO, POLICY, TREE_BIT, Note, check_tree, parse_notes, verify_notes
from rvf_learned import FEEDBACK, FIRST_FEEDBACK, GRAPH, OVERLAY, POLICY_KERNEL, TENSORS, Event, Tensor, parse_feedback, parse_tensors
from rvf_branch import BRANCH_BIT, COW_MAP, MEMBERSHIP, REFCOUNT, ParentError, ParentRef, RowSet, find_parent, merged, parent_fields, parent_of, parse_refcount
from rvf_error import RvfError, ascends, caught, check
from rvf_metadata import DELTA, Columns, Lookup, Value, fields_with_fractions, verify_kinds

Id = int | str
Vector = np.ndarray[Any, Any]
PAGE = 4096
SEGMENT_MAGIC, ROOT_MAGIC, IDENTITY_MAGIC = 0x52564653, b"\x30\x4d\x56\x52", b"RVF single-file\0"
VEC, INDEX, JOURNAL, MANIFEST, QUANT, META, WITNESS, META_IDX, FILE, FILLER, TREE = 0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x0A, 0x0D, 0x40, 0x41, 0x43
KNOWN_FORMS = dict.fromkeys((VEC, INDEX, JOURNAL, QUANT, WITNESS, META_IDX, DELTA, FILE, FILLER, TREE, CRYPTO, COW_MAP, REFCOUNT, FEEDBACK, *TENSORS), (1,)) | dict.fromkeys((MANIFEST, META, MEMBERSHIP), (1, 2))
NO_LINK, STORED_ROWS, SQ8, SQ4, FEW_CELLS = 0xFFFFFFFF, 0, 1, 2, 8
STATELESS = {MANIFEST, WITNESS, CRYPTO, FILLER}
DTYPES = {0: "f32", 1: "f16", 3: "i8", 4: "u8", 6: "binary"}
STORED = {"f32": "<f4", "f16": "<f2", "i8": "i1", "u8": "u1", "binary": "u1"}
METRICS = {0: "l2", 1: "dot", 2: "cosine", 3: "hamming"}
ID_TYPES = {0: "u64", 1: "string"}
OPERATIONS = dict(enumerate("create import delete compact index branch unpin freeze sign merge learn heal tier update convert flatten feedback plan".split(), 1))
PINS, FIRST_FACT = 16, 16


def less(a: Any, b: Any) -> bool:
    """VEC-3: numbers as numbers; the order of code points is that of UTF-8 bytes."""
    return bool(a < b)


# ---------------------------------------------------------------- layouts


class Header(NamedTuple):
    magic: int; version: int; kind: int; flags: int
    segment_id: int; payload_length: int; timestamp_ns: int
    checksum_algorithm: int; compression: int; reserved_a: int; reserved_b: int
    content_hash: bytes; uncompressed_length: int; alignment_pad: int


class Root(NamedTuple):
    magic: bytes; version: int; flags: int
    manifest_offset: int; manifest_length: int; live_count: int
    dimension: int; dtype: int; profile: int; epoch_low: int
    created_ns: int; modified_ns: int; hot_pointers: bytes
    signature_algorithm: int; signature_length: int; reserved_a: bytes
    own_offset: int; previous_root: int; epoch_high: int
    metric: int; id_type: int; reserved_b: int
    features_compatible: int; features_read_only: int; features_incompatible: int
    manifest_hash: bytes; state_hash: bytes
    next_row: int; next_id: int; next_segment_id: int; witness_size: int
    witness_head: bytes; witness_tree: bytes
    parent_epoch: int; since_full: int; reserved_c: int; witness_edge: bytes; reserved_d: bytes
    file_id: bytes; parent_id: bytes; parent_hash: bytes; lineage_depth: int; reserved_e: bytes
    checksum: int

    @property
    def epoch(self) -> int:
        return self.epoch_high << 32 | self.epoch_low

    @property
    def schema(self) -> tuple[int, int, int, int]:
        return self.dimension, self.dtype, self.metric, self.id_type


class Entry(NamedTuple):
    segment_id: int; offset: int; length: int
    kind: int; cipher: int; key_slot: int; space: int
    base_row: int; rows: int; reserved_a: int; epoch: int; reserved_b: int
    hash: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True)
class LogEntry:
    index: int; epoch: int; time_ns: int; operation: str | int
    added: int; deleted: int; count: int; actor: str
    previous: bytes; state_hash: bytes; parameters: bytes; hash: bytes


HEADER = struct.Struct("<IBBHQQQBBHI16sII")
ROOT = struct.Struct("<4sHHQQQHBBIQQ96sHH100sQQIBBHQQQ32s32sQQQQ32s32sQII2048s1312s16s16s32sI184sI")
IDENTITY = struct.Struct("<16sII16s20sI")
PRELUDE, SECTION = struct.Struct("<HHIQ"), struct.Struct("<IIQQQ")
ENTRY = struct.Struct("<QQQBBHIQIIQQ32s")
VEC_FACTS, TREE_FACTS, META_ITEM = struct.Struct("<IBBHII16s"), struct.Struct("<QQIIQ"), struct.Struct("<HHI")
INDEX_FACTS, INDEX_RUN, INDEX_EFFORT = struct.Struct("<IIIIIB3sIIQI20s"), struct.Struct("<QII"), struct.Struct("<II")
QUANT_FACTS = struct.Struct("<IIIB3sI12s")
LOG_ENTRY = struct.Struct("<IHHQQQQQQ32s32s32sH6s")
assert (HEADER.size, ROOT.size, IDENTITY.size, ENTRY.size, LOG_ENTRY.size, INDEX_FACTS.size, QUANT_FACTS.size) == (64, PAGE, 64, 96, 160, 64, 32)


# ---------------------------------------------------------------- payloads


class Payload:
    """Prelude and sections of one segment (PAY-1, PAY-2, PAY-3, PAY-5, PAY-6)."""

    def __init__(self, data: bytes, offset: int, end: int, kind: int) -> None:
        """`end`: where sections must end; in a MANIFEST that is where its root page starts."""
        self.data, self.offset, start = data, offset, offset + HEADER.size
        self.form, version, count, reserved = PRELUDE.unpack_from(data, start)
        check(self.form in KNOWN_FORMS[kind] and version == 1 and count <= 64 and not reserved, "PAY-1", start, "form, version or section count")
        check(not (kind == FILLER and count), "FILL-1", start, "a filler has sections")
        done = start + PRELUDE.size + count * SECTION.size
        check(done <= end, "PAY-2", start, "the section table passes the end")
        self.sections: dict[int, tuple[int, int, int]] = {}
        last_tag = -1
        for index in range(count):
            at = start + PRELUDE.size + index * SECTION.size
            tag, mask, begin, length, reserved = SECTION.unpack_from(data, at)
            check(not reserved, "PAY-1", at, "reserved field of a section")
            check(tag > last_tag and begin % 64 == 0 and done <= offset + begin <= end and length <= end - offset - begin, "PAY-2", at, f"section {tag} lies wrong")
            self._zero(done, offset + begin, kind)
            self.sections[tag] = offset + begin, length, mask
            last_tag, done = tag, offset + begin + length
        self._zero(done, end, kind)

    def _zero(self, begin: int, end: int, kind: int) -> None:
        check(not any(self.data[begin:end]), "FILL-1" if kind == FILLER else "PAY-3", begin, "bytes between sections are not zero")

    def get(self, tag: int, length: int | None = None) -> bytes:
        """The bytes of a required section, its mask undone."""
        check(tag in self.sections, "PAY-6", self.offset, f"section {tag} is missing")
        begin, found, mask = self.sections[tag]
        check(length is None or found == length, "PAY-6", begin, f"section {tag} has {found} bytes, not {length}")
        stored = self.data[begin : begin + found]
        if not mask:
            return stored
        return (np.frombuffer(stored, "u1") ^ np.resize(np.frombuffer(struct.pack("<I", mask), "u1"), found)).tobytes()

    def array(self, tag: int, dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(self.get(tag, count * np.dtype(dtype).itemsize), dtype)


class VecSegment:
    """Rows of one VEC segment."""

    def __init__(self, data: bytes, entry: Entry, root: Root) -> None:
        self.entry, at = entry, entry.offset
        payload = Payload(data, at, entry.end, VEC)
        dimension, dtype, id_type, reserved_a, count, stride, reserved_b = VEC_FACTS.unpack(payload.get(1, 32))
        check(not reserved_a and not any(reserved_b), "PAY-1", at, "reserved facts")
        check((dimension, dtype, id_type) == (root.dimension, root.dtype, root.id_type), "VEC-1", at, "another schema than the root's")
        self.dtype = DTYPES[dtype]
        width = -(-dimension // 8) if self.dtype == "binary" else dimension
        check(count == entry.rows and stride == width * np.dtype(STORED[self.dtype]).itemsize, "VEC-1", at, "count or stride")
        self.count, self.vectors = count, payload.array(2, STORED[self.dtype], count * width).reshape(count, width)
        if ID_TYPES[id_type] == "u64":
            self.ids: Sequence[Id] = payload.array(3, "<u8", count).tolist()
            check(all(i < 2**64 - 1 for i in self.ids), "VEC-4", at, "id 2^64 - 1")
        else:
            offsets, text = payload.array(4, "<u4", count + 1).tolist(), payload.get(5)
            check(offsets[0] == 0 and offsets[-1] == len(text) and all(1 <= b - a <= 1024 for a, b in pairwise(offsets)), "VEC-4", at, "offsets of ids")
            try:
                self.ids = [text[a:b].decode() for a, b in pairwise(offsets)]
            except UnicodeDecodeError as error:
                raise RvfError("VEC-4", at, f"an id is not UTF-8: {error}") from None
            check(b"\0" not in text, "VEC-4", at, "an id holds U+0000")
        self.order: Vector | None = payload.array(6, "<u4", count) if 6 in payload.sections else None
        check(self.order is None or sorted(self.order.tolist()) == list(range(count)), "VEC-3", at, "ORDER is no permutation")

    def verify(self, metric: str, dimension: int) -> Iterator[RvfError]:
        at, rows = self.entry.offset, self.vectors
        if not ascends(self.ids if self.order is None else [(self.ids[r], r) for r in self.order.tolist()]):
            yield RvfError("VEC-3", at, "ids do not ascend" + ("" if self.order is None else " through ORDER"))
        if self.dtype == "binary":
            if dimension % 8 and (rows[:, -1] & (0xFF >> dimension % 8)).any():
                yield RvfError("VEC-2", at, "unused bits are set")
        elif not np.isfinite(rows.astype("f8")).all() or (metric == "cosine" and not rows.any(axis=1).all()):
            yield RvfError("VEC-2", at, "a component is not finite, or a row is zero under cosine")

    def find(self, wanted: Id) -> list[int]:
        """Rows of an id: binary search over IDS or through ORDER."""
        def nth(i: int) -> int:
            return i if self.order is None else int(self.order[i])
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if less(self.ids[nth(middle)], wanted) else (low, middle)
        found = []
        while low < self.count and self.ids[nth(low)] == wanted:
            found.append(nth(low))
            low += 1
        return found


def row_length(root: Root) -> int:
    dtype = DTYPES[root.dtype]
    return -(-root.dimension // 8) if dtype == "binary" else root.dimension * np.dtype(STORED[dtype]).itemsize


class Quant:
    """A QUANT segment: SQ8 or SQ4 codes."""

    def __init__(self, data: bytes, entry: Entry, root: Root) -> None:
        self.entry, at = entry, entry.offset
        payload = Payload(data, at, entry.end, QUANT)
        dimension, self.stride, count, self.code, reserved_a, step, reserved_b = QUANT_FACTS.unpack(payload.get(1, 32))
        self.step = float(np.array([step], "<u4").view("<f4")[0])
        check(dimension == root.dimension and count == entry.rows and codes_fit(self.code, self.stride, root), "QNT-1", at, "facts against schema and manifest")
        check(not any(reserved_a + reserved_b) and np.isfinite(self.step) and self.step > 0, "QNT-1", at, "step or a reserved field")
        self.codes = payload.array(2, "u1" if self.code == SQ4 else "i1", count * self.stride).reshape(count, self.stride)
        self.offsets: Vector = payload.array(3, "<f4", dimension).astype("f8") if 3 in payload.sections else np.zeros(dimension)
        check(3 not in payload.sections or METRICS[root.metric] == "l2" and np.isfinite(self.offsets).all(), "QNT-1", at, "OFFSETS")
        check(self.code == SQ4 or 4 not in payload.sections, "QNT-1", at, "MAP")
        self.map = payload.array(4, "i1", 2 * self.stride * dimension).reshape(-1, dimension).astype("f8") if self.code == SQ4 else None

    def halves(self, codes: Vector) -> Vector:
        """The codes of SQ4, a number each."""
        return np.concatenate([codes & 15, codes >> 4], axis=-1).astype("f8")

    def components(self, codes: Vector) -> Vector:
        """What code rows stand for: components, or, for SQ4, those of the projection."""
        if self.code == SQ4:
            return (self.halves(codes) - 7.5) * self.step
        return self.offsets + self.step * codes[..., : len(self.offsets)].astype("f8")

    def project(self, rows: Vector, metric: str) -> Vector:
        """The y of rows (SQ4)."""
        x = rows.astype("f8")
        if metric == "cosine":
            x = x / np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), 5e-324)
        return (x - self.offsets) @ self.map.T

    def verify(self, rows: Vector, metric: str) -> Iterator[RvfError]:
        """QNT-2, against the stored rows of all nodes."""
        x = rows.astype("f8")
        if metric == "cosine":
            x /= np.sqrt((x * x).sum(axis=1, keepdims=True))
        if self.code == SQ4:
            expected, codes = np.clip(np.floor(self.project(rows, metric) / self.step) + 8, 0, 15), self.halves(self.codes)
            rounding = abs(x - self.offsets).max(axis=1, keepdims=True) / 127 * abs(self.map).sum(axis=1) / (2 * self.step)
            if (abs(codes - expected) > 1 + np.ceil(rounding)).any():
                yield RvfError("QNT-2", self.entry.offset, "a code is not that of its row")
            return
        expected, codes = np.clip(np.rint((x - self.offsets) / self.step), -127, 127), self.codes[:, : x.shape[1]].astype("f8")
        if (codes < -127).any() or (abs(codes - expected) > 1).any() or self.codes[:, x.shape[1] :].any():
            yield RvfError("QNT-2", self.entry.offset, "a code is not that of its row")


def codes_fit(code: int, stride: int, root: Root) -> bool:
    """Whether code rows of a kind and length stand for rows of the schema."""
    dtype = DTYPES[root.dtype]
    return code == SQ8 and dtype in ("f32", "f16") and stride >= root.dimension or code == SQ4 and dtype != "binary" and 1 <= stride <= 32768


class Index:
    """An INDEX segment. Parsed (IDX-1, PAY-6) without a look at links; `verify` looks at all of them (IDX-3)."""

    def __init__(self, data: bytes, entry: Entry, root: Root) -> None:
        self.entry, at = entry, entry.offset
        payload = Payload(data, at, entry.end, INDEX)
        (self.nodes, degree, pivots, self.cells, self.stride, self.code, reserved_a, self.m, self.ef_construction, self.seed, self.linked, reserved_b) = INDEX_FACTS.unpack(payload.get(1, 64))
        check(self.nodes and self.nodes == entry.rows and 1 <= degree <= 256 and not any(reserved_a + reserved_b), "IDX-1", at, "nodes, degree or a reserved field")
        check(codes_fit(self.code, self.stride, root) or self.code == STORED_ROWS and self.stride == row_length(root), "IDX-1", at, "code or stride")
        check(self.cells <= pivots <= self.nodes and (self.cells or not pivots) and self.linked <= (self.nodes if pivots else 0), "IDX-1", at, "cells, pivots or linked")
        section = payload.get(2)
        check(len(section) % INDEX_RUN.size == 0, "PAY-6", at, "RUNS is not whole")
        runs = list(INDEX_RUN.iter_unpack(section))
        self.runs = [(base, rows) for base, rows, _ in runs]
        check(all(rows and not reserved for _, rows, reserved in runs) and sum(rows for _, rows in self.runs) == self.nodes, "IDX-1", at, "rows of runs")
        check(runs and runs[0][0] == entry.base_row and runs[-1][0] + runs[-1][1] < 1 << 64 and all(a + n <= b for (a, n), (b, _) in pairwise(self.runs)), "IDX-1", at, "order of runs")
        self.links, self.pivots = payload.array(3, "<u4", self.nodes * degree).reshape(-1, degree), payload.array(4, "<u4", pivots)
        self.offsets, self.pivot_rows = payload.array(5, "<u4", self.cells + 1), payload.array(6, "u1", pivots * self.stride).reshape(pivots, self.stride)
        section = payload.get(7) if 7 in payload.sections else b""
        check(len(section) % INDEX_EFFORT.size == 0, "PAY-6", at, "EFFORT is not whole")
        self.effort = list(INDEX_EFFORT.iter_unpack(section))
        self.rows: Vector = np.concatenate([np.arange(base, base + rows, dtype="u8") for base, rows in self.runs])

    def neighbours(self, node: int) -> list[int]:
        """The links of a node, up to the first that names none."""
        slots = self.links[node].tolist()
        return slots[: next((i for i, link in enumerate(slots) if link >= self.nodes), len(slots))]

    def cell(self, number: int) -> range:
        """The pivots of a cell but its leader, as far as they are there."""
        begin, end = self.offsets[number : number + 2].tolist()
        return range(min(self.cells + begin, len(self.pivots)), min(self.cells + end, len(self.pivots)))

    def verify(self) -> Iterator[RvfError]:
        """IDX-3."""
        at, slots = self.entry.offset, self.links.astype("i8")
        empty = slots == NO_LINK
        if (~empty & (slots >= self.nodes)).any() or (slots == np.arange(self.nodes)[:, None]).any() or (empty[:, :-1] & ~empty[:, 1:]).any():
            yield RvfError("IDX-3", at, "a link names no other node or stands behind an empty slot")
        ordered = np.sort(slots, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_LINK)).any():
            yield RvfError("IDX-3", at, "a link stands twice at a node")
        if len(np.unique(self.pivots)) != len(self.pivots) or (self.pivots >= self.nodes).any():
            yield RvfError("IDX-3", at, "pivots")
        cells = self.offsets.tolist()
        if cells[0] or cells[-1] != len(self.pivots) - self.cells or any(a > b for a, b in pairwise(cells)):
            yield RvfError("IDX-3", at, "cells")
        if not ascends([ef for ef, _ in self.effort]) or any(ppm > 1_000_000 for _, ppm in self.effort):
            yield RvfError("IDX-3", at, "measured widths")

    def reached(self) -> Vector:
        """Which nodes are reached from the pivots."""
        found = np.zeros(self.nodes, bool)
        todo = [node for node in self.pivots.tolist() if node < self.nodes]
        found[todo] = True
        while todo:
            for link in self.neighbours(todo.pop()):
                if not found[link]:
                    found[link] = True
                    todo.append(link)
        return found


def distances_to(rows: Vector, query: Sequence[float], metric: str) -> Vector:
    """Distances in binary64 of stored rows, or of what codes stand for, from a query; one to binary rows is packed bytes."""
    if metric == "hamming":
        return np.unpackbits(rows ^ np.array(query, "u1"), axis=1).sum(axis=1, dtype="f8")
    a, q = rows.astype("f8"), np.array(query, "f4").astype("f8")
    if metric == "l2":
        return ((a - q) ** 2).sum(axis=1)
    dot = (a * q).sum(axis=1)
    if metric == "dot":
        return -dot
    with np.errstate(invalid="ignore"):  # codes may all be zero
        return np.clip(np.nan_to_num(1 - dot / np.sqrt((a * a).sum(axis=1) * (q * q).sum()), nan=1), 0, 2)


def parse_journal(data: bytes, entry: Entry) -> tuple[list[int], set[int]]:
    """Words and dead rows of a JOURNAL."""
    section = Payload(data, entry.offset, entry.end, JOURNAL).get(1)
    check(len(section) % 16 == 0, "PAY-6", entry.offset, "not whole words")
    pairs = list(struct.iter_unpack("<QQ", section))
    check(ascends([word for word, _ in pairs]) and all(mask for _, mask in pairs), "JNL-1", entry.offset, "words do not ascend or a mask is zero")
    return [word for word, _ in pairs], {64 * word + bit for word, mask in pairs for bit in range(64) if mask >> bit & 1}


def parse_meta(payload: Payload, entry: Entry) -> dict[int, bytes]:
    check(payload.form == 1, "PAY-1", entry.offset, "metadata of no rows")
    items: dict[int, bytes] = {}
    section, at = payload.get(1), 0
    while at < len(section):
        check(at + 8 <= len(section), "META-1", entry.offset, "an item is cut")
        tag, reserved, length = META_ITEM.unpack_from(section, at)
        value, after = section[at + 8 : at + 8 + length], at + 8 + -(-length // 8) * 8
        check(not reserved and after <= len(section) and not any(section[at + 8 + length : after]), "META-1", entry.offset, f"item {tag}")
        check(not items or tag > max(items), "META-1", entry.offset, "tags do not ascend")
        try:
            tag in (1, 2) and value.decode()
        except UnicodeDecodeError:
            raise RvfError("META-1", entry.offset, f"item {tag} is not UTF-8") from None
        items[tag], at = value, after
    return items


def parse_log(section: bytes, at: int) -> list[LogEntry]:
    """Audit entries, one after another; their hashes are SHAKE-256 of all their bytes."""
    entries, done = [], 0
    while done < len(section):
        check(done + LOG_ENTRY.size <= len(section), "WIT-1", at, "an entry is cut")
        (length, version, operation, index, epoch, time_ns, added, deleted, count, previous, state, parameters, actor, reserved) = LOG_ENTRY.unpack_from(section, done)
        whole, text = section[done : done + length], section[done + 160 : done + 160 + actor]
        check(version == 1 and actor <= 1024 and length == 160 + -(-actor // 8) * 8 == len(whole) and not any(reserved) and not any(whole[160 + actor :]), "WIT-1", at, f"entry {index} is malformed")
        try:
            entries.append(LogEntry(index, epoch, time_ns, OPERATIONS.get(operation, operation), added, deleted, count, text.decode(), previous, state, parameters, hashlib.shake_256(whole).digest(32)))
        except UnicodeDecodeError:
            raise RvfError("WIT-1", at, "an actor is not UTF-8") from None
        done += length
    return entries


# ---------------------------------------------------------------- BLAKE3 trees

IV = np.array([0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19], "u4")
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, IS_ROOT = 1, 2, 4, 8
CHUNK, GROUP = 1024, 16384
Words = np.ndarray[Any, Any]


def compress(cv: Words, block: Words, counter: np.ndarray, flags: int) -> Words:
    """The BLAKE3 compression of n 64-byte blocks at once: `cv` is 8 x n words, `block` 16 x n, the result 8 x n."""
    n = block.shape[1]
    fixed = [np.broadcast_to(IV[:4, None], (4, n)), counter[None] & 0xFFFFFFFF, counter[None] >> 32, np.full((1, n), 64), np.full((1, n), flags)]
    v = np.concatenate([np.broadcast_to(cv, (8, n)), *fixed]).astype("u4").reshape(4, 4, n)

    def turn(x: Words, bits: int) -> Words:
        return x >> np.uint32(bits) | x << np.uint32(32 - bits)

    def mix(a: Words, b: Words, c: Words, d: Words, x: Words, y: Words) -> tuple[Words, Words, Words, Words]:  # four columns, or four diagonals, at once
        a = a + b + x; d = turn(d ^ a, 16); c = c + d; b = turn(b ^ c, 12)
        a = a + b + y; d = turn(d ^ a, 8); c = c + d; b = turn(b ^ c, 7)
        return a, b, c, d

    a, b, c, d = v
    for _ in range(7):
        a, b, c, d = mix(a, b, c, d, block[0:8:2], block[1:8:2])
        a, b, c, d = mix(a, np.roll(b, -1, 0), np.roll(c, -2, 0), np.roll(d, -3, 0), block[8::2], block[9::2])
        b, c, d = np.roll(b, 1, 0), np.roll(c, 2, 0), np.roll(d, 3, 0)
        block = block[PERMUTATION]
    return np.concatenate([a ^ c, b ^ d])


def parent(left: Words, right: Words, flags: int = PARENT) -> Words:
    """Chaining values (n x 8 words) of the parents of n pairs."""
    return compress(IV[:, None], np.concatenate([left.T, right.T]), np.zeros(len(left), "u8"), flags).T


def next_level(nodes: Words) -> Words:
    """The parents of each pair; an odd last node moves up unchanged."""
    pairs = len(nodes) // 2 * 2
    return np.concatenate([parent(nodes[0:pairs:2], nodes[1:pairs:2]), nodes[pairs:]])


def group_value(group: bytes, number: int) -> Words:
    """Chaining value (8 words) of 16 KiB group `number`. Segments end on pages, so all chunks are whole."""
    blocks = np.frombuffer(group, "<u4").reshape(-1, 16, 16)
    counter, cv = np.arange(len(blocks), dtype="u8") + np.uint64(number * (GROUP // CHUNK)), IV[:, None]
    for i in range(16):
        cv = compress(cv, blocks[:, i].T, counter, (CHUNK_START if i == 0 else 0) | (CHUNK_END if i == 15 else 0))
    nodes = cv.T
    while len(nodes) > 1:
        nodes = next_level(nodes)
    top: Words = nodes[0]
    return top


class Tree:
    """The hash tree of a segment."""

    def __init__(self, data: bytes, entry: Entry) -> None:
        payload = Payload(data, entry.offset, entry.end, TREE)
        self.entry = entry
        self.segment_id, self.length, group, levels, reserved = TREE_FACTS.unpack(payload.get(1, 32))
        check(not reserved, "PAY-1", entry.offset, "reserved facts")
        sizes = [-(-self.length // GROUP)]
        while sizes[-1] > 2:
            sizes.append(-(-sizes[-1] // 2))
        check(group == GROUP and sizes[0] >= 2 and levels == len(sizes), "TREE-1", entry.offset, "group size or number of levels")
        nodes = payload.array(2, "<u4", 8 * sum(sizes)).reshape(-1, 8)
        self.levels = np.split(nodes, np.cumsum(sizes)[:-1])

    def verify_group(self, data: bytes, target: Entry, number: int) -> None:
        """Checks one group with its bytes, a sibling at each level and the hash of the segment, nothing else."""
        begin = target.offset + number * GROUP
        value, index = group_value(data[begin : min(begin + GROUP, target.end)], number)[None], number
        for level in self.levels:
            sibling = level[index ^ 1 : (index ^ 1) + 1]
            if len(sibling):
                left, right = (sibling, value) if index & 1 else (value, sibling)
                value = parent(left, right, PARENT | IS_ROOT if len(level) == 2 else PARENT)
            index //= 2
        check(value.astype("<u4").tobytes() == target.hash, "TREE-1", begin, f"group {number} does not lead to the hash of segment {target.segment_id}")


# ---------------------------------------------------------------- one commit


@dataclass
class Hit:
    id: Id
    distance: float


@dataclass
class Snapshot:
    """The state of one commit: its root, live segments by id, and facts. With `parent`, all that a branch sees: rows, graphs and metadata of the
    parent's commit stand before its own. Without, what stands in the file alone."""

    data: bytes
    root: Root
    segments: dict[int, Entry]
    facts: dict[int, bytes]
    own_entries: dict[int, LogEntry]  # of the manifests since the full one, by epoch
    checked: set[tuple[str, int]] = field(repr=False)  # what was found right before, in any commit of the file
    parent: Snapshot | None = None

    @property
    def epoch(self) -> int: return self.root.epoch
    @property
    def count(self) -> int: return self.root.live_count
    @property
    def dimension(self) -> int: return self.root.dimension
    @property
    def dtype(self) -> str: return DTYPES[self.root.dtype]
    @property
    def metric(self) -> str: return METRICS[self.root.metric]
    @property
    def id_type(self) -> str: return ID_TYPES[self.root.id_type]
    @property
    def pins(self) -> tuple[int, ...]: return tuple(p for p, in struct.iter_unpack("<Q", self.facts.get(PINS, b"")))

    def state_hash(self) -> bytes:
        r = self.root
        text = b"RVF-STATE-1".ljust(16, b"\0") + struct.pack("<QIBBBB", r.epoch, *r.schema, r.flags & 0xFF)
        text += struct.pack("<6Q", r.features_compatible, r.features_read_only, r.features_incompatible, r.next_row, r.next_id, r.created_ns)
        text += struct.pack("<16s32sQII", r.parent_id, r.parent_hash, r.parent_epoch, r.lineage_depth, 0)
        text += struct.pack("<Q", len(self.facts)) + b"".join(struct.pack("<IIQ", tag, 0, len(fact)) + fact for tag, fact in sorted(self.facts.items()))
        rows = sorted((e.kind, e.space, e.base_row, e.rows, e.hash) for e in self.segments.values() if e.kind not in STATELESS)
        return bytes(blake3(text + struct.pack("<Q", len(rows)) + b"".join(struct.pack("<IIQQ32s", *row) for row in rows)).digest())

    def listed(self, kind: int) -> list[Entry]:
        """Live segments of a kind in space 0, checked against their headers and hashes (MAN-4, MAN-5)."""
        found = sorted((e for e in self.segments.values() if e.kind == kind and e.space == 0), key=lambda e: (e.base_row, e.segment_id))
        for entry in found:
            self.check_entry(entry)
        return found

    def payloads(self, kind: int) -> list[tuple[Entry, Payload]]:
        return [(entry, Payload(self.data, entry.offset, entry.end, kind)) for entry in self.listed(kind)]

    def check_entry(self, entry: Entry) -> None:
        at = entry.offset
        check(at % PAGE == 0 and entry.length >= PAGE and entry.end <= self.root.manifest_offset, "MAN-4", at, f"segment {entry.segment_id} lies wrong")
        header = Header._make(HEADER.unpack_from(self.data, at))
        check(header.magic == SEGMENT_MAGIC, "MAN-4", at, "no segment header where the manifest lists a segment")
        check((header.segment_id, header.kind, header.payload_length + HEADER.size) == (entry.segment_id, entry.kind, entry.length), "MAN-4", at, f"the header disagrees with entry {entry.segment_id}")
        if ("hash", at) not in self.checked:
            check(blake3(self.data[at : entry.end]).digest() == entry.hash, "MAN-5", at, f"hash of segment {entry.segment_id}")
            self.checked.add(("hash", at))

    @cached_property
    def vecs(self) -> list[VecSegment]:
        return self.inherited("vecs") + [VecSegment(self.data, entry, self.root) for entry in self.listed(VEC)]

    def inherited(self, name: str) -> list[Any]:
        """Segments of some kind of the parent's commit."""
        return list(getattr(self.parent, name)) if self.parent else []

    @cached_property
    def needed(self) -> ParentRef | None:
        """The commit that this one goes on from (BRN-1)."""
        return parent_of(self.root, self.facts)

    @cached_property
    def row_sets(self) -> list[RowSet]:
        """COW_MAP and MEMBERSHIP segments of the file itself."""
        return [RowSet(p, entry) for kind in (COW_MAP, MEMBERSHIP) for entry, p in self.payloads(kind)]

    @cached_property
    def branches(self) -> list[tuple[int, bytes]]:
        """Epoch and file id of each branch of the file that it lists."""
        return [branch for entry, p in self.payloads(REFCOUNT) for branch in parse_refcount(p, entry)]

    @cached_property
    def dead(self) -> set[int]:
        """Numbers of rows that are dead or, inherited, not seen; some may belong to no segment any more."""
        rows: set[int] = set()
        for entry in self.listed(JOURNAL):
            rows |= parse_journal(self.data, entry)[1]
        check(max(rows, default=-1) < self.root.next_row, "JNL-1", self.root.own_offset, "a dead row at or above next_row")
        if not self.parent:
            return rows
        every = {vec.entry.base_row + r for vec in self.parent.vecs for r in range(vec.count)}
        return rows.union(self.parent.dead, *(rows_of.left_out(every) for rows_of in self.row_sets))

    @cached_property
    def meta(self) -> dict[int, bytes]:
        own = {tag: value for entry, p in self.payloads(META) if not entry.rows for tag, value in parse_meta(p, entry).items()}
        return (self.parent.meta if self.parent else {}) | own

    @cached_property
    def own_feedback(self) -> list[tuple[Entry, list[Event]]]:
        return [(entry, parse_feedback(p, entry, self.root)) for entry, p in self.payloads(FEEDBACK)]

    @cached_property
    def own_tensors(self) -> dict[int, list[tuple[Entry, dict[str, Tensor]]]]:
        """GRAPH, OVERLAY and POLICY_KERNEL segments of the file itself, by ascending id."""
        parsed = {kind: [(entry, parse_tensors(p, entry)) for entry, p in self.payloads(kind)] for kind in TENSORS}
        return {kind: sorted(found, key=lambda one: one[0].segment_id) for kind, found in parsed.items()}

    def numbered_feedback(self) -> list[tuple[int, Event]]:
        """Events that count in this commit, with their numbers."""
        first = int.from_bytes(self.facts.get(FIRST_FEEDBACK, b""), "little")
        every = self.parent.numbered_feedback() if self.parent else []
        every += [(entry.base_row + n, event) for entry, events in self.own_feedback for n, event in enumerate(events)]
        return [(number, event) for number, event in every if number >= first]

    @property
    def feedback(self) -> list[Event]: return [event for _, event in self.numbered_feedback()]

    def tensors(self, kind: int) -> dict[str, Tensor]:
        """What was learned: of the newest segment, or else of the parent's, but of a POLICY_KERNEL."""
        own = self.own_tensors[kind]
        return own[-1][1] if own else self.parent.tensors(kind) if self.parent and kind != POLICY_KERNEL else {}

    @property
    def model(self) -> str | None: return self.meta[1].decode() if 1 in self.meta else None

    def rows(self) -> Iterator[tuple[int, Id, Vector]]:
        """Row number, id and stored vector of live records in the order of rows."""
        for vec in self.vecs:
            for r in range(vec.count):
                if vec.entry.base_row + r not in self.dead:
                    yield vec.entry.base_row + r, vec.ids[r], vec.vectors[r]

    def ids(self) -> list[Id]: return [i for _, i, _ in self.rows()]

    def place(self, wanted: Id) -> tuple[VecSegment, int] | None:
        """The segment of a live id and its row there."""
        return next(((vec, r) for vec in self.vecs for r in vec.find(wanted) if vec.entry.base_row + r not in self.dead), None)

    def lookup(self, wanted: Id) -> Vector | None:
        """The stored vector of a live id."""
        found = self.place(wanted)
        return found[0].vectors[found[1]] if found else None

    @cached_property
    def columns(self) -> list[Columns]:
        return self.inherited("columns") + [Columns(p, entry) for entry, p in self.payloads(META) if entry.rows]

    @cached_property
    def deltas(self) -> list[Columns]:
        """DELTA segments, the newest first; those of the parent behind all others."""
        return sorted((Columns(p, entry) for entry, p in self.payloads(DELTA)), key=lambda delta: -delta.entry.segment_id) + self.inherited("deltas")

    @cached_property
    def lookups(self) -> list[Lookup]:
        return self.inherited("lookups") + [Lookup(p, entry) for entry, p in self.payloads(META_IDX)]

    @cached_property
    def fractions(self) -> set[str]:
        return fields_with_fractions(self.columns + self.deltas)

    def metadata(self, wanted: Id) -> dict[str, Value] | None:
        """The fields of a live record: of the newest DELTA that has its row, else of the META of its segment."""
        found = self.place(wanted)
        if not found:
            return None
        entry, row = found[0].entry, found[0].entry.base_row + found[1]
        sources = [delta for delta in self.deltas if row in delta.records] + [c for c in self.columns if c.span == (entry.base_row, entry.rows)]
        fields = sources[0].fields_of(row) if sources else {}
        return {name: float(value) if type(value) is int and name in self.fractions else value for name, value in fields.items()}

    def columns_of(self, lookup: Lookup) -> list[Columns]:
        """The META that a META_IDX belongs to: one."""
        return [columns for columns in self.columns if columns.span == lookup.span]

    def search(self, query: Sequence[float], k: int) -> list[Hit]:
        """Exact neighbours. A query to binary rows is packed bytes."""
        return self.nearest(query, k, ((i, vector) for _, i, vector in self.rows()))

    def nearest(self, query: Sequence[float], k: int, records: Iterator[tuple[Id, Vector]]) -> list[Hit]:
        """The nearest of some records, by exact distances."""
        ids, vectors = [], []
        for i, vector in records:
            ids.append(i)
            vectors.append(vector)
        if not ids or not k:
            return []
        largest = np.finfo("f4").max
        with np.errstate(over="ignore"):
            distances = np.clip(distances_to(np.stack(vectors), query, self.metric), -largest, largest).astype("f4")
        return [Hit(i, d) for d, i in sorted(zip(distances.tolist(), ids, strict=True))[:k]]

    @cached_property
    def indexes(self) -> list[Index]:
        return self.inherited("indexes") + [Index(self.data, entry, self.root) for entry in self.listed(INDEX)]

    @cached_property
    def quants(self) -> list[Quant]:
        return self.inherited("quants") + [Quant(self.data, entry, self.root) for entry in self.listed(QUANT)]

    def quants_of(self, index: Index) -> list[Quant]:
        """The QUANT segments that go with an INDEX: one for codes 1 and 2, none for code 0."""
        return [q for q in self.quants if index.code != STORED_ROWS and self.goes_with(q, index)]

    @staticmethod
    def goes_with(quant: Quant, index: Index) -> bool:
        return (quant.entry.base_row, quant.entry.rows, quant.code, quant.stride) == (index.entry.base_row, index.nodes, index.code, index.stride)

    def runs_are_listed(self, index: Index) -> bool:
        listed = {(vec.entry.base_row, vec.count) for vec in self.vecs}
        return all(run in listed for run in index.runs)

    def stored_rows(self, index: Index) -> Vector:
        """The stored rows of all nodes."""
        by_row = {vec.entry.base_row: vec for vec in self.vecs}
        return np.concatenate([by_row[base].vectors for base, _ in index.runs])

    def search_by_walk(self, query: Sequence[float], k: int, ef: int) -> list[Hit]:
        """Near records: a walk over each INDEX that can be used, a scan of all other rows, measured exactly."""
        used = [i for i in self.indexes if len(i.pivots) and self.runs_are_listed(i) and len(self.quants_of(i)) == (i.code != STORED_ROWS)]
        covered = {base for index in used for base, _ in index.runs}
        wanted = {row for index in used for row in self.walk(index, query, max(ef, k))}
        wanted |= {vec.entry.base_row + r for vec in self.vecs if vec.entry.base_row not in covered for r in range(vec.count)} - self.dead
        return self.nearest(query, k, ((i, vector) for row, i, vector in self.rows() if row in wanted))

    def walk(self, index: Index, query: Sequence[float], ef: int) -> list[int]:
        """Row numbers of the `ef` nearest live nodes that a walk meets."""
        quant, metric = next(iter(self.quants_of(index)), None), self.metric
        if quant:
            walk_rows, pivot_rows = quant.components(quant.codes), quant.components(index.pivot_rows.view(quant.codes.dtype))
            if quant.code == SQ4:
                query, metric = quant.project(np.asarray(query, "f8"), metric), "l2" if metric == "l2" else "dot"
        else:
            walk_rows = self.stored_rows(index)
            pivot_rows = index.pivot_rows.view(walk_rows.dtype)
        leaders = distances_to(pivot_rows[: index.cells], query, metric)
        near = np.argsort(leaders, kind="stable")[:FEW_CELLS].tolist()
        members = [pivot for cell in near for pivot in (cell, *index.cell(cell))]
        measured: dict[int, float] = {}
        for pivot, distance in zip(members, distances_to(pivot_rows[members], query, metric).tolist(), strict=True):
            if index.pivots[pivot] < index.nodes:
                measured[int(index.pivots[pivot])] = distance
        open_nodes = [(distance, node) for node, distance in measured.items()]
        heapq.heapify(open_nodes)
        kept: list[tuple[float, int]] = []  # farthest first, by negated distance

        def keep(distance: float, node: int) -> None:
            if int(index.rows[node]) not in self.dead:
                (heapq.heappush if len(kept) < ef else heapq.heappushpop)(kept, (-distance, node))

        for node, distance in measured.items():
            keep(distance, node)
        while open_nodes:
            distance, node = heapq.heappop(open_nodes)
            if len(kept) == ef and distance > -kept[0][0]:
                break
            fresh = [link for link in index.neighbours(node) if link not in measured]
            if fresh:
                for link, distance in zip(fresh, distances_to(walk_rows[fresh], query, metric).tolist(), strict=True):
                    measured[link] = distance
                    heapq.heappush(open_nodes, (distance, link))
                    keep(distance, link)
        return [int(index.rows[node]) for _, node in kept]

    def verify_graphs(self, deep: bool) -> Iterator[RvfError]:
        """INDEX and QUANT with each other and with the rows, for the newest epoch (IDX-2, QNT-1; deep: IDX-4, IDX-5, QNT-2)."""
        try:
            vecs, indexes, quants, dead = self.vecs, self.indexes, self.quants, self.dead
        except RvfError:
            return  # has been said
        starts = [base for index in indexes for base, _ in index.runs]
        for index in indexes:
            at = index.entry.offset
            if not self.runs_are_listed(index) or any(starts.count(base) > 1 for base, _ in index.runs):
                yield RvfError("IDX-2", at, "a run is no VEC segment, or one of two INDEX segments")
            elif deep:
                yield from self.verify_deep(index, self.quants_of(index), dead)
            if index.code != STORED_ROWS and len(self.quants_of(index)) != 1:
                yield RvfError("QNT-1", at, "not one QUANT goes with an INDEX")
        for quant in quants:
            if sum(self.goes_with(quant, index) for index in indexes) != 1:
                yield RvfError("QNT-1", quant.entry.offset, "not one INDEX goes with a QUANT")

    def verify_deep(self, index: Index, quants: list[Quant], dead: set[int]) -> Iterator[RvfError]:
        at, rows = index.entry.offset, self.stored_rows(index)
        walk_rows = rows if index.code == STORED_ROWS else quants[0].codes if len(quants) == 1 else None
        if walk_rows is not None and (index.pivots < index.nodes).all() and walk_rows[index.pivots].tobytes() != index.pivot_rows.tobytes():
            yield RvfError("IDX-4", at, "the walk row of a pivot is not that of its node")
        reached = index.reached()
        if reached.sum() != index.linked:
            yield RvfError("IDX-5", at, f"{reached.sum()} nodes are reached, not {index.linked}")
        if any(int(row) not in dead for row in index.rows[~reached]):
            yield RvfError("IDX-5", at, "a live row is not reached")
        for quant in quants:
            yield from quant.verify(rows, self.metric)

    @cached_property
    def log(self) -> list[LogEntry]:
        """All audit entries up to this commit: sealed ones, then those of the manifests since the full one (WIT-2)."""
        entries: list[LogEntry] = []
        for listed in self.listed(WITNESS):
            sealed = parse_log(Payload(self.data, listed.offset, listed.end, WITNESS).get(1), listed.offset)
            check(len(sealed) == listed.rows and (not sealed or sealed[0].index == listed.base_row), "WIT-2", listed.offset, "entries disagree with the manifest")
            entries += sealed
        entries += self.own_entries.values()
        at, previous = self.root.own_offset, bytes(32)
        for index, entry in enumerate(entries):
            check(entry.index == index and entry.previous == previous, "WIT-2", at, f"entry {index} does not follow the one before")
            previous = entry.hash
        check(len(entries) == self.root.witness_size, "WIT-2", at, f"{len(entries)} entries, not {self.root.witness_size}")
        return entries

    @cached_property
    def notes(self) -> list[tuple[Entry, Note]]:
        """All signed notes, by ascending epoch, each with the CRYPTO segment that holds it (SIG-1)."""
        notes = [(entry, note) for entry, p in self.payloads(CRYPTO) for note in parse_notes(p, entry, self.root.file_id)]
        check(ascends([note.statement.epoch for _, note in notes]), "SIG-1", self.root.own_offset, "epochs of notes in several CRYPTO segments")
        return notes

    def verify_audit(self) -> Iterator[RvfError]:
        """The tree over the audit entries and what notes state (AUD-1, SIG-2), as far as entries and notes can be read."""
        for steps in (lambda: caught(partial(check_tree, self.root, self.log)), lambda: verify_notes(self.notes, self.log)):
            try:
                yield from steps()
            except RvfError:
                pass  # has been said

    def check_signed(self) -> None:
        """SIG-3, of the newest commit."""
        if POLICY in self.facts:
            check(any(note.statement.epoch == self.epoch for _, note in self.notes), "SIG-3", self.root.own_offset, "the newest commit is not signed")

    def trees(self) -> list[Tree]:
        return [Tree(self.data, entry) for entry in self.listed(TREE)]

    def verify(self) -> Iterator[RvfError]:
        """Findings about this commit as a whole; every segment that it lists has been hashed afterwards."""
        root, at = self.root, self.root.own_offset
        for entry in self.segments.values():
            yield from caught(partial(self.check_entry, entry))
        for clause, kind in ("MAN-4", None), ("MAN-6", VEC):
            spans = sorted((0, e.offset, e.end) if kind is None else (e.space, e.base_row, e.base_row + e.rows) for e in self.segments.values() if kind in (None, e.kind))
            if any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(spans)):
                yield RvfError(clause, at, "listed segments overlap" if kind is None else "row ranges overlap")
        broken_graphs: object = False
        for parse in "vecs", "dead", "row_sets", "branches", "meta", "log", "notes", "indexes", "quants", "columns", "deltas", "lookups", "own_feedback", "own_tensors":
            yield from (broken := list(caught(partial(getattr, self, parse))))
            if broken and parse in ("vecs", "dead"):
                return
            broken_graphs = broken and parse == "indexes" or broken_graphs
        for vec in self.vecs:
            yield from vec.verify(self.metric, self.dimension)
        for index in () if broken_graphs else self.indexes:
            yield from index.verify()
        yield from self.verify_columns()
        yield from self.verify_audit()
        yield from caught(self.check_apart)
        live = self.ids()
        if len(set(live)) != len(live):
            yield RvfError("VEC-5", at, "two live rows of one id")
        numbers = [i for vec in self.vecs for i in vec.ids if isinstance(i, int)]
        few = len(live) > root.live_count if self.needed else len(live) != root.live_count
        if (few or max(numbers, default=-1) >= root.next_id + (not numbers) or max(self.segments, default=0) >= root.next_segment_id
                or max((v.entry.base_row + v.count for v in self.vecs), default=0) > root.next_row):
            yield RvfError("ROOT-7", at, f"{len(live)} live rows, or a row, id or segment at or above the next one")
        own = self.own_entries.get(root.epoch)
        if own is None or (own.epoch, own.time_ns, own.count, own.state_hash, own.index + 1, own.hash) != (root.epoch, root.modified_ns, root.live_count, root.state_hash, root.witness_size, root.witness_head):
            yield RvfError("WIT-3", at, "the audit entry disagrees with the root")
        yield from self.verify_trees()

    def check_apart(self) -> None:
        """Inherited rows and those of the file's own are apart (BRN-2), as far as segments can be read."""
        root, sets = self.root, [entry for kind in (COW_MAP, MEMBERSHIP) for entry in self.listed(kind)]
        if not self.needed:
            return check(not sets, "BRN-2", root.own_offset, "a COW_MAP or MEMBERSHIP in a file without a parent")
        first = self.needed.first_row
        check(sum(entry.kind == MEMBERSHIP for entry in sets) <= 1, "BRN-2", root.own_offset, "more than one MEMBERSHIP")
        check(root.next_row >= first, "BRN-2", root.own_offset, "the next row is inherited")
        check(all(entry.base_row >= first for entry in self.listed(VEC)), "BRN-2", root.own_offset, "a VEC segment among inherited rows")
        for entry in self.listed(JOURNAL):
            check(min(parse_journal(self.data, entry)[1], default=first) >= first, "BRN-2", entry.offset, "a JOURNAL names an inherited row")
        for rows_of in self.row_sets:
            check(max(rows_of.rows, default=-1) < first, "BRN-2", rows_of.entry.offset, "a row is not inherited")

    def verify_whole(self) -> Iterator[RvfError]:
        """What shows only together with the parents (VEC-5, ROOT-7, META-5)."""
        at, live = self.root.own_offset, self.ids()
        if len(set(live)) != len(live):
            yield RvfError("VEC-5", at, "two rows of one id are seen")
        if len(live) != self.root.live_count or max((i for i in live if isinstance(i, int)), default=-1) >= self.root.next_id + (self.id_type == "string"):
            yield RvfError("ROOT-7", at, f"{len(live)} rows are seen, or an inherited id is at or above the next one")
        yield from verify_kinds(self.columns + self.deltas)

    def verify_columns(self) -> Iterator[RvfError]:
        """What columns hold, and what finds records in them (META-3, MIX-1 and MIX-2 with the one META of a META_IDX)."""
        try:
            columns, deltas, lookups = self.columns, self.deltas, self.lookups
        except RvfError:
            return  # has been said
        broken = [finding for part in columns + deltas for finding in part.verify()]
        yield from broken
        for lookup in () if broken else lookups:
            if len(belongs_to := self.columns_of(lookup)) == 1:
                yield from caught(partial(lookup.verify, belongs_to[0]))

    def verify_metadata(self) -> Iterator[RvfError]:
        """META, DELTA and META_IDX with each other and with the rows, for the newest epoch (META-4, META-5, MIX-1)."""
        try:
            vecs, columns, deltas, lookups = self.vecs, self.columns, self.deltas, self.lookups
        except RvfError:
            return  # has been said
        listed, ranges = [(vec.entry.base_row, vec.count) for vec in vecs], [part.span for part in columns]
        for part in columns:
            if listed.count(part.span) != 1 or ranges.count(part.span) != 1:
                yield RvfError("META-4", part.entry.offset, "not the rows of one VEC segment, or another META has them")
        yield from verify_kinds(columns + deltas)
        for lookup in lookups:
            if len(self.columns_of(lookup)) != 1 or sum(other.span == lookup.span for other in lookups) != 1:
                yield RvfError("MIX-1", lookup.entry.offset, "belongs to no one META, or to one that has another")

    def verify_trees(self) -> Iterator[RvfError]:
        try:
            trees = self.trees()
        except RvfError as error:
            yield error
            return
        for tree in trees:
            target = self.segments.get(tree.segment_id)
            if target is None or target.length != tree.length:
                yield RvfError("TREE-1", tree.entry.offset, "the segment is not listed or has another length")
            elif ("tree", tree.entry.offset) not in self.checked:
                self.checked.add(("tree", tree.entry.offset))
                values = [group_value(self.data[b : min(b + GROUP, target.end)], n) for n, b in enumerate(range(target.offset, target.end, GROUP))]
                nodes = np.stack(values)
                for level in tree.levels:
                    if not np.array_equal(nodes, level):
                        yield RvfError("TREE-1", tree.entry.offset, "a node is wrong")
                        break
                    nodes = next_level(nodes)
        for entry in self.segments.values():
            number = sum(tree.segment_id == entry.segment_id for tree in trees)
            if entry.kind not in (MANIFEST, FILLER, TREE) and (number > 1 or (entry.length >= 1 << 20 and number == 0)):
                yield RvfError("TREE-2", entry.offset, f"segment {entry.segment_id} has {number} trees")


# ---------------------------------------------------------------- the file


class RvfFile:
    """An open file: `newest` is its newest commit, `at_epoch` gives any other that it keeps."""

    def __init__(self, data: bytes, path: Path | None = None, folders: Sequence[Path] = ()) -> None:
        self.data, self.path, self.folders = data, path, folders
        self.checked: set[tuple[str, int]] = set()
        self.rejected: list[RvfError] = []  # pages of the tail that begin like a root and are no whole root
        self._snapshots: dict[int, Snapshot] = {}
        self._parents: dict[ParentRef, Snapshot] = {}
        self.file_id = self._identity()
        self.end, root = self._newest_root()
        self.alone = self._snapshot(root)  # the newest commit without its parents

    @classmethod
    def open(cls, path: str | Path, folders: Sequence[str | Path] = ()) -> RvfFile:
        return cls(Path(path).read_bytes(), Path(path), [Path(folder) for folder in folders])

    @cached_property
    def newest(self) -> Snapshot:
        return self.whole(self.alone)

    def whole(self, alone: Snapshot) -> Snapshot:
        """A commit with all that it inherits. Raises ParentError where the parent is not there."""
        if not alone.needed:
            return alone
        alone.check_apart()
        if alone.needed not in self._parents:
            self._parents[alone.needed] = find_parent(self, alone.needed, alone.root.schema, partial(RvfFile.open, folders=self.folders))
        return replace(alone, parent=self._parents[alone.needed])

    def _identity(self) -> bytes:
        """The file id; the FILE segment must be without fault (FILE-1 to FILE-5)."""
        copies = [self.data[at : at + 64] for at in (0x100, 0x800, 0xF00)]
        ours = any(copy[:16] == IDENTITY_MAGIC for copy in copies) or self.data[:4] == b"SFVR" and self.data[5:6] == bytes([FILE])
        check(ours and len(self.data) >= PAGE, "FILE-5", 0, "no RVF file of this format")
        for at, copy in zip((0x100, 0x800, 0xF00), copies, strict=True):
            magic, version, page_size, file_id, reserved, checksum = IDENTITY.unpack(copy)
            check(magic == IDENTITY_MAGIC and checksum == zlib.crc32(copy[:60]) and copy == copies[0], "FILE-2", at, "a copy of the identity is damaged")
            check(version == 1, "FILE-3", at, f"format version {version} is newer")
            check(page_size == PAGE and not any(reserved), "FILE-4", at, "page size")
        header = Header._make(HEADER.unpack_from(self.data))
        check((header.magic, header.kind, header.segment_id, header.payload_length) == (SEGMENT_MAGIC, FILE, 0, PAGE - 64), "FILE-1", 0, "header of the FILE segment")
        found = Payload(self.data, 0, PAGE, FILE).sections
        check(found == {1: (0x100, 64, 0), 2: (0x800, 64, 0), 3: (0xF00, 64, 0)}, "FILE-1", 64, "sections of the FILE segment")
        return bytes(file_id)

    def _whole_root(self, at: int) -> Root:
        """The root at a page; raises why it is no whole one."""
        check(at % PAGE == 0 and self.data[at : at + 4] == ROOT_MAGIC and at + PAGE <= len(self.data), "ROOT-3", at, "no root")
        root = Root._make(ROOT.unpack_from(self.data, at))
        check(root.checksum == zlib.crc32(self.data[at : at + PAGE - 4]), "ROOT-2", at, "checksum of a root")
        check(root.version == 2, "ROOT-1", at, f"version {root.version} of a root")
        begin = root.manifest_offset
        check((root.own_offset, root.file_id, begin + root.manifest_length, begin % PAGE) == (at, self.file_id, at + PAGE, 0) and begin < at, "ROOT-3", at, "a root names another place or file")
        header = Header._make(HEADER.unpack_from(self.data, begin))
        hashed = self.data[begin : begin + 0x28] + bytes(16) + self.data[begin + 0x38 : at]
        check((header.magic, header.kind, header.payload_length + 64) == (SEGMENT_MAGIC, MANIFEST, root.manifest_length), "MAN-1", begin, "header of a manifest")
        check(blake3(hashed).digest() == root.manifest_hash, "MAN-1", begin, "hash of a manifest")
        return root

    def _newest_root(self) -> tuple[int, Root]:
        """The end of the sound part and its root: the last page, or the nearest whole root before it."""
        for at in range(len(self.data) // PAGE * PAGE - PAGE, -1, -PAGE):
            if self.data[at : at + 4] == ROOT_MAGIC:
                try:
                    return at + PAGE, self._whole_root(at)
                except RvfError as error:
                    if error.clause == "ROOT-1" and int.from_bytes(self.data[at + 4 : at + 6], "little") > 2:
                        raise  # its checksum is right: made by a newer version
                    self.rejected.append(error)
        raise self.rejected[0] if self.rejected else RvfError("TAIL-1", 0, "the file holds no whole root")

    def _snapshot(self, root: Root) -> Snapshot:
        """A commit, from the manifests of its root and the roots before it, back to a full one."""
        at = root.own_offset
        if at in self._snapshots:
            return self._snapshots[at]
        check(not root.features_incompatible & ~BRANCH_BIT, "VER-1", at, "made by a newer version")
        has_tree = bool(root.features_read_only & TREE_BIT)
        unused = (root.hot_pointers, root.reserved_a, root.reserved_d, root.reserved_e, *(() if has_tree else (root.witness_tree, root.witness_edge)))
        featureless = not (root.features_compatible or root.features_read_only & ~TREE_BIT)
        check(not featureless or not any(map(any, unused)) and not any((root.profile, root.signature_algorithm, root.signature_length, root.reserved_b, root.reserved_c, root.flags & ~1)), "ROOT-4", at, "a reserved field or unknown flag is set")
        check(root.dimension and root.dtype in DTYPES and root.metric in METRICS and root.id_type in ID_TYPES
              and (DTYPES[root.dtype] == "binary") == (METRICS[root.metric] == "hamming"), "ROOT-5", at, "schema")
        payload = Payload(self.data, root.manifest_offset, at, MANIFEST)
        check((payload.form == 1) == (root.since_full == 0) and root.since_full <= 63, "MAN-2", at, "since_full")
        before = self._before(root)
        if before:
            check(before.schema == root.schema and before.created_ns == root.created_ns, "ROOT-8", at, "schema or time of creation changed")
            check(parent_fields(before) == parent_fields(root), "ROOT-8", at, "another parent than in the root before")
            check(has_tree or not before.features_read_only & TREE_BIT, "ROOT-8", at, "the tree over the audit entries was taken back")
        segments: dict[int, Entry] = {}
        facts: dict[int, bytes] = {}
        own: dict[int, LogEntry] = {}
        if payload.form == 2:
            check(before and before.since_full == root.since_full - 1, "MAN-2", at, "an incremental manifest does not follow the one before")
            assert before
            base = self._snapshot(before)
            segments, facts, own = dict(base.segments), dict(base.facts), dict(base.own_entries)
            section = payload.get(2) if 2 in payload.sections else b""
            check(len(section) % 8 == 0, "PAY-6", at, "REMOVED is not whole")
            removed = [number for number, in struct.iter_unpack("<Q", section)]
            check(ascends(removed) and all(number in segments for number in removed), "MAN-3", root.manifest_offset, "REMOVED")
            for number in removed:
                del segments[number]
        section = payload.get(1)
        check(len(section) % ENTRY.size == 0, "PAY-6", root.manifest_offset, "ADDED is not whole")
        added = [Entry._make(fields) for fields in ENTRY.iter_unpack(section)]
        check(ascends([e.segment_id for e in added]) and not any(e.segment_id in segments for e in added), "MAN-3", root.manifest_offset, "ADDED")
        check(not any(e.cipher or e.key_slot or e.reserved_a or e.reserved_b for e in added), "MAN-3", root.manifest_offset, "reserved field of an entry")
        segments |= {e.segment_id: e for e in added}
        facts |= {tag: payload.get(tag) for tag in payload.sections if tag >= FIRST_FACT}
        facts = {tag: fact for tag, fact in facts.items() if fact}
        entries = parse_log(payload.get(3), root.manifest_offset)
        check(len(entries) == 1, "WIT-1", root.manifest_offset, "not one audit entry in a manifest")
        own[root.epoch] = entries[0]
        snapshot = Snapshot(self.data, root, segments, facts, own, self.checked)
        check(len(facts.get(PINS, b"")) % 8 == 0 and ascends(snapshot.pins) and all(pin <= root.epoch for pin in snapshot.pins), "MAN-9", root.manifest_offset, "PINS")
        check(facts.get(POLICY, BOTH_SIGNATURES) == BOTH_SIGNATURES, "MAN-9", root.manifest_offset, "POLICY")
        check(len(facts.get(FIRST_FEEDBACK, bytes(8))) == 8, "MAN-9", root.manifest_offset, "FEEDBACK")
        check(snapshot.state_hash() == root.state_hash, "MAN-7", at, "state hash")
        merged(facts, root.manifest_offset)
        parent_of(root, facts)
        self._snapshots[at] = snapshot
        return snapshot

    def _before(self, root: Root) -> Root | None:
        """The root before (ROOT-6)."""
        if not root.previous_root:
            return None
        check(root.previous_root < root.own_offset, "ROOT-6", root.own_offset, "previous_root is not before the root")
        try:
            before = self._whole_root(root.previous_root)
        except RvfError as error:
            raise RvfError("ROOT-6", root.own_offset, f"previous_root is not whole: {error}") from error
        check(before.epoch < root.epoch, "ROOT-6", root.own_offset, "previous_root has no smaller epoch")
        return before

    def roots(self) -> list[Root]:
        """The chain of roots, oldest first."""
        chain = [self.alone.root]
        while before := self._before(chain[-1]):
            chain.append(before)
        return chain[::-1]

    def epochs(self) -> list[int]: return [root.epoch for root in self.roots()]

    def at_epoch(self, epoch: int) -> Snapshot:
        return self.whole(self.alone_at(epoch))

    def alone_at(self, epoch: int) -> Snapshot:
        """A commit without its parents."""
        for root in self.roots():
            if root.epoch == epoch:
                return self._snapshot(root)
        raise LookupError(f"epoch {epoch} is not kept")

    def verify(self, deep: bool = False) -> Iterator[RvfError]:
        """All findings, those of the newest commit first: about the file itself, and about what it sees of its parents where they are there."""
        if self.end != len(self.data):
            yield RvfError("TAIL-1", self.end, f"{len(self.data) - self.end} bytes after the newest whole root")
            for at in range(self.end, len(self.data) - 63, PAGE):
                if self.data[at : at + 4] == b"SFVR" and self.data[at + 5] == MANIFEST:
                    yield RvfError("TAIL-2", at, "an interrupted commit, or a damaged root")
            yield from self.rejected
        kept: list[Root] = []
        snapshots: list[Snapshot] = []
        yield from caught(lambda: kept.extend(self.roots()))
        for root in reversed(kept):
            try:
                snapshots.append(self._snapshot(root))
            except RvfError as error:
                yield error
        yield from self.verify_tiling(snapshots)
        for snapshot in snapshots:
            yield from snapshot.verify()
        for snapshot in snapshots[:1]:
            if snapshot.root is self.alone.root:
                yield from snapshot.verify_graphs(deep)
                yield from snapshot.verify_metadata()
                yield from self.verify_branches()
                yield from caught(snapshot.check_signed)

    def verify_branches(self) -> Iterator[RvfError]:
        """The newest commit with its branches (REF-1) and with its parents."""
        try:
            if not {epoch for epoch, _ in self.alone.branches} <= set(self.alone.pins):
                yield RvfError("REF-1", self.alone.root.own_offset, "a branch begins at an epoch that is not pinned")
            whole = self.newest
            if whole.parent:
                yield from whole.verify_whole()
        except (RvfError, ParentError):
            return  # has been said, or is about other files

    def verify_tiling(self, snapshots: list[Snapshot]) -> Iterator[RvfError]:
        """Each segment follows the one before and is a manifest or listed (SEG-1 to SEG-5, PAY-1 to PAY-4, MAN-8)."""
        listed = {e.offset for s in snapshots for e in s.segments.values()}
        roots = {s.root.own_offset for s in snapshots}
        seen: set[int] = set()
        at, last_pages = 0, set()
        while at < self.end:
            header = Header._make(HEADER.unpack_from(self.data, at))
            length = header.payload_length + HEADER.size
            if header.magic != SEGMENT_MAGIC or header.version != 1:
                yield RvfError("SEG-1", at, "no segment header where the segment before ends")
                break
            if length % PAGE or length > 1 << 32 or at + length > self.end:
                yield RvfError("SEG-2", at, "length of a segment")
                break
            if header.flags or header.compression or header.reserved_a or header.reserved_b or header.uncompressed_length or header.alignment_pad or header.checksum_algorithm != 1:
                yield RvfError("SEG-3", at, "a fixed field of a header")
            if xxhash.xxh3_128_intdigest(self.data[at + 64 : at + length]).to_bytes(16, "little") != header.content_hash:
                yield RvfError("SEG-4", at, "content hash")
            if header.segment_id in seen or header.segment_id >= self.alone.root.next_segment_id or (at == 0) != (header.segment_id == 0):
                yield RvfError("SEG-5", at, f"segment id {header.segment_id}")
            seen.add(header.segment_id)
            last = at + length - PAGE
            if header.kind == MANIFEST:
                last_pages.add(last)
            if (last not in roots) if header.kind == MANIFEST else (at not in listed):
                yield RvfError("MAN-8", at, "neither listed nor a manifest of the chain")
            if header.kind in KNOWN_FORMS:
                yield from caught(partial(Payload, self.data, at, last if header.kind == MANIFEST else at + length, header.kind))
            at += length
        for page in range(0, self.end, PAGE):
            if self.data[page : page + 4] == ROOT_MAGIC and page not in last_pages:
                yield RvfError("PAY-4", page, "a page begins like a root")


def verify(path: str | Path, deep: bool = False) -> list[RvfError]:
    """Findings, each once; the clauses marked (deep) if asked for. A file that ends in an uncommitted tail has TAIL findings and
    is sound all the same."""
    findings: dict[str, RvfError] = {}
    try:
        for finding in RvfFile.open(path).verify(deep):
            findings.setdefault(str(finding), finding)
    except RvfError as error:
        findings.setdefault(str(error), error)
    return list(findings.values())
