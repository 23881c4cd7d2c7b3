"""Branches: files of a lineage that rvf_maker.py writes, and one on top of a golden file, read, searched, looked for and verified."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import rvf_branch as branch
import rvf_metadata as meta
import rvf_reader as rvf
from checks import Test, equal
from rvf_error import RvfError, caught
from rvf_maker import Maker, row_set
from rvf_reader import RvfFile, Snapshot

BASE, CHILD, LAST = b"B" * 16, b"C" * 16, b"L" * 16
Seen = dict[object, tuple[list[float], int | None]]  # id: vector, and the value of the field "n"


def vector(number: int) -> list[float]:
    return [float(number), float(number % 3)]


def base() -> Maker:
    """Rows 0 to 9 with ids 0 to 9; row 9 is dead."""
    maker = Maker(BASE, 2, live_count=9, next_row=10, next_id=50).rows(0, [(i, vector(i)) for i in range(10)])
    return maker.numbers(rvf.META, "n", {i: 100 + i for i in range(10)}).numbers(meta.DELTA, "n", {2: 7, 4: 7}).dead(9)


def child(parent: Snapshot, path: str = "base.rvf", **root: object) -> Maker:
    """Replaces id 3, deletes id 5, has ids 60 and 61, changes "n" of ids 2 and 60; row 13 is dead."""
    maker = Maker(CHILD, 2, **(dict(live_count=10, next_row=14, next_id=70) | root)).parent(parent, path)
    maker.rows(10, [(3, vector(33)), (60, vector(60)), (61, vector(61)), (62, vector(62))]).row_set(branch.COW_MAP, [3, 5])
    return maker.dead(13).numbers(meta.DELTA, "n", {2: 8, 11: 9})


def last(parent: Snapshot, **root: object) -> Maker:
    """Of rows that its parent sees: 0, 2, 10 and 11, and of those 0 is deleted. Changes "n" of id 2 again."""
    maker = Maker(LAST, 2, **(dict(live_count=4, next_row=15, next_id=70) | root)).parent(parent, "child.rvf")
    maker.rows(14, [(0, vector(90))]).row_set(branch.COW_MAP, [0]).row_set(branch.MEMBERSHIP, [0, 2, 5, 10, 11], form=1)
    return maker.numbers(meta.DELTA, "n", {2: 1})


CHILD_SEES: Seen = {0: (vector(0), 100), 1: (vector(1), 101), 2: (vector(2), 8), 3: (vector(33), None), 4: (vector(4), 7), 6: (vector(6), 106),
                    7: (vector(7), 107), 8: (vector(8), 108), 60: (vector(60), 9), 61: (vector(61), None)}
LAST_SEES: Seen = {0: (vector(90), None), 2: (vector(2), 1), 3: (vector(33), None), 60: (vector(60), 9)}


class Lineage:
    """A folder with base.rvf, child.rvf and last.rvf."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.write("base", base())
        self.write("child", child(self.open("base")))
        self.write("last", last(self.open("child")))

    def write(self, name: str, maker: Maker) -> Path:
        path = self.folder / f"{name}.rvf"
        path.write_bytes(maker.made())
        return path

    def open(self, name: str) -> Snapshot:
        return RvfFile.open(self.folder / f"{name}.rvf").newest

    def findings(self, name: str, maker: Maker) -> set[str]:
        return {finding.clause for finding in rvf.verify(self.write(name, maker))}


def seen(now: Snapshot) -> Seen:
    return {i: (vector.tolist(), (now.metadata(i) or {}).get("n")) for _, i, vector in now.rows()}


def refused(open_it: Callable[[], object], why: str) -> None:
    try:
        open_it()
    except branch.ParentError as error:
        equal(why in str(error), True, f"{why!r} in {str(error)!r}")
    else:
        raise AssertionError(f"opened in spite of: {why}")


