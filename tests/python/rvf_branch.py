"""Branches: what names the parent of a file, which inherited rows a branch sees, and where the parent is. Written from `spec/branching.md` alone.

Owns the bytes (BRN-1, COW-1, REF-1, merge parents) and the search for the parent (BRN-3). What a commit and those of its parents hold together,
`rvf_reader.py` knows.
"""

from __future__ import annotations

import os.path
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from rvf_error import RvfError, ascends, check
from rvf_metadata import from_roaring

if TYPE_CHECKING:
    from rvf_reader import Entry, Payload, Root, RvfFile, Snapshot

COW_MAP, REFCOUNT, MEMBERSHIP = 0x20, 0x21, 0x22
INCLUDE = 1
BRANCH_BIT, MERGED, BRANCH = 1, 17, 18
DEEPEST, LONGEST_PATH = 64, 4096
BRANCH_FACTS, MERGE_PARENT, BRANCH_ENTRY = struct.Struct("<QQQQ"), struct.Struct("<16sQQ32s"), struct.Struct("<Q16sQ")
assert (BRANCH_FACTS.size, MERGE_PARENT.size, BRANCH_ENTRY.size) == (32, 64, 32)


class ParentRef(NamedTuple):
    """The parent as a branch names it."""

    file_id: bytes; epoch: int; state_hash: bytes; depth: int
    first_row: int; count: int; root_offset: int; path: str


class ParentError(Exception):
    """No file that was found has the commit that a branch goes on from: what the branch holds cannot be told."""

    def __init__(self, needed: ParentRef, tried: Sequence[str]) -> None:
        found = "; ".join(tried) or "no such file"
        super().__init__(f"the parent {needed.path!r} (file id {needed.file_id.hex()}, epoch {needed.epoch}) is not there: {found}")
        self.needed, self.tried = needed, list(tried)


# ---------------------------------------------------------------- bytes


def parent_fields(root: Root) -> tuple[bytes, bytes, int, int, int]:
    """What the root of a file says of its parent, the same in each root (ROOT-8)."""
    return root.parent_id, root.parent_hash, root.parent_epoch, root.lineage_depth, root.features_incompatible & BRANCH_BIT


def parent_of(root: Root, facts: dict[int, bytes]) -> ParentRef | None:
    """The parent that a commit names (BRN-1)."""
    file_id, state_hash, epoch, depth, bit = parent_fields(root)
    at, fact = root.own_offset, facts.get(BRANCH)
    if not (any(file_id) or any(state_hash) or epoch or depth or bit or fact):
        return None
    check(bit and 1 <= depth <= DEEPEST and epoch and any(file_id) and file_id != root.file_id, "BRN-1", at, "fields of the root about the parent")
    check(fact and len(fact) > BRANCH_FACTS.size, "BRN-1", at, "the fact of a branch is missing or cut")
    assert fact
    first_row, count, root_offset, reserved = BRANCH_FACTS.unpack_from(fact)
    try:
        path = fact[BRANCH_FACTS.size :].decode()
    except UnicodeDecodeError:
        raise RvfError("BRN-1", at, "the path of the parent is not UTF-8") from None
    check(not reserved and "\0" not in path and len(fact) - BRANCH_FACTS.size <= LONGEST_PATH, "BRN-1", at, "the fact of a branch is malformed")
    return ParentRef(file_id, epoch, state_hash, depth, first_row, count, root_offset, path)


def merged(facts: dict[int, bytes], at: int) -> list[tuple[bytes, int, bytes]]:
    """File id, epoch and state hash of what was merged into a file (MAN-9)."""
    fact = facts.get(MERGED, b"")
    check(len(fact) % MERGE_PARENT.size == 0, "MAN-9", at, "MERGED is not whole")
    parents = list(MERGE_PARENT.iter_unpack(fact))
    check(ascends([parent[0] for parent in parents]) and not any(parent[2] for parent in parents), "MAN-9", at, "MERGED is out of order or has a reserved field set")
    return [(file_id, epoch, state_hash) for file_id, epoch, _, state_hash in parents]


