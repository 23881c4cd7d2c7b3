"""Feedback and what was learned from it: FEEDBACK, GRAPH, OVERLAY, POLICY_KERNEL. Written from `spec/learning.md` alone.

Owns the bytes (FBK-1, TNS-1). What of it counts in a commit and those of its parents, `rvf_reader.py` knows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rvf_error import ascends, check

if TYPE_CHECKING:
    from rvf_reader import Entry, Id, Payload, Root

OVERLAY, POLICY_KERNEL, GRAPH, FEEDBACK = 0x03, 0x31, 0x42, 0x44
TENSORS = GRAPH, OVERLAY, POLICY_KERNEL
FIRST_FEEDBACK = 20
FACTS, EVENT, TENSOR = struct.Struct("<IB3sQ"), struct.Struct("<QfIIIQ"), struct.Struct("<QIIIIII")
assert (FACTS.size, EVENT.size, TENSOR.size) == (16, 32, 32)
HAMMING, STRINGS, LONGEST_ID, LONGEST_NAME = 3, 1, 1024, 128


class Event(NamedTuple):
    """A query, what was shown and what was chosen."""

    time_ns: int; query: list[float]; weight: float; position: int
    shown: list[Id]; chosen: list[Id]


class Tensor(NamedTuple):
    """Numbers of one shape."""

    shape: list[int]; values: list[float]


def parse_ids(payload: Payload, at: int, strings: bool) -> list[Id]:
    """The ids that events name (FBK-1)."""
    ids: list[Id] = []
    if not strings:
        section = payload.get(6)
        check(len(section) % 8 == 0, "PAY-6", at, "IDS is not whole")
        ids = [number for number, in struct.iter_unpack("<Q", section)]
        check(all(number < (1 << 64) - 1 for number in ids), "FBK-1", at, "an id that is none")
    else:
        section, text = payload.get(7), payload.get(8)
        check(len(section) % 4 == 0, "PAY-6", at, "ID_OFFSETS is not whole")
        ends = [end for end, in struct.iter_unpack("<I", section)]
        check(ends and ends[0] == 0 and ends[-1] == len(text), "FBK-1", at, "ends of ids")
        for start, end in zip(ends, ends[1:]):
            check(start < end <= start + LONGEST_ID, "FBK-1", at, "length of an id")
            try:
                ids.append(text[start:end].decode())
            except UnicodeDecodeError:
                check(False, "FBK-1", at, "an id is not UTF-8")
            check("\0" not in str(ids[-1]), "FBK-1", at, "an id with a zero byte")
        encoded = [str(i).encode() for i in ids]
        check(ascends(encoded), "FBK-1", at, "ids do not ascend")
        return ids
    check(ascends(ids), "FBK-1", at, "ids do not ascend")
    return ids


def parse_feedback(payload: Payload, entry: Entry, root: Root) -> list[Event]:
    """The events of a FEEDBACK segment (FBK-1)."""
    at = entry.offset
    facts = payload.get(1)
    check(len(facts) == FACTS.size, "PAY-6", at, "FACTS")
    dimension, id_type, reserved, first = FACTS.unpack(facts)
    check((dimension, id_type) == (root.dimension, root.id_type) and first == entry.base_row and not any(reserved) and root.metric != HAMMING, "FBK-1", at, "facts")
    ids = parse_ids(payload, at, id_type == STRINGS)
    rows, queries, shown, chosen = (payload.get(tag) for tag in (2, 3, 4, 5))
    check(len(rows) == entry.rows * EVENT.size and len(queries) == entry.rows * dimension * 4, "PAY-6", at, "EVENTS or QUERIES")
    check(len(shown) % 4 == 0 and len(chosen) % 4 == 0, "PAY-6", at, "SHOWN or CHOSEN is not whole")
    numbers = np.frombuffer(queries, "<f4").reshape(entry.rows, dimension)
    check(np.isfinite(numbers).all(), "FBK-1", at, "a query is not finite")
    lists = [[place for place, in struct.iter_unpack("<I", part)] for part in (shown, chosen)]
    events, starts = [], [0, 0]
    for row, (time_ns, weight, position, *ends, reserved_b) in zip(numbers.tolist(), EVENT.iter_unpack(rows), strict=True):
        check(np.isfinite(weight) and weight > 0 and not reserved_b, "FBK-1", at, "weight or reserved field of an event")
        named: list[list[Id]] = []
        for places, start, end in zip(lists, starts, ends, strict=True):
            check(start <= end <= len(places), "FBK-1", at, "ends of events")
            own = places[start:end]
            check(len(set(own)) == len(own) and all(place < len(ids) for place in own), "FBK-1", at, "an id twice or not there")
            named.append([ids[place] for place in own])
        events.append(Event(time_ns, row, weight, position, named[0], named[1]))
        starts = ends
    check(starts == [len(places) for places in lists], "FBK-1", at, "ids of no event")
    return events


def parse_tensors(payload: Payload, entry: Entry) -> dict[str, Tensor]:
    """The tensors of a GRAPH, an OVERLAY or a POLICY_KERNEL by name (TNS-1)."""
    at = entry.offset
    section, names, stored = (payload.get(tag) for tag in (1, 2, 3))
    check(len(section) % TENSOR.size == 0 and len(stored) % 4 == 0, "PAY-6", at, "not whole structures")
    values = np.frombuffer(stored, "<f4")
    check(np.isfinite(values).all(), "TNS-1", at, "a value is not finite")
    tensors: dict[str, Tensor] = {}
    last, begin, name_begin = b"", 0, 0
    for first, name_end, count, *lengths in TENSOR.iter_unpack(section):
        check(name_begin <= name_end <= len(names), "TNS-1", at, "end of a name")
        name = names[name_begin:name_end]
        check(last < name and len(name) <= LONGEST_NAME, "TNS-1", at, "names out of order, empty or too long")
        check(1 <= count <= 4 and all(lengths[:count]) and not any(lengths[count:]) and first == begin, "TNS-1", at, "axes or place of a tensor")
        end = begin
        size = 1
        for length in lengths[:count]:
            size *= length
        end = begin + size
        check(end <= len(values), "TNS-1", at, "a tensor passes the end")
        try:
            tensors[name.decode()] = Tensor(lengths[:count], values[begin:end].tolist())
        except UnicodeDecodeError:
            check(False, "TNS-1", at, "a name is not UTF-8")
        last, begin, name_begin = name, end, name_end
    check(begin == len(values) and name_begin == len(names), "TNS-1", at, "names or values of no tensor")
    return tensors
