"""The tree over the audit entries, signed notes and public keys. Written from `spec/audit.md` alone.

Owns AUD-1, SIG-1, SIG-2, the proofs of RFC 6962, the Ed25519 half of signatures and what a note seen before shows (SIG-5). ML-DSA-65 is not verified.
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from rvf_ed25519 import ed25519_is_right, of_large_order
from rvf_error import RvfError, ascends, check

if TYPE_CHECKING:
    from rvf_reader import Entry, LogEntry, Payload, Root

CRYPTO, TREE_BIT, POLICY = 0x0C, 1, 19
BOTH_SIGNATURES = struct.pack("<I", 1)  # the one policy that there is
EDGE_SIZE, LONGEST_NOTE, MOST_SIGNATURES = 2048, 65536, 16


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# ---------------------------------------------------------------- the tree


def leaf(data: bytes) -> bytes:
    return sha256(b"\0", data)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1", left, right)


def half(size: int) -> int:
    """The largest power of two below the size of a tree."""
    return 1 << (size - 1).bit_length() - 1


def tree_root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    middle = half(len(leaves))
    return node(tree_root(leaves[:middle]), tree_root(leaves[middle:]))


def edge(leaves: Sequence[bytes]) -> bytes:
    """The roots of the perfect subtrees, the largest first, and zero bytes."""
    roots, done = [], 0
    for size in (1 << bit for bit in reversed(range(len(leaves).bit_length())) if len(leaves) >> bit & 1):
        roots.append(tree_root(leaves[done : done + size]))
        done += size
    return b"".join(roots).ljust(EDGE_SIZE, b"\0")


def leaves_of(log: Sequence[LogEntry]) -> list[bytes]:
    return [leaf(entry.hash) for entry in log]


def check_tree(root: Root, log: Sequence[LogEntry]) -> None:
    """AUD-1, of one root and the entries up to its own."""
    if root.features_read_only & TREE_BIT:
        leaves = leaves_of(log)
        check(root.witness_tree == tree_root(leaves), "AUD-1", root.own_offset, "the root of the tree is not that of the audit entries")
        check(root.witness_edge == edge(leaves), "AUD-1", root.own_offset, "the edge of the tree is not that of the audit entries")


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path from a leaf to the root (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    middle = half(len(leaves))
    if index < middle:
        return [*inclusion(leaves[:middle], index), tree_root(leaves[middle:])]
    return [*inclusion(leaves[middle:], index - middle), tree_root(leaves[:middle])]


def root_by_path(one: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to; None if it has another length than that of this leaf."""
    if size == 1 or not path:
        return one if size == 1 and not path and not index else None
    middle = half(size)
    inner = root_by_path(one, *((index, middle) if index < middle else (index - middle, size - middle)), path[:-1])
    return inner and (node(inner, path[-1]) if index < middle else node(path[-1], inner))


def consistency(leaves: Sequence[bytes], old: int, whole: bool = True) -> list[bytes]:
    """The proof that a tree goes on from that of its first `old` leaves, at least one (RFC 6962, 2.1.2)."""
    if old == len(leaves):
        return [] if whole else [tree_root(leaves)]
    middle = half(len(leaves))
    if old <= middle:
        return [*consistency(leaves[:middle], old, whole), tree_root(leaves[middle:])]
    return [*consistency(leaves[middle:], old - middle, False), tree_root(leaves[:middle])]