def reading() -> Iterator[tuple[str, Callable[[Lineage], None]]]:
    def contents(files: Lineage) -> None:
        for name, expected in ("child", CHILD_SEES), ("last", LAST_SEES):
            now = files.open(name)
            equal(seen(now), expected, f"what {name} sees")
            equal(now.count, len(expected), f"live count of {name}")
            for i in range(70):
                found = now.lookup(i)
                equal(found is not None and found.tolist(), expected[i][0] if i in expected else False, f"id {i} of {name}")
            equal([str(finding) for finding in rvf.verify(files.folder / f"{name}.rvf", deep=True)], [], f"findings in {name}")

    def search(files: Lineage) -> None:
        for name, expected in ("child", CHILD_SEES), ("last", LAST_SEES):
            now = files.open(name)
            for query in [4.4, 0.0], [33.0, 1.0], [89.0, 0.0]:
                truth = sorted((sum((a - b) ** 2 for a, b in zip(query, v)), i) for i, (v, _) in expected.items())
                equal([hit.id for hit in now.search(query, 5)], [i for _, i in truth[:5]], f"hits for {query} in {name}")

    def exclusion(files: Lineage) -> None:
        maker = last(files.open("child"), live_count=9)
        maker.entries = maker.entries[:-2]  # an exclude set in place of MEMBERSHIP and DELTA
        maker.data = maker.data[: maker.entries[-1].end]
        files.write("last", maker.row_set(branch.MEMBERSHIP, [1, 10], form=2))
        equal(seen(files.open("last")), {i: s for i, s in CHILD_SEES.items() if i not in (0, 1, 3)} | {0: (vector(90), None)}, "all but some")
        equal(rvf.verify(files.folder / "last.rvf")[0].clause, "ROOT-7", "finding where the live count is wrong by one")

    def later_commits_are_not_seen(files: Lineage) -> None:
        """The parent is the commit, not the file: another file with its id does not do, wherever it stands."""
        (files.folder / "base.rvf").rename(files.folder / "other name.rvf")
        equal(seen(files.open("last")), LAST_SEES, "with the base under another name")
        files.write("base", base().dead(1))
        equal(seen(files.open("last")), LAST_SEES, "with another file under the name of the base")

    def places(files: Lineage) -> None:
        with tempfile.TemporaryDirectory() as elsewhere:
            for name in "base", "child":
                shutil.move(files.folder / f"{name}.rvf", elsewhere)
            path = files.folder / "last.rvf"
            refused(lambda: RvfFile.open(path).newest, "no such file")
            equal(seen(RvfFile.open(path, folders=[elsewhere]).newest), LAST_SEES, "parents in another folder")
            Path(elsewhere, "base.rvf").unlink()
            refused(lambda: RvfFile.open(path, folders=[elsewhere]).newest, "'base.rvf'")
            equal(rvf.verify(path), [], "findings in a branch without its parents")
        refused(lambda: RvfFile(path.read_bytes()).newest, "no such file")

    yield "contents", contents
    yield "search", search
    yield "exclude sets", exclusion
    yield "another file in place of the parent", later_commits_are_not_seen
    yield "where parents are", places


def refusals(files: Lineage) -> None:
    """BRN-3: each part of it alone."""
    parent, path = files.open("base"), files.folder / "base.rvf"
    wrong: dict[str, dict[str, object]] = {
        "state hash": {"parent_hash": bytes(32)}, "depth": {"lineage_depth": 2}, "epoch 2 is not kept": {"parent_epoch": 2}, "no such file": {"parent_id": b"?" * 16}}
    for why, root in wrong.items():
        branch_path = files.write("wrong", child(parent, **root))
        refused(lambda: RvfFile.open(branch_path).newest, why)
    for why, maker in ("next row", child(parent).parent(parent, "base.rvf", first_row=9)), ("schema", Maker(CHILD, 2, metric=1).parent(parent, "base.rvf")):
        branch_path = files.write("wrong", maker)
        refused(lambda: RvfFile.open(branch_path).newest, why)
    mixed = RvfFile.open(files.write("wrong", child(parent).rows(9, [(65, vector(1))])))
    equal([error.clause for error in caught(lambda: mixed.newest)], ["BRN-2"], "a branch with rows among inherited ones")
    equal([error.clause for error in caught(lambda: RvfFile(child(parent, lineage_depth=0).made()))], ["BRN-1"], "opening a file that names half a parent")
    (files.folder / "below").mkdir()
    for name in str(path), "nowhere/base.rvf", "x" * 300, "below/moved", str(files.folder / "below/moved"):
        if name == "below/moved":
            path.rename(files.folder / name)
        equal(seen(RvfFile.open(files.write("wrong", child(parent, name))).newest), CHILD_SEES, f"by the path {name[:40]}")


