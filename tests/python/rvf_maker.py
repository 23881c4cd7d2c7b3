"""Writes small files of few commits, for tests of branches: f32 rows with numeric ids, one field of whole numbers. Written from `spec/` alone.

What a file holds need not go together: the reader is to find that.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import xxhash
from blake3 import blake3

import rvf_audit as audit
import rvf_branch as branch
import rvf_metadata as meta
import rvf_reader as rvf

Sections = dict[int, bytes]
Rows = list[tuple[int, list[float]]]  # id and vector of each


class Maker:
    """A file while it is written. `root` holds fields of the root that are set after all others; with the feature bit TREE in it the tree is made, too."""

    def __init__(self, file_id: bytes, dimension: int, metric: int = 0, **root: object) -> None:
        self.file_id, self.dimension, self.metric = file_id, dimension, metric
        self.root: dict[str, object] = dict(live_count=0, next_row=0, next_id=0) | root
        self.facts: dict[int, bytes] = {}
        self.data = bytearray()
        self.entries: list[rvf.Entry] = []
        self.commits: list[rvf.Root] = []
        copy = rvf.IDENTITY.pack(rvf.IDENTITY_MAGIC, 1, rvf.PAGE, file_id, bytes(20), 0)
        copy = copy[:60] + struct.pack("<I", zlib.crc32(copy[:60]))
        self.add(rvf.FILE, {1: copy, 2: copy, 3: copy}, places=(0x100, 0x800, 0xF00))

    def segment(self, kind: int, sections: Sections, form: int, places: Sequence[int], more_pages: int = 0) -> bytes:
        table, body = bytearray(), bytearray(64 + 16 + 32 * len(sections))
        for number, (tag, content) in enumerate(sorted(sections.items())):
            body += bytes((places[number] - len(body)) if places else -len(body) % 64)
            table += rvf.SECTION.pack(tag, 0, len(body), len(content), 0)
            body += content
        body[64 : 80 + len(table)] = rvf.PRELUDE.pack(form, 1, len(sections), 0) + table
        body += bytes(-len(body) % rvf.PAGE + more_pages * rvf.PAGE)
        return self.sealed(kind, self.next_id, body)

    @property
    def next_id(self) -> int:
        return len(self.entries) + len(self.commits)

    @staticmethod
    def sealed(kind: int, number: int, body: bytearray) -> bytes:
        content = xxhash.xxh3_128_intdigest(bytes(body[64:])).to_bytes(16, "little")
        body[:64] = rvf.HEADER.pack(rvf.SEGMENT_MAGIC, 1, kind, 0, number, len(body) - 64, 0, 1, 0, 0, 0, content, 0, 0)
        return bytes(body)

    def add(self, kind: int, sections: Sections, form: int = 1, span: tuple[int, int] = (0, 0), places: Sequence[int] = ()) -> Maker:
        stored = self.segment(kind, sections, form, places)
        self.entries.append(rvf.Entry(self.next_id, len(self.data), len(stored), kind, 0, 0, 0, *span, 0, len(self.commits) + 1, 0, blake3(stored).digest()))
        self.data += stored
        return self

    def rows(self, base: int, rows: Rows) -> Maker:
        """A VEC segment; ids ascend."""
        ids, vectors = [i for i, _ in rows], np.array([vector for _, vector in rows], "<f4")
        facts = rvf.VEC_FACTS.pack(self.dimension, 0, 0, 0, len(rows), 4 * self.dimension, bytes(16))
        return self.add(rvf.VEC, {1: facts, 2: vectors.tobytes(), 3: np.array(ids, "<u8").tobytes()}, span=(base, len(rows)))

    def dead(self, *rows: int) -> Maker:
        words = [(word, sum(1 << row % 64 for row in bits)) for word, bits in groupby(sorted(rows), lambda row: row // 64)]
        return self.add(rvf.JOURNAL, {1: b"".join(struct.pack("<QQ", *word) for word in words)})

    def numbers(self, kind: int, name: str, values: dict[int, int]) -> Maker:
        """A META of the rows from the first on, or a DELTA of any: the field `name` of each row."""
        field = meta.Field(0, len(name), meta.I64, 8, len(values), 0, 0, meta.EVERY_RECORD, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        sections = {1: meta.FACTS.pack(len(values), 1, 0), 3: meta.FIELD.pack(*field), 4: name.encode(), 5: np.array(list(values.values()), "<u8").tobytes()}
        if kind == meta.DELTA:
            sections[2] = np.array(list(values), "<u8").tobytes()
        return self.add(kind, sections, 1 if kind == meta.DELTA else 2, (min(values), len(values)))

    def row_set(self, kind: int, rows: Sequence[int], form: int = 1) -> Maker:
        return self.add(kind, {1: row_set(rows)}, form)

    def parent(self, parent: rvf.Snapshot, path: str, **facts: int) -> Maker:
        """Names the parent; `next_row` and `next_id` begin where its own stood, unless they are set."""
        root = parent.root
        fields = dict(first_row=root.next_row, count=root.live_count, root_offset=root.own_offset, reserved=0) | facts
        self.facts[branch.BRANCH] = branch.BRANCH_FACTS.pack(*fields.values()) + path.encode()
        named = dict(parent_id=root.file_id, parent_hash=root.state_hash, parent_epoch=root.epoch, lineage_depth=root.lineage_depth + 1, features_incompatible=1)
        self.root = named | {name: value or getattr(root, name, 0) for name, value in self.root.items()}
        return self

    def made(self) -> bytes:
        """The file with a commit of what there is."""
        at, before = len(self.data), len(self.commits)
        added = b"".join(rvf.ENTRY.pack(*entry) for entry in self.entries if entry.epoch > before)
        last = self.commits[-1] if before else None
        root = rvf.Root._make(rvf.ROOT.unpack(bytes(rvf.PAGE)))._replace(magic=rvf.ROOT_MAGIC, version=2, dimension=self.dimension, metric=self.metric, epoch_low=before + 1, manifest_offset=at,
                                          file_id=self.file_id, next_segment_id=self.next_id + 1, witness_size=before + 1, since_full=before, previous_root=last.own_offset if last else 0)
        root = root._replace(**self.root)
        segments = {entry.segment_id: entry for entry in self.entries}
        root = root._replace(state_hash=rvf.Snapshot(b"", root, segments, {tag: fact for tag, fact in self.facts.items() if fact}, {}, set()).state_hash())
        log = rvf.LOG_ENTRY.pack(160, 1, 6, before, before + 1, 0, 0, 0, root.live_count, last.witness_head if last else bytes(32), root.state_hash, bytes(32), 0, bytes(6))
        body = bytearray(self.segment(rvf.MANIFEST, {1: added, 3: log} | ({2: b""} if last else {}) | self.facts, 2 if last else 1, (), more_pages=1))
        hashed = bytes(body[:0x28]) + bytes(16) + bytes(body[0x38 : -rvf.PAGE])
        root = root._replace(own_offset=at + len(body) - rvf.PAGE, manifest_length=len(body), manifest_hash=blake3(hashed).digest(), witness_head=hashlib.shake_256(log).digest(32))
        if root.features_read_only & audit.TREE_BIT:
            leaves = [audit.leaf(commit.witness_head) for commit in [*self.commits, root]]
            root = root._replace(witness_tree=audit.tree_root(leaves), witness_edge=audit.edge(leaves))._replace(**self.root)
        page = rvf.ROOT.pack(*root)
        body[-rvf.PAGE :] = page[:-4] + struct.pack("<I", zlib.crc32(page[:-4]))
        self.data += self.sealed(rvf.MANIFEST, self.next_id, body)
        self.commits.append(root)
        return bytes(self.data)


def row_set(rows: Sequence[int]) -> bytes:
    """Ascending rows as they are stored."""
    buckets = [(high, meta.to_roaring([row & 0xFFFFFFFF for row in low])) for high, low in groupby(rows, lambda row: row >> 32)]
    return struct.pack("<Q", len(buckets)) + b"".join(struct.pack("<I", high) + low for high, low in buckets)
