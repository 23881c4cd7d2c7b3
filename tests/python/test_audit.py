"""The tree over the audit entries, notes, Ed25519 and public keys: the golden file `signed`, files that rvf_maker.py writes, and known answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from blake3 import blake3

import rvf_audit as audit
import rvf_ed25519 as curve
import rvf_reader as rvf
from checks import Test, equal
from rvf_error import caught
from rvf_maker import Maker
from rvf_reader import RvfFile

# RFC 8032, 7.1, tests 1 to 3: public key, message, signature.
KNOWN_SIGNATURES = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")]
# Leaves that tools of transparency logs are tested with, and the root over all of them.
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
FILE_ID = b"A" * 16


def flipped(stored: bytes, at: int) -> bytes:
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]


def refused(step: Callable[[], object], what: str) -> None:
    try:
        step()
    except ValueError:
        return
    raise AssertionError(f"{what} was taken")


def encode(point: curve.Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, curve.P)
    return (y * inverse % curve.P | (x * inverse % curve.P & 1) << 255).to_bytes(32, "little")


def ed25519() -> Iterator[Test]:
    def known() -> None:
        for key, message, signature in KNOWN_SIGNATURES:
            public, text, right = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
            equal(curve.ed25519_is_right(public, text, right), True, "a known signature")
            for at in range(0, 64, 7):
                equal(curve.ed25519_is_right(public, text, flipped(right, at)), False, f"with a flipped bit in byte {at}")
            equal(curve.ed25519_is_right(public, text + b"x", right), False, "over another message")
            equal(curve.ed25519_is_right(flipped(public, 0), text, right), False, "by another key")
            for length in 0, 32, 63, 65:
                equal(curve.ed25519_is_right(public, text, (right + b"\0")[:length]), False, f"of {length} bytes")

    def strict() -> None:
        """What other verifiers take: S at or above the order, points of small order or in another form, an equation with the cofactor."""
        public, text, right = (bytes.fromhex(part) for part in KNOWN_SIGNATURES[1])
        larger = int.from_bytes(right[32:], "little") + curve.ORDER
        equal(curve.ed25519_is_right(public, text, right[:32] + larger.to_bytes(32, "little")), False, "S + order")
        one = (1).to_bytes(32, "little")
        for number in curve.P, curve.P + 1, 1 | 1 << 255, 2**255 - 20 | 1 << 255, 2:
            equal(curve.decode(number.to_bytes(32, "little")), None, f"no canonical form of a point: {number:x}")
        secret, once = 1234567, 7654321
        own, r = encode(curve.times(secret, curve.BASE)), encode(curve.times(once, curve.BASE))

        def answer(r: bytes, key: bytes, text: bytes, once: int, secret: int) -> bytes:
            challenge = int.from_bytes(hashlib.sha512(r + key + text).digest(), "little") % curve.ORDER
            return r + ((once + challenge * secret) % curve.ORDER).to_bytes(32, "little")

        equal(curve.ed25519_is_right(own, text, answer(r, own, text, once, secret)), True, "a key and R of large order")
        equal(curve.ed25519_is_right(one, text, answer(r, one, text, once, 0)), False, "a key of small order")
        equal(curve.ed25519_is_right(own, text, answer(one, own, text, 0, secret)), False, "R of small order")
        of_order_2 = curve.decode((curve.P - 1).to_bytes(32, "little"))
        assert of_order_2
        mixed = encode(curve.add(curve.times(secret, curve.BASE), of_order_2))
        for number in range(6):
            text = bytes([number])
            odd = int.from_bytes(hashlib.sha512(r + mixed + text).digest(), "little") % curve.ORDER % 2
            equal(curve.ed25519_is_right(mixed, text, answer(r, mixed, text, once, secret)), not odd, "without the cofactor")

    yield "Ed25519: known signatures", known
    yield "Ed25519: strict", strict


def proofs(leaves: list[bytes]) -> None:
    """Each proof of inclusion and consistency is right, and none of another size, place, root or with a changed, missing or further hash."""
    root = audit.tree_root(leaves)
    for index, leaf in enumerate(leaves):
        path = audit.inclusion(leaves, index)
        equal(audit.root_by_path(leaf, index, len(leaves), path), root, f"inclusion of {index}")
        wrong = [path[1:], [*path, root], *([*path[:i], root, *path[i + 1 :]] for i in range(len(path)))]
        equal([other for other in wrong if other != path and audit.root_by_path(leaf, index, len(leaves), other) == root], [], f"wrong paths of {index}")
        equal(audit.root_by_path(leaf, index ^ 1, len(leaves), path) == root, False, f"inclusion of {index} at another place")
    for old in range(1, len(leaves) + 1):
        before, proof = audit.tree_root(leaves[:old]), audit.consistency(leaves, old)
        equal(audit.goes_on(old, before, len(leaves), root, proof), True, f"consistency with {old}")
        wrong = [proof[1:], [*proof, root], *([*proof[:i], leaves[0][::-1], *proof[i + 1 :]] for i in range(len(proof)))]
        equal([other for other in wrong if other != proof and audit.goes_on(old, before, len(leaves), root, other)], [], f"wrong proofs of {old}")
        equal([audit.goes_on(old, before[::-1], len(leaves), root, proof), audit.goes_on(old, before, len(leaves), root[::-1], proof)], [False, False], "other roots")


def tree() -> Iterator[Test]:
    leaves = [audit.leaf(bytes.fromhex(data)) for data in KNOWN_LEAVES]

    def known() -> None:
        equal(audit.tree_root(leaves).hex(), KNOWN_ROOT, "root over known leaves")
        equal(audit.edge(leaves[:6]), (audit.tree_root(leaves[:4]) + audit.node(*leaves[4:6])).ljust(2048, b"\0"), "edge of six leaves")

    def made() -> None:
        for size in range(1, 9):
            proofs(leaves[:size])

    def roots() -> None:
        """Files with a tree, without one, with one from the third commit on, and what breaks each."""
        equal(findings(FileOf(1, 1, 1, 1, 1)), set(), "a tree in each root")
        equal(findings(FileOf(0, 0, 1, 1)), set(), "a tree from the third root on")
        equal(findings(FileOf(1, 1, 0)), {"ROOT-8"}, "a tree that is taken back")
        for field in "witness_tree", "witness_edge":
            good = FileOf(1, 1, 1).roots[-1]
            equal(findings(FileOf(1, 1, 1, **{field: flipped(getattr(good, field), 31)})), {"AUD-1"}, f"another {field}")
            equal(findings(FileOf(0, 0, **{field: getattr(good, field)})), {"ROOT-4"}, f"{field} without the feature bit")
        equal(findings(FileOf(1, 1, 1, witness_edge=flipped(good.witness_edge, 2047))), {"AUD-1"}, "a byte behind the edge")
        equal(findings(FileOf(1, 1, policy=b"\1\0\0\0")), {"SIG-3"}, "a policy and no note")
        for policy in b"\2\0\0\0", b"\1\0\0", b"\1\0\0\0\0":
            equal(findings(FileOf(1, 1, policy=policy)), {"MAN-9"}, f"policy {policy.hex()}")

    def segments() -> None:
        """Notes in several CRYPTO segments; this reader asks nowhere whether a note stands in the commit that it is about."""
        for later, previous, expected in (2, 1, set()), (2, 0, {"SIG-2"}), (1, 0, {"SIG-1"}):
            maker = Maker(FILE_ID, 2, features_read_only=audit.TREE_BIT)
            maker.made()
            for epoch, before in (1, 0), (later, previous):
                root = maker.commits[epoch - 1]
                lines = [audit.Signature("n", b"hash", b"s")] * 2
                text = audit.Note(audit.Statement(FILE_ID, epoch, root.witness_tree, epoch, root.state_hash, before), lines).text().encode()
                maker.add(audit.CRYPTO, {1: text, 2: len(text).to_bytes(4, "little")}, span=(epoch, 1)).made()
            equal({finding.clause for finding in RvfFile(bytes(maker.data)).verify()}, expected, f"findings of notes about 1 and {later}, after {previous}")

    yield "tree: known answers", known
    yield "notes in several segments", segments
    yield "tree: proofs", made
    yield "tree: roots", roots


class FileOf:
    """A small file: the feature bit TREE of each commit, and fields of the last root."""

    def __init__(self, *bits: int, policy: bytes = b"", **last: object) -> None:
        maker = Maker(FILE_ID, 2)
        for number, bit in enumerate(bits, 1):
            maker.root["features_read_only"] = bit
            if number == len(bits):
                maker.root |= last
                maker.facts |= {audit.POLICY: policy} if policy else {}
            self.data = maker.made()
        self.roots = maker.commits


def findings(file: FileOf) -> set[str]:
    found: set[str] = set()
    for error in caught(lambda: found.update(finding.clause for finding in RvfFile(file.data).verify())):
        found.add(error.clause)
    return found


def signed(v1: Path) -> Iterator[Test]:
    truth = json.loads((v1 / "signed.json").read_text())
    file = RvfFile.open(v1 / "signed.rvf")
    public, notes, log = bytes.fromhex(truth["ed25519_public"]), [note for _, note in file.newest.notes], file.newest.log

    def texts() -> None:
        equal([note.text() for note in notes], truth["notes"], "notes")
        equal(len(notes) > 1 and notes[-1].statement.epoch, truth["epoch"], "epoch of the last note")
        equal([file.at_epoch(epoch).notes[-1][1].statement.epoch for epoch in file.epochs()], file.epochs(), "last notes of the epochs that are kept")

    def signatures() -> None:
        for note in notes:
            name, (first, second) = note.signatures[0].name, note.signatures
            equal((first.key_hash, len(first.signature), len(second.signature)), (audit.ed25519_key_hash(name, public), 64, 3309), "key hash and lengths")
            equal(audit.ed25519_half(note, name, public), True, "an Ed25519 half")
            for part in range(len(note.statement)):
                value = note.statement[part]
                other = note.statement[:part] + (value + 1 if isinstance(value, int) else flipped(value, 7),) + note.statement[part + 1 :]
                equal(audit.ed25519_half(note._replace(statement=audit.Statement(*other)), name, public), False, "with another statement")
            for at in range(0, 64, 9):
                changed = note._replace(signatures=[first._replace(signature=flipped(first.signature, at)), second])
                equal(audit.ed25519_half(changed, name, public), False, f"with a flipped bit in byte {at}")
            equal(audit.ed25519_half(note._replace(signatures=[first, first]), name, public), False, "a line that stands twice")
            equal(audit.ed25519_half(note, name, flipped(public, 0)), False, "by another key")

    def one_form() -> None:
        """Nothing but the one form of a note is one."""
        text = truth["notes"][-1]
        state = text.index("state ") + 6
        equal(audit.parse_note(text.encode()).text(), text, "a note")
        lines = text.split("\n")
        number = [*lines[:1], "0" + lines[1], *lines[2:]]
        changes = [text[:-1], text + "\n", "\n" + text, text.replace("\n", "\r\n"), text.replace("\u2014 ", "- "), text.replace(" rvf-", "  rvf-"), text.replace(" rvf-", " rvf+"),
                   text.replace(" rvf-", " rvf\u00a0"), text.replace(" rvf-", " rvf\x7f"), text.replace("rvf/", "rvf:"), text.replace("epoch ", "epoch 0"), text.replace("epoch ", "epoch +"),
                   text.replace("epoch ", "epoch  "), text.replace("previous ", "previous 99999999999999999999 "), text.replace("+ml-dsa-65", ""), text.replace("\n\n", "\n"), text.replace("\n\n", "\n\n\n"),
                   text[:state] + text[state:].upper(), "\n".join(number), text.replace("=\nepoch", "\nepoch"), text.replace(lines[2], lines[2][:42] + chr(ord(lines[2][42]) + 1) + "="),
                   text.replace("\n\n", "\nmore\n\n"), text.partition("\n\n")[0] + "\n\n", text.partition("\n\n")[0] + "\n\n" + "\u2014 n AAAAAA==\n", text + "\u2014 n AAAAAAA=\n" * 15, text.replace(lines[2], "A" * 44), text.replace(lines[2], "A" * 42 + "=="), text + f"\u2014 {'n' * 65000} AAAAAAA=\n"]
        for changed in changes:
            equal(changed != text, True, "a change")
            refused(partial(audit.parse_note, changed.encode()), f"{changed[:300]!r}")
        refused(partial(audit.parse_note, text.encode().replace(b" rvf-", b" rvf\xff")), "what is not UTF-8")
        more = text + "\u2014 witness AAAAAAA=\n" * 14
        equal(audit.parse_note(more.encode()).text(), more, "a note with lines of witnesses")
        biggest = str((1 << 64) - 1)
        equal(audit.parse_note(text.replace(f"previous {notes[-1].statement.previous}", f"previous {biggest}").encode()).statement.previous, (1 << 64) - 1, "the largest number")
        refused(partial(audit.parse_note, text.replace(f"previous {notes[-1].statement.previous}", f"previous {1 << 64}").encode()), "a number too large")

    def stored() -> None:
        """SIG-1 and SIG-2 under changes of a CRYPTO segment, its manifest entry, and what its notes state."""
        entry = max((e for e in file.newest.segments.values() if e.kind == audit.CRYPTO), key=lambda e: e.rows)
        few = [note for at, note in file.newest.notes if at == entry]
        statement, other = few[0].statement, few[0].signatures[1]._replace(name="other")
        section, ends = b"".join(note.text().encode() for note in few), [sum(len(note.text().encode()) for note in few[: n + 1]) for n in range(len(few))]

        def clause(notes: bytes = section, ends: list[int] = ends, entry: rvf.Entry = entry, cut: int = 0) -> set[str]:
            sections = {1: notes, 2: b"".join(end.to_bytes(4, "little") for end in ends)[: 4 * len(ends) - cut]}
            return {error.clause for error in caught(lambda: audit.parse_notes(InMemory(sections), entry, file.file_id))}  # type: ignore[arg-type]

        equal(clause(), set(), "without a change")
        equal(clause(cut=1), {"PAY-6"}, "ENDS that is cut")
        swapped = few[1].text().encode() + few[0].text().encode() + section[ends[1] :]
        for changed in (partial(clause, ends=[]), partial(clause, b"", []), partial(clause, ends=ends[:-1]), partial(clause, ends=[0, *ends]), partial(clause, ends=ends[1:]), partial(clause, section + b"\n"),
                        partial(clause, swapped, [ends[1] - ends[0], *ends[1:]]), partial(clause, entry=entry._replace(rows=entry.rows + 1)), partial(clause, entry=entry._replace(base_row=entry.base_row - 1))):
            equal(changed(), {"SIG-1"}, f"findings of {changed}")
        one = entry._replace(base_row=statement.epoch, rows=1)
        for note, expected in ((few[0], set()), (few[0]._replace(statement=statement._replace(file_id=bytes(16))), {"SIG-1"}), (few[0]._replace(signatures=few[0].signatures[:1]), {"SIG-1"}),
                               (few[0]._replace(signatures=[*few[0].signatures, other]), {"SIG-1"}), (few[0]._replace(signatures=[few[0].signatures[0], other]), {"SIG-1"})):
            text = note.text().encode()
            equal(clause(text, [len(text)], one), expected, "findings of one note")
        for part, values in {"size": (0, 1, len(log) + 1), "root": (bytes(32),), "epoch": (1,), "state_hash": (bytes(32),), "previous": (1,)}.items():
            for value in values:
                wrong = [(entry, few[0]._replace(statement=statement._replace(**{part: value})))]
                equal({finding.clause for finding in audit.verify_notes(wrong, log)}, {"SIG-2"}, f"findings where {part} is {value!r}")
        equal({finding.clause for finding in audit.verify_notes(file.newest.notes[1:], log)}, {"SIG-2"}, "findings without the first note")

    def seen() -> None:
        """SIG-5: each name, of a note that was seen before."""
        def said(note: audit.Statement, entries: list[rvf.LogEntry] = log, tail: bool = False) -> str | None:
            return audit.departs(note, file.file_id, entries, tail)
        first, last = notes[0].statement, notes[-1].statement
        equal([said(note.statement) for note in notes], [None] * len(notes), "notes of the file itself")
        equal([said(first._replace(file_id=bytes(16))), said(last, log[:-1]), said(last, log[:-1], tail=True)], ["other file", "rollback", "truncation"], "other files and shorter ones")
        place = first.size - 1
        changed = [[*log[:at], replace(log[at], **field), *log[at + 1 :]] for at, field in [(place - 1, {"hash": bytes(32)}), (place, {"hash": bytes(32)}), (place, {"state_hash": bytes(32)})]]
        equal([said(first._replace(root=bytes(32))), said(first, changed[0]), said(first, changed[1])], ["rewrite"] * 3, "another history with the same state")
        equal([said(first._replace(epoch=2)), said(first._replace(state_hash=bytes(32), root=bytes(32))), said(first._replace(size=0))], [None, "fork", "fork"], "another entry")

    def broken() -> None:
        """The corrupt fixtures that need a key or a note from outside: the key of the golden files, and a note of the same file id in SIG-3."""
        corrupt = v1.parent / "corrupt"
        with_key, with_note, before = (RvfFile.open(corrupt / f"{name}.rvf").newest for name in ("SIG-4", "SIG-5", "SIG-3"))
        name = notes[0].signatures[0].name
        equal([audit.ed25519_half(now.notes[-1][1], name, public) for now in (with_key, with_note)], [False, True], "newest epoch signed by the key")
        seen = before.notes[-1][1]
        equal((audit.ed25519_half(seen, name, public), audit.departs(seen.statement, with_note.root.file_id, with_note.log, False)), (True, "fork"), "beside a note that was seen")

    yield "texts of notes", texts
    yield "Ed25519 halves", signatures
    yield "proofs", lambda: proofs(audit.leaves_of(log))
    yield "one form of a note", one_form
    yield "notes as stored", stored
    yield "notes seen before", seen
    yield "SIG-4 and SIG-5", broken


class InMemory:
    """Sections without a file."""

    def __init__(self, sections: dict[int, bytes]) -> None:
        self.get = sections.__getitem__


def public_keys() -> None:
    ed25519, ml_dsa = bytes.fromhex(KNOWN_SIGNATURES[0][0]), bytes(range(244)) * 8
    number = bytes(blake3(b"rvf key id v1" + bytes(19) + ed25519 + ml_dsa).digest()[:16])

    def file(ed25519: bytes = ed25519, number: bytes = number, head: bytes = b"RVFPUBK1\x01\0") -> bytes:
        body = head.ljust(16, b"\0") + ed25519 + ml_dsa + number
        return body + bytes(blake3(body).digest())

    good = file()
    found = audit.parse_public_key(good)
    equal((len(good), found, found.name), (2048, (ed25519, ml_dsa, number), f"rvf-{number.hex()}"), "a public key file")
    for at in [*range(0, 2048, 31), 2047]:
        refused(partial(audit.parse_public_key, flipped(good, at)), f"a flipped bit in byte {at}")
    small, twice = (1).to_bytes(32, "little"), (curve.P + 3).to_bytes(32, "little")
    wrong = {"length": good + b"\0", "cut": good[:-1], "empty": b"", "magic": file(head=b"RVFSECK1\x01\0"), "version": file(head=b"RVFPUBK1\x02\0"), "reserved": file(head=b"RVFPUBK1\x01\0\0\0\0\0\0\x01"),
             "key id": file(number=flipped(number, 0)), "order": file(small, audit.key_id(small, ml_dsa)), "form": file(twice, audit.key_id(twice, ml_dsa))}
    for what, changed in wrong.items():
        refused(partial(audit.parse_public_key, changed), f"a public key file with another {what}")


def audits(v1: Path) -> Iterator[Test]:
    yield from ed25519()
    yield from tree()
    yield from ((f"signed: {name}", test) for name, test in signed(v1))
    yield "public key files", public_keys