def clauses(files: Lineage) -> None:
    """What a file breaks by itself."""
    parent = files.open("base")
    long = branch.BRANCH_FACTS.pack(10, 9, 0, 0) + b"p" * 4097

    def with_fact(fact: bytes) -> Maker:
        maker = child(parent)
        maker.facts[branch.BRANCH] = fact
        return maker

    def merging(*parents: tuple[bytes, int, int, bytes]) -> Maker:
        maker = base()
        maker.facts[branch.MERGED] = b"".join(branch.MERGE_PARENT.pack(*one) for one in parents)
        return maker

    def with_branches(*entries: tuple[int, bytes, int]) -> Maker:
        maker = base().add(branch.REFCOUNT, {1: b"".join(branch.BRANCH_ENTRY.pack(*entry) for entry in entries)})
        maker.facts[rvf.PINS] = bytes([1]) + bytes(7)
        return maker

    def again(**root: object) -> Maker:
        """With a commit before that is sound."""
        maker = child(parent)
        maker.made()
        maker.root |= root
        return maker

    swapped = row_set([3, 5])[:-4] + bytes([5, 0, 3, 0])
    one, two = (1, b"1" * 16, 0), (1, b"2" * 16, 0)
    cases: dict[str, tuple[Maker, str | None]] = {
        "no bit": (child(parent, features_incompatible=0), "BRN-1"), "no depth": (child(parent, lineage_depth=0), "BRN-1"), "too deep": (child(parent, lineage_depth=65), "BRN-1"),
        "epoch 0": (child(parent, parent_epoch=0), "BRN-1"), "its own parent": (child(parent, parent_id=CHILD), "BRN-1"), "no parent": (child(parent, parent_id=bytes(16)), "BRN-1"),
        "no fact": (with_fact(b""), "BRN-1"), "no path": (with_fact(bytes(32)), "BRN-1"), "a long path": (with_fact(long), "BRN-1"), "the longest": (with_fact(long[:-1]), None),
        "NUL": (with_fact(long[:40] + b"\0"), "BRN-1"), "no UTF-8": (with_fact(long[:40] + b"\xff"), "BRN-1"), "reserved": (with_fact(long[:31] + b"\1p"), "BRN-1"),
        "a second commit": (again(), None), "then another parent": (again(parent_id=b"?" * 16), "ROOT-8"), "then another epoch": (again(parent_epoch=2), "ROOT-8"),
        "a bit that is not known": (child(parent, features_incompatible=3), "VER-1"),
        "the next row inherited": (Maker(CHILD, 2, live_count=9, next_row=9).parent(parent, "base.rvf"), "BRN-2"),
        "own rows too low": (child(parent).rows(9, [(65, vector(1))]), "BRN-2"), "inherited row dead": (child(parent).dead(9), "BRN-2"), "own row hidden": (child(parent).row_set(branch.COW_MAP, [10]), "BRN-2"),
        "two memberships": (child(parent, live_count=3).row_set(branch.MEMBERSHIP, [9], 1).row_set(branch.MEMBERSHIP, [9], 1), "BRN-2"), "a map without a parent": (base().row_set(branch.COW_MAP, [1]), "BRN-2"),
        "swapped": (child(parent).add(branch.COW_MAP, {1: swapped}), "COW-1"), "empty": (child(parent).row_set(branch.COW_MAP, []), "COW-1"), "cut": (child(parent).add(branch.COW_MAP, {1: row_set([1])[:-1]}), "COW-1"),
        "bytes behind": (child(parent).add(branch.COW_MAP, {1: row_set([1]) + bytes(4)}), "COW-1"), "padding": (child(parent).add(branch.COW_MAP, {1: row_set([5]) + bytes(3)}), None),
        "a third form": (child(parent).row_set(branch.MEMBERSHIP, [1], 3), "PAY-1"), "no rows": (child(parent).add(branch.COW_MAP, {}), "PAY-6"),
        "branches": (with_branches(one, two), None), "branches out of order": (with_branches(two, one), "REF-1"), "not pinned": (with_branches((2, *one[1:])), "REF-1"), "reserved of a branch": (with_branches((*one[:2], 1)), "REF-1"),
        "merged": (merging((b"1" * 16, 1, 0, bytes(32))), None), "merged twice": (merging(*2 * [(b"1" * 16, 1, 0, bytes(32))]), "MAN-9"),
        "fewer live than own": (child(parent, live_count=2), "ROOT-7"), "fewer live than seen": (child(parent, live_count=9), "ROOT-7"), "an inherited id again": (child(parent, live_count=11, next_row=15).rows(14, [(4, vector(4))]), "VEC-5")}
    for name, (maker, clause) in cases.items():
        equal(files.findings("case", maker), {clause} - {None}, f"findings where there is: {name}")


