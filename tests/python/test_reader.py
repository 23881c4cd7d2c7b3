"""Holds rvf_reader.py against the fixtures: python3 tests/python/test_reader.py FIXTURES_DIR"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

import rvf_audit as audit
import rvf_metadata as meta
import rvf_reader as rvf
from checks import Test, equal
from rvf_error import RvfError
from rvf_reader import RvfFile, Snapshot
from test_audit import audits
from test_branch import branches

# Corrupt fixtures that this reader takes for sound, and why. It checks every clause that a file can break by itself.
NOT_CHECKED = {"SIG-4": "needs a key: test_audit.py", "SIG-5": "needs a note that was seen before: test_audit.py"}
# Corrupt fixtures that it reports under another clause than their name, and why.
OTHER_CLAUSE: dict[str, tuple[str, str]] = {}
# Corrupt fixtures that only a deep look tells from sound ones.
DEEP = {"IDX-4", "IDX-5", "QNT-2"}
# Corrupt fixtures that break their own clause and no other.
ALONE = ("META-", "MIX-", "AUD-", "SIG-")
LONG_SEGMENT = 1024


def near(a: float, b: float) -> bool:
    """Equal but for the last bit of a binary32, and for the noise of a binary64 sum around zero."""
    return a == b or abs(a - b) <= float(np.spacing(np.float32(abs(b)))) + 1e-12


def compare_hits(snapshot: Snapshot, query: dict[str, Any]) -> None:
    """Distances agree place by place; where ids do not, both records are as near."""
    every = {hit.id: hit.distance for hit in snapshot.search(query["vector"], snapshot.count)}
    found, expected = snapshot.search(query["vector"], query["k"]), query["hits"]
    equal(len(found), len(expected), "number of hits")
    equal(len({hit["id"] for hit in expected}), len(expected), "distinct hits")
    for hit, truth in zip(found, expected, strict=True):
        if not near(hit.distance, truth["distance"]) or not near(every[truth["id"]], truth["distance"]):
            raise AssertionError(f"hit {hit} instead of {truth}")


def shown(fields: dict[str, Any] | None) -> str:
    """Fields as the truth has them; tells 5 from 5.0, 0.0 from -0.0, and 1 from true."""
    return repr(fields and sorted((name, {"$bytes": value.hex()} if isinstance(value, bytes) else value) for name, value in fields.items()))


def found_by_value(column: meta.Column, count: int) -> tuple[list[int], dict[str, list[int]]]:
    """What a META_IDX says of a column, from the values of its records: those with a number, in its order, and those with each entry."""
    values = [(value, p) for p in range(count) if (value := column.value(p)) is not None]
    numbers = [p for _, p in sorted(values)] if column.kind in (meta.I64, meta.F64) else []
    texts = [entry.decode() for entry in column.entries]
    return numbers, {text: [p for value, p in values if text == value or isinstance(value, list) and text in value] for text in texts}


def compare_lookup(lookup: meta.Lookup, columns: meta.Columns) -> None:
    for column in columns.columns:
        numbers, texts = found_by_value(column, columns.count)
        if column.kind in (meta.I64, meta.F64):
            equal(lookup.in_order(columns, column.name), numbers, f"records by {column.name}")
        if column.kind in meta.HAS_ENTRIES:
            equal({text: lookup.find(columns, column.name, text) for text in texts}, texts, f"records found in {column.name}")
            equal(lookup.find(columns, column.name, "\U0010ffff"), [], f"what is not in {column.name}")


def golden(path: Path) -> Iterator[Test]:
    truth = json.loads(path.with_suffix(".json").read_text())
    equal(truth["name"], path.stem, "name")
    file = RvfFile.open(path)
    now = file.newest

    def identity() -> None:
        found = now.dimension, now.dtype, now.metric, now.id_type, now.epoch, now.count, file.file_id.hex(), now.root.state_hash.hex(), now.model
        equal(found, tuple(truth[key] for key in "dim dtype metric id_type epoch count file_id root_hash model".split()), "identity")

    def records() -> None:
        rows = sorted((i, vector) for _, i, vector in now.rows())
        equal([i for i, _ in rows], [record["id"] for record in truth["records"]], "ids")
        equal(len(rows), truth["count"], "count")
        for (i, vector), record in zip(rows, truth["records"], strict=True):
            if "vector" in record:
                equal(vector.tolist(), record["vector"], f"vector of {i}")
            else:
                equal(blake3(vector.tobytes()).hexdigest(), record["vector_blake3"], f"hash of the vector of {i}")

    def lookup() -> None:
        for _, i, vector in now.rows():
            found = now.lookup(i)
            equal(found is not None and found.tobytes(), vector.tobytes(), f"look-up of {i}")
        live = set(now.ids())
        absent: set[rvf.Id] = {now.root.next_id} if now.id_type == "u64" else {"", "\U0010ffff"}
        for wanted in absent.union(*(vec.ids for vec in now.vecs)):
            equal(now.lookup(wanted) is not None, wanted in live, f"presence of {wanted}")

    def metadata() -> None:
        for record in truth["records"]:
            equal(shown(now.metadata(record["id"])), shown(record.get("metadata", {})), f"metadata of {record['id']}")
        for gone in {i for vec in now.vecs for i in vec.ids} - set(now.ids()):
            equal(now.metadata(gone), None, f"metadata of {gone}")

    def lookups() -> None:
        long = [columns.span for columns in now.columns if columns.count >= LONG_SEGMENT]
        equal([lookup.span for lookup in now.lookups if lookup.span in long], long, "META segments with a META_IDX")
        for lookup in now.lookups:
            columns, = now.columns_of(lookup)
            compare_lookup(lookup, columns)

    def history() -> None:
        found = [{"epoch": s.epoch, "count": len(s.ids()), "root_hash": s.state_hash().hex()} for s in map(file.at_epoch, file.epochs())]
        equal(found, truth["epochs"], "epochs")

    def log() -> None:
        keys = "index epoch time_ns added deleted count actor".split()
        found = [{key: getattr(e, key) for key in keys} | {"operation": str(e.operation), "entry_hash": e.hash.hex()} for e in now.log]
        equal(found, truth["log"], "log")

    def tree() -> None:
        """Files of before there was the tree have no root of it, neither in their truth nor in their roots."""
        if "tree_root" in truth:
            equal(audit.tree_root(audit.leaves_of(now.log)).hex(), truth["tree_root"], "root of the tree, from the entries")
        equal(now.root.witness_tree.hex(), truth.get("tree_root", bytes(32).hex()), "root of the tree")
        equal(now.root.features_read_only & audit.TREE_BIT, int("tree_root" in truth), "feature bit TREE")

    def learned() -> None:
        found = [event._asdict() for event in now.feedback]
        equal(found, truth.get("feedback", []), "feedback")
        for kind, name in (rvf.GRAPH, "graph"), (rvf.OVERLAY, "overlay"), (rvf.POLICY_KERNEL, "plan"):
            equal({tensor: one._asdict() for tensor, one in now.tensors(kind).items()}, truth.get(name, {}), name)

    def search() -> None:
        for query in truth["queries"]:
            compare_hits(now, query)

    def graphs() -> None:
        keys = "nodes stride cells code m ef_construction seed linked".split()
        for index, expected in zip(now.indexes, truth["indexes"], strict=True):
            equal({key: getattr(index, key) for key in keys}, {key: expected[key] for key in keys}, "facts of an INDEX")
            found = [index.links.shape[1], len(index.pivots), [list(run) for run in index.runs], [list(point) for point in index.effort]]
            equal(found, [expected[key] for key in ("degree", "pivots", "runs", "effort")], "INDEX")
            quants = [{"code": q.code, "step": q.step, "stride": q.stride, "offsets": q.offsets.tolist()} for q in now.quants_of(index)]
            equal(quants, [expected["quant"]] * (expected["quant"] is not None), "QUANT")
            for quant in now.quants_of(index):
                rows, stands_for = now.stored_rows(index), quant.components(quant.codes)
                if quant.code == rvf.SQ4:
                    codes, rows = quant.halves(quant.codes), quant.project(rows, now.metric)
                    whole, near = (codes > 0) & (codes < 15), 0.6
                else:
                    whole, near = abs(quant.codes[:, : now.dimension].astype("i2")) < 127, 0.51
                equal((abs(stands_for - rows) / quant.step)[whole].max() < near, True, "codes stand for their rows")

    def walks() -> None:
        """The walk finds nearly all, and gives live records with exact distances."""
        found = wanted = 0
        for query in truth["queries"]:
            every = now.search(query["vector"], now.count)
            exact, hits = every[: query["k"]], now.search_by_walk(query["vector"], query["k"], ef=100)
            equal(all(hit in every for hit in hits), True, "hits are live and exact")
            equal(hits, sorted(hits, key=lambda hit: (hit.distance, hit.id)), "order of hits")
            found, wanted = found + sum(hit in exact for hit in hits), wanted + len(exact)
            for index in now.indexes:
                kept = set(now.walk(index, query["vector"], 100))
                equal((len(kept), kept & now.dead), (100, set()), "number of nodes kept, dead ones among them")
        equal(found >= 0.95 * wanted, True, f"recall {found / wanted}")

    yield "identity", identity
    if "indexes" in truth:
        yield "graphs", graphs
        yield "walks", walks
    yield "what is learned", learned
    yield "records", records
    yield "look-up", lookup
    yield "metadata", metadata
    if any("metadata" in record for record in truth["records"]):
        yield "META_IDX", lookups
    yield "history", history
    yield "log", log
    yield "tree", tree
    yield "search", search
    yield "verify", lambda: equal([str(finding) for finding in rvf.verify(path, deep=True)], [], "findings")


def corrupt(path: Path) -> None:
    """The file named after a clause is refused or has a finding, and one that names the clause."""
    findings = {finding.clause for finding in rvf.verify(path, deep=True)}
    if path.stem in DEEP:
        equal({finding.clause for finding in rvf.verify(path)}, set(), "findings that take no deep look")
        equal(findings, {path.stem}, "findings of a deep look")
    if path.stem in NOT_CHECKED:
        return equal(findings, set(), "findings in spite of NOT_CHECKED")
    expected = OTHER_CLAUSE.get(path.stem, (path.stem, ""))[0]
    if expected not in findings:
        raise AssertionError(f"findings {sorted(findings)} do not name {expected}")
    if path.stem.startswith(ALONE):
        equal(findings, {path.stem}, "findings")


def findings_of(data: bytes) -> set[str]:
    with tempfile.NamedTemporaryFile(suffix=".rvf") as file:
        file.write(data)
        file.flush()
        return {finding.clause for finding in rvf.verify(file.name)}


class Changed:
    """A copy of a file whose payloads can be changed under hashes that are taken for right."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray(path.read_bytes())
        self.entries = RvfFile(bytes(self.data)).newest.segments.values()

    def sections(self, kind: int, form: int = 1) -> list[dict[int, tuple[int, int, int]]]:
        """Place, length and mask of the sections of each segment of a kind."""
        found = [rvf.Payload(bytes(self.data), e.offset, e.end, kind) for e in self.entries if e.kind == kind]
        return [payload.sections for payload in found if payload.form == form]

    def newest(self) -> Snapshot:
        now = RvfFile(bytes(self.data)).newest
        now.checked |= {("hash", entry.offset) for entry in self.entries}
        return now

    def findings(self) -> set[str]:
        now = self.newest()
        found = [finding for part in ("columns", "deltas", "lookups") for finding in rvf.caught(partial(getattr, now, part))]
        return {finding.clause for finding in [*found, *now.verify_columns(), *now.verify_metadata()]}