def goes_on(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that a tree goes on from an earlier one."""

    def roots(old: int, new: int, rest: Sequence[bytes], whole: bool) -> tuple[bytes, bytes]:
        if old == new:
            found, = [old_root, *rest] if whole else rest
            return found, found
        *inner, last = rest
        middle = half(new)
        if old <= middle:
            before, after = roots(old, middle, inner, whole)
            return before, node(after, last)
        before, after = roots(old - middle, new - middle, inner, False)
        return node(last, before), node(last, after)

    try:
        return 1 <= old_size <= size and roots(old_size, size, proof, True) == (old_root, root)
    except ValueError:
        return False  # too few hashes, or too many


# ---------------------------------------------------------------- statements and notes


class Statement(NamedTuple):
    file_id: bytes; size: int; root: bytes; epoch: int; state_hash: bytes; previous: int

    def text(self) -> str:
        return (f"rvf/{self.file_id.hex()}\n{self.size}\n{b64encode(self.root).decode()}\nepoch {self.epoch}\n"
                f"state {self.state_hash.hex()}\nprevious {self.previous}\npolicy ed25519+ml-dsa-65\n")


class Signature(NamedTuple):
    name: str; key_hash: bytes; signature: bytes

    def text(self) -> str:
        return f"\u2014 {self.name} {b64encode(self.key_hash + self.signature).decode()}\n"


class Note(NamedTuple):
    statement: Statement; signatures: list[Signature]

    def text(self) -> str:
        return self.statement.text() + "\n" + "".join(signature.text() for signature in self.signatures)


STATEMENT = re.compile(r"rvf/([0-9a-f]{32})\n([0-9]{1,20})\n(\S{44})\nepoch ([0-9]{1,20})\nstate ([0-9a-f]{64})\nprevious ([0-9]{1,20})\n.*", re.S)
SIGNATURE = re.compile(r"\u2014 ([^ ]+) ([^ ]+)")


def parse_signature(line: str) -> Signature:
    found = SIGNATURE.fullmatch(line)
    if not found or any(c.isspace() or c == "+" or unicodedata.category(c) == "Cc" for c in found[1]):
        raise ValueError("no signature line")
    stored = b64decode(found[2])
    if len(stored) < 5:
        raise ValueError("a signature of no byte")
    return Signature(found[1], stored[:4], stored[4:])


def parse_note(stored: bytes) -> Note:
    """A note; ValueError for everything else. What was understood, written again, is what was there: so nothing has a second form."""
    statement, _, signatures = stored.decode().partition("\n\n")
    found = STATEMENT.fullmatch(statement + "\n")
    if not found or len(stored) > LONGEST_NOTE:
        raise ValueError("no statement, or too long")
    file_id, size, root, epoch, state_hash, previous = found.groups()
    lines = signatures.split("\n")[:-1]
    parsed = Statement(bytes.fromhex(file_id), int(size), b64decode(root), int(epoch), bytes.fromhex(state_hash), int(previous))
    note = Note(parsed, [parse_signature(line) for line in lines])
    if len(parsed.root) != 32 or max(parsed.size, parsed.epoch, parsed.previous) >= 1 << 64 or not 1 <= len(lines) <= MOST_SIGNATURES or note.text().encode() != stored:
        raise ValueError("not the one form of a note")
    return note


def parse_notes(payload: Payload, entry: Entry, file_id: bytes) -> list[Note]:
    """The notes of a CRYPTO segment (SIG-1)."""
    section, ends, at = payload.get(1), payload.get(2), entry.offset
    check(len(ends) % 4 == 0, "PAY-6", at, "ENDS is not whole")
    places = [0, *(end for end, in struct.iter_unpack("<I", ends))]
    check(len(places) > 1 and ascends(places) and places[-1] == len(section), "SIG-1", at, "ENDS does not ascend to the end of NOTES")
    try:
        notes = [parse_note(section[a:b]) for a, b in pairwise(places)]
    except ValueError as error:
        raise RvfError("SIG-1", at, f"no note: {error}") from None
    for note in notes:
        check(note.statement.file_id == file_id, "SIG-1", at, "a note about another file")
        check(len(note.signatures) == 2 and len({line.name for line in note.signatures}) == 1, "SIG-1", at, "not two signature lines of one name")
    epochs = [note.statement.epoch for note in notes]
    check(ascends(epochs) and (entry.base_row, entry.rows) == (epochs[-1], len(epochs)), "SIG-1", at, "epochs of notes, among themselves and with the manifest")
    return notes


def verify_notes(notes: Sequence[tuple[Entry, Note]], log: Sequence[LogEntry]) -> Iterator[RvfError]:
    """SIG-2, of all live notes in the order of their epochs."""
    leaves, previous = leaves_of(log), 0
    for entry, (statement, _) in notes:
        said = statement.epoch, statement.state_hash
        if not 1 <= statement.size <= len(log) or said != (log[statement.size - 1].epoch, log[statement.size - 1].state_hash):
            yield RvfError("SIG-2", entry.offset, f"the note about epoch {statement.epoch} and its audit entry differ")
        elif statement.root != tree_root(leaves[: statement.size]):
            yield RvfError("SIG-2", entry.offset, f"the note about epoch {statement.epoch} has another tree")
        if statement.previous != previous:
            yield RvfError("SIG-2", entry.offset, f"the note about epoch {statement.epoch} goes on from {statement.previous}, not {previous}")
        previous = statement.epoch


def departs(seen: Statement, file_id: bytes, log: Sequence[LogEntry], tail: bool) -> str | None:
    """Why a file does not go on from what a note stated that was seen before (SIG-5). `tail`: bytes of no commit follow the newest root."""
    if seen.file_id != file_id:
        return "other file"
    if len(log) < seen.size:
        return "truncation" if tail else "rollback"
    leaves = leaves_of(log)
    if seen.size and goes_on(seen.size, seen.root, len(log), tree_root(leaves), consistency(leaves, seen.size)):
        return None
    there = log[seen.size - 1]
    return "rewrite" if (there.epoch, there.state_hash) == (seen.epoch, seen.state_hash) else "fork"


# ---------------------------------------------------------------- signatures and public keys


def ed25519_key_hash(name: str, public: bytes) -> bytes:
    return sha256(name.encode(), b"\n\1", public)[:4]


def ed25519_half(note: Note, name: str, public: bytes) -> bool:
    """Whether the Ed25519 line of a key pair stands in a note once, and its signature is right."""
    lines = [line for line in note.signatures if (line.name, line.key_hash) == (name, ed25519_key_hash(name, public))]
    return len(lines) == 1 and ed25519_is_right(public, note.statement.text().encode(), lines[0].signature)


PUBLIC_KEY = struct.Struct("<8sH6s32s1952s16s32s")
assert PUBLIC_KEY.size == 2048


class PublicKey(NamedTuple):
    ed25519: bytes; ml_dsa: bytes; key_id: bytes

    @property
    def name(self) -> str: return "rvf-" + self.key_id.hex()


def key_id(ed25519: bytes, ml_dsa: bytes) -> bytes:
    return bytes(blake3(b"rvf key id v1".ljust(32, b"\0") + ed25519 + ml_dsa).digest()[:16])


def parse_public_key(stored: bytes) -> PublicKey:
    """A public key file; ValueError if it is to be refused."""
    if len(stored) != PUBLIC_KEY.size:
        raise ValueError("length of a public key file")
    magic, version, reserved, ed25519, ml_dsa, number, checksum = PUBLIC_KEY.unpack(stored)
    for right, what in ((magic == b"RVFPUBK1", "magic"), (version == 1, "version"), (not any(reserved), "reserved"), (checksum == blake3(stored[:-32]).digest(), "checksum"),
                        (number == key_id(ed25519, ml_dsa), "key_id"), (of_large_order(ed25519), "ed25519_public")):
        if not right:
            raise ValueError(f"{what} of a public key file")
    return PublicKey(ed25519, ml_dsa, number)