def sets_of_rows() -> None:
    for rows in [], [0], [1, 2, 3, 70_000, 5 << 32, (5 << 32) + 1], list(range((1 << 32) - 9, (1 << 32) + 9)), [(1 << 64) - 2]:
        equal(branch.row_set(row_set(rows), 0), rows, "a row set, written and read")
    equal(row_set([7, (1 << 32) + 7]).hex(), "0200000000000000" + "".join(high + "3a300000" "01000000" "00000000" "10000000" "0700" for high in ("00000000", "01000000")), "bytes of a row set")
    broken = {"an empty bucket": "3a300000" "00000000", "keys that fall": "3a300000" "02000000" "0100" "0000" "0000" "0000" "18000000" "1a000000" "0700" "0700",
              "runs that touch": "3b300000" "01" "0000" "0900" "0200" "00000400" "05000400", "a wrong place": "3a300000" "01000000" "0000" "0000" "12000000" "0700"}
    for name, bucket in broken.items():
        found = list(caught(lambda: branch.row_set(bytes.fromhex("0100000000000000" "00000000" + bucket), 0)))
        equal([error.clause for error in found], ["COW-1"], name)
    stored, random = row_set([*range(100), *range(70_000, 200_000, 3), 5 << 32]), np.random.default_rng(1)
    for at in [*range(90), *random.integers(0, len(stored), 300).tolist()]:
        changed = stored[:at] + bytes([stored[at] ^ 1 << int(random.integers(8))]) + stored[at + 1 :]
        try:
            rows = branch.row_set(changed, 0)
        except RvfError as error:
            equal(error.clause, "COW-1", "clause")
        else:
            equal(sorted(set(rows)), rows, "rows of a changed set ascend")


def chain_of_branches(files: Lineage) -> None:
    """As deep as may be, and one deeper; a missing base is found out at once."""
    files.write("0", base())
    for depth in range(1, 65):
        maker = Maker(bytes([depth]) * 16, 2, live_count=9).parent(files.open(str(depth - 1)), f"{depth - 1}.rvf")
        files.write(str(depth), maker)
    equal(sorted(files.open("64").ids()), list(range(9)), "ids at depth 64")
    equal(files.findings("65", Maker(b"65" * 8, 2, live_count=9).parent(files.open("64"), "64.rvf")), {"BRN-1"}, "findings at depth 65")
    for name in "0", "base":
        (files.folder / f"{name}.rvf").unlink()
    refused(lambda: files.open("64"), "'0.rvf'")


def on_a_graph(v1: Path, files: Lineage) -> None:
    """A branch walks the graph of its parent, and no row that it does not see is a hit."""
    shutil.copy(v1 / "indexed.rvf", files.folder)
    parent = files.open("indexed")
    rows = [row for row, _, _ in parent.rows()]
    maker = Maker(CHILD, parent.dimension, live_count=parent.count - 100, next_row=parent.root.next_row + 1, next_id=parent.root.next_id + 1)
    maker.parent(parent, "indexed.rvf").row_set(branch.COW_MAP, rows[:101]).rows(parent.root.next_row, [(parent.root.next_id, [0.0] * parent.dimension)])
    equal(files.findings("walked", maker), set(), "findings")
    equal((len(files.open("walked").indexes), files.open("walked").model), (1, "golden"), "graphs and the name of the model")
    now, hidden = files.open("walked"), {i for row, i, _ in parent.rows() if row in rows[:101]}
    found = wanted = 0
    for _, i, query in list(parent.rows())[::40]:
        exact, hits = now.search(query.tolist(), 10), now.search_by_walk(query.tolist(), 10, ef=100)
        equal({hit.id for hit in hits} & hidden, set(), f"hits near {i} that are not seen")
        found, wanted = found + sum(hit in exact for hit in hits), wanted + len(exact)
    equal(found >= 0.95 * wanted, True, f"recall {found / wanted}")
    equal(now.search_by_walk([0.0] * parent.dimension, 1, 16)[0].id, parent.root.next_id, "the nearest, a row of the branch")


def branches(v1: Path) -> Iterator[Test]:
    def in_folder(test: Callable[[Lineage], None]) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                test(Lineage(folder))

        return run

    for name, test in reading():
        yield f"branches, {name}", in_folder(test)
    yield "branches, refused parents", in_folder(refusals)
    yield "branches, clauses", in_folder(clauses)
    yield "branches, sets of rows", sets_of_rows
    yield "branches, depth", in_folder(chain_of_branches)
    yield "branches, on a graph", in_folder(lambda files: on_a_graph(v1, files))