def metadata_itself(v1: Path) -> Iterator[Test]:
    """Columns, their look-up and Roaring sets under changes."""
    path = v1 / "metadata.rvf"

    def roaring_sets() -> None:
        runs, few = range(11, 16), [1, 3]
        equal(meta.to_roaring(runs).hex(), "3b300000" "01" "00000400" "0100" "0b000400", "a set of one run")
        equal(meta.to_roaring(few).hex(), "3a300000" "01000000" "00000100" "10000000" "01000300", "a set of one list")
        forms = [list(range(70_000)), list(range(0, 20_000, 2)), [5 << 16, 5 << 16 | 9], list(range(0, 400_000, 3)), [*range(300_000), 900_000], []]
        for numbers in forms:
            stored = meta.to_roaring(numbers)
            equal(meta.from_roaring(stored + bytes(3)), (numbers, len(stored)), "a set, written and read")
        equal([len(meta.to_roaring(numbers)) for numbers in forms], [25, 8208, 20, 53740, 85, 8], "bytes of sets")

    def golden_sets() -> None:
        for stored in json.loads((v1 / "roaring.json").read_text()):
            numbers = [n for first, last, step in stored["stretches"] for n in range(first, last + 1, step)]
            found = bytes.fromhex(stored["bytes"])
            equal(meta.from_roaring(found), (numbers, len(found)), f"{stored['name']}, read")
            equal(meta.to_roaring(numbers).hex(), stored["bytes"], f"{stored['name']}, written")

    def every_byte_of_lookups() -> None:
        copy = Changed(path)
        segments = copy.sections(rvf.META_IDX)
        equal(len(segments), 1, "number of META_IDX segments")
        (facts, _, _), (fields, length, _), (data, size, _) = (segments[0][tag] for tag in (1, 2, 3))
        for at in [*range(facts, facts + 16), *range(fields, fields + length, 5), *range(data, data + size, 397), data + size - 1]:
            copy.data[at] ^= 0x04
            found = copy.findings()
            if not found or not found <= {"MIX-1", "MIX-2", "PAY-6"}:
                raise AssertionError(f"a flipped bit at byte {at} gives {found}")
            copy.data[at] ^= 0x04
        equal(copy.findings(), set(), "findings without a change")

    def broken_columns() -> None:
        """One change of a field of META each, and its clause."""
        fields = Changed(path).sections(rvf.META, form=2)[0][3][0]
        names = [column.name for column in RvfFile.open(path).newest.columns[0].columns]
        changes: list[tuple[str, str, int, str]] = [  # what is below 0 is added
            ("all", "name_length", 0, "META-2"), ("all", "width", 3, "META-2"), ("flag", "kind", 7, "META-2"), ("word", "reserved", 1, "META-2"),
            ("tags", "starts", 1 << 30, "META-2"), ("raw", "texts", 1 << 30, "META-2"), ("word", "name", 0, "META-2"),
            ("count", "present", -1, "META-3"), ("count", "base", (1 << 63) - 1, "META-3"), ("all", "entries", 1, "META-3"),
            ("tags", "texts", 1, "META-3"), ("tags", "entries", -1, "META-3"), ("raw", "texts", -1, "META-3"),
            ("tags", "item_count", -1, "META-3"), ("word", "texts", -1, "META-3")]
        for name, part, value, clause in changes:
            copy = Changed(path)
            at = fields + names.index(name) * meta.FIELD.size
            field = meta.Field._make(meta.FIELD.unpack_from(copy.data, at))
            meta.FIELD.pack_into(copy.data, at, *field._replace(**{part: value + (getattr(field, part) if value < 0 else 0)}))
            equal(copy.findings(), {clause}, f"findings where {part} of {name} is {value}")

    def both_kinds_of_numbers() -> None:
        """META-5: a field that is i64 in META and f64 in a DELTA. The i64 field `count` of META gets the name of the DELTA's `extra`."""
        copy, before = Changed(path), RvfFile.open(path).newest
        sections, size = copy.sections(rvf.META, form=2)[0], meta.FIELD.size
        begin, names = sections[3][0] + size, sections[4][0]
        count, edge = copy.data[begin : begin + size], copy.data[begin + size : begin + 2 * size]
        copy.data[begin : begin + 2 * size] = edge + count  # in the order of names
        at = names + int.from_bytes(count[:4], "little")
        equal(copy.data[at : at + 5], b"count", "name of a field")
        copy.data[at : at + 5] = b"extra"
        equal(copy.findings(), {"MIX-2"}, "findings where both kinds are numbers")
        now, changed = copy.newest(), {row for delta in before.deltas for row in delta.rows}
        for row, i, _ in before.rows():
            if row not in changed:
                fields: dict[str, Any] = dict(before.metadata(i) or {})
                if "count" in fields:
                    fields["extra"] = float(fields.pop("count"))
                equal(shown(now.metadata(i)), shown(fields), f"metadata of {i}")
        copy.data[begin + size + 16 : begin + size + 24] = ((1 << 53) + 1).to_bytes(8, "little")
        equal(copy.findings(), {"MIX-2", "META-5"}, "findings where a whole number is no binary64")

    def hostile_columns() -> None:
        """Sections full of anything: whatever is read is a value or a deviation."""
        random = np.random.default_rng(1)
        clauses: set[str] = set()
        sections = [(rvf.META, 2, tag) for tag in (3, 4, 5)] + [(rvf.DELTA, 1, tag) for tag in (2, 5)] + [(rvf.META_IDX, 1, tag) for tag in (2, 3)]
        for kind, form, tag in sections:
            for share in 1, 0.01, 0.002:
                copy = Changed(path)
                begin, length, _ = copy.sections(kind, form)[0][tag]
                for at in random.choice(length, max(1, int(length * share)), replace=False).tolist():
                    copy.data[begin + at] = random.integers(256)
                clauses |= copy.findings()
                now = copy.newest()
                steps: list[Callable[[], object]] = [partial(now.metadata, i) for i in now.ids()[:60]]
                steps.append(partial(find_all, now))
                clauses |= {error.clause for step in steps for error in rvf.caught(step)}
        equal(clauses >= {"META-2", "META-3", "MIX-1", "MIX-2"}, True, "clauses that were found broken")

    def find_all(now: Snapshot) -> None:
        for lookup in now.lookups:
            for columns in now.columns_of(lookup):
                for column in columns.columns:
                    for entry in column.entries:
                        lookup.find(columns, column.name, entry.decode(errors="replace"))

    yield "Roaring sets", roaring_sets
    yield "golden Roaring sets", golden_sets
    yield "flipped bits of META_IDX", every_byte_of_lookups
    yield "broken columns", broken_columns
    yield "both kinds of numbers", both_kinds_of_numbers
    yield "hostile columns", hostile_columns