def row_set(stored: bytes, at: int) -> list[int]:
    """The numbers of a row set (COW-1)."""
    rows: list[int] = []
    try:
        buckets, done = struct.unpack_from("<Q", stored)[0], 8
        for _ in range(buckets):
            high, = struct.unpack_from("<I", stored, done)
            low, length = from_roaring(stored[done + 4 :])
            check(low and (not rows or high > rows[-1] >> 32), "COW-1", at, "an empty bucket, or buckets out of order")
            rows += [high << 32 | number for number in low]
            done += 4 + length
    except (ValueError, struct.error) as error:
        raise RvfError("COW-1", at, f"a row set: {error}") from None
    check(len(stored) - done < 4 and not any(stored[done:]), "COW-1", at, "a row set does not end with its section")
    return rows


class RowSet:
    """A COW_MAP or a MEMBERSHIP."""

    def __init__(self, payload: Payload, entry: Entry) -> None:
        self.entry = entry
        self.includes = entry.kind == MEMBERSHIP and payload.form == INCLUDE
        self.rows = set(row_set(payload.get(1), entry.offset))
        check(self.rows or entry.kind == MEMBERSHIP, "COW-1", entry.offset, "a COW_MAP names no row")

    def left_out(self, inherited: set[int]) -> set[int]:
        """Which of the inherited rows are not seen."""
        return inherited - self.rows if self.includes else inherited & self.rows


def parse_refcount(payload: Payload, entry: Entry) -> list[tuple[int, bytes]]:
    """Epoch and file id of each branch (REF-1)."""
    section = payload.get(1)
    check(len(section) % BRANCH_ENTRY.size == 0, "PAY-6", entry.offset, "not whole entries")
    entries = list(BRANCH_ENTRY.iter_unpack(section))
    check(ascends([(epoch, child) for epoch, child, _ in entries]) and not any(reserved for _, _, reserved in entries), "REF-1", entry.offset, "entries are out of order or have a reserved field set")
    return [(epoch, child) for epoch, child, _ in entries]


# ---------------------------------------------------------------- the search for the parent


def candidates(needed: ParentRef, path: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Files that may be the parent, the likeliest first, each once."""
    beside = [path.parent, *folders]
    likely = [path.parent / needed.path, *(folder / PurePosixPath(needed.path).name for folder in beside)]
    likely += [file for folder in beside for file in sorted(folder.glob("*.rvf"))]
    yield from {file.resolve(): file for file in likely if os.path.isfile(file)}.values()


def what_differs(found: Snapshot, needed: ParentRef, schema: Sequence[int]) -> str | None:
    """Why a commit is not the one that a branch goes on from (BRN-3)."""
    pairs = {
        "state hash": (found.root.state_hash, needed.state_hash), "depth": (found.root.lineage_depth + 1, needed.depth),
        "schema": (found.root.schema, schema), "next row": (found.root.next_row, needed.first_row)}
    return next((name for name, (there, wanted) in pairs.items() if there != wanted), None)


def find_parent(branch: RvfFile, needed: ParentRef, schema: Sequence[int], open_file: Callable[[Path], RvfFile]) -> Snapshot:
    """The commit that a branch with this schema goes on from, with its own parents. Depths fall by one from file to file, so this ends."""
    tried: list[str] = []
    for candidate in candidates(needed, branch.path, branch.folders) if branch.path else ():
        try:
            file = open_file(candidate)
            if file.file_id != needed.file_id:
                continue
            found = file.alone_at(needed.epoch)
        except (RvfError, LookupError, OSError) as error:
            tried.append(f"{candidate.name}: {error}")
            continue
        differs = what_differs(found, needed, schema)
        if differs is None:
            return file.whole(found)
        tried.append(f"{candidate.name}: another {differs}")
    raise ParentError(needed, tried)