def itself(v1: Path) -> Iterator[Test]:
    """Properties that need no truth from outside."""
    empty, large = (v1 / "empty.rvf").read_bytes(), (v1 / "large.rvf").read_bytes()

    def blake3_of_groups() -> None:
        for pages in 5, 8, 9, 12, 13, 37:
            data = large[: pages * rvf.PAGE]
            nodes = np.stack([rvf.group_value(data[b : b + rvf.GROUP], n) for n, b in enumerate(range(0, len(data), rvf.GROUP))])
            while len(nodes) > 2:
                nodes = rvf.next_level(nodes)
            top = rvf.parent(nodes[:1], nodes[1:], rvf.PARENT | rvf.IS_ROOT).astype("<u4").tobytes()
            equal(top, blake3(data).digest(), f"BLAKE3 of {pages} pages")

    def single_groups() -> None:
        file = RvfFile(large)
        trees = file.newest.trees()
        equal(len(trees) > 0, True, "there are trees")
        for tree in trees:
            target = file.newest.segments[tree.segment_id]
            groups = -(-target.length // rvf.GROUP)
            for number in {0, 1, groups // 2, groups - 1}:
                tree.verify_group(large, target, number)
                at = target.offset + number * rvf.GROUP + 77
                try:
                    tree.verify_group(large[:at] + bytes([large[at] ^ 1]) + large[at + 1 :], target, number)
                except RvfError as error:
                    equal(error.clause, "TREE-1", "clause")
                else:
                    raise AssertionError("a flipped bit went unseen")

    def tails() -> None:
        data = (v1 / "f32-l2.rvf").read_bytes()
        last = RvfFile(data).newest
        equal(findings_of(data + b"torn"), {"TAIL-1"}, "findings after a short tail")
        equal(findings_of(data + bytes(9000)), {"TAIL-1"}, "findings after a tail of zeros")
        torn = data[: last.root.own_offset]
        equal(RvfFile(torn).newest.epoch, last.epoch - 1, "epoch without the last page")
        equal(findings_of(torn), {"TAIL-1", "TAIL-2"}, "findings without the last page")

    def every_byte() -> None:
        for at in [*range(0, len(empty), 61), *range(len(empty) - 8, len(empty))]:
            if not findings_of(empty[:at] + bytes([empty[at] ^ 0x10]) + empty[at + 1 :]):
                raise AssertionError(f"a flipped bit at byte {at} went unseen")

    def hostile_graphs() -> None:
        """Links, pivots and cells that lead anywhere: a walk ends and its hits are live."""
        data = bytearray((v1 / "indexed-u8.rvf").read_bytes())
        entry = RvfFile(bytes(data)).newest.indexes[0].entry
        sections = rvf.Payload(bytes(data), entry.offset, entry.end, rvf.INDEX).sections
        random = np.random.default_rng(1)
        for tag in 3, 4, 5:
            for bound in 1300, 1 << 32:
                begin, length, _ = sections[tag]
                changed = data[:begin] + random.integers(0, bound, length // 4).astype("<u4").tobytes() + data[begin + length :]
                now = RvfFile(bytes(changed)).newest
                now.checked.add(("hash", entry.offset))
                hits, live = now.search_by_walk([1] * 8, 10, 50), set(now.ids())
                equal(all(hit.id in live for hit in hits), True, "hits are live")
                equal("IDX-3" in {finding.clause for finding in now.indexes[0].verify()}, True, "IDX-3 is found")

    yield "hostile graphs", hostile_graphs
    yield "BLAKE3 of groups", blake3_of_groups
    yield "single groups of trees", single_groups
    yield "uncommitted tails", tails
    yield "flipped bits", every_byte


def main(fixtures: Path) -> int:
    tests: list[Test] = []
    failed = 0

    def attempt(name: str, test: Callable[[], None]) -> None:
        nonlocal failed
        try:
            test()
        except Exception as error:  # a reader that fails in an unforeseen way fails the test, too
            failed += 1
            print(f"FAILED {name}: {error}")
            if not isinstance(error, AssertionError | RvfError):
                traceback.print_exc()

    def gather(path: Path) -> None:
        tests.extend((f"{path.parent.name}/{path.stem}: {name}", test) for name, test in golden(path))
        equal("tree_root" in json.loads(path.with_suffix(".json").read_text()), path.parent == v1, "a tree in the truth")

    v1, before = fixtures / "v1", fixtures / "v1-before-tree"
    found = [sorted(folder.glob("*.rvf")) for folder in (v1, before)]
    for path in [*found[0], *found[1]]:
        attempt(f"{path.parent.name}/{path.stem}: open", partial(gather, path))
    opened = sum(map(len, found))
    tests.append(("there are golden fixtures", lambda: equal(all(found), True, "found any")))
    tests += [(f"itself: {name}", test) for name, test in [*itself(v1), *metadata_itself(v1), *branches(v1), *audits(v1)]]
    tests += [(f"corrupt {path.stem}", partial(corrupt, path)) for path in sorted((fixtures / "corrupt").glob("*.rvf"))]
    for name, test in tests:
        attempt(name, test)
    print(f"{opened + len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "fixtures")))
