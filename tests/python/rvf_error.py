"""What both parts of the reader say of a deviation from the specification: the error with its clause, and how it is raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any


class RvfError(Exception):
    """A deviation from the clause `clause` of spec/, seen at byte `offset` of the file."""

    def __init__(self, clause: str, offset: int, message: str) -> None:
        super().__init__(f"{clause} at byte {offset}: {message}")
        self.clause, self.offset, self.message = clause, offset, message


def check(condition: object, clause: str, offset: int, message: str) -> None:
    if not condition:
        raise RvfError(clause, offset, message)


def caught(step: Callable[[], object]) -> Iterator[RvfError]:
    """The deviation that a step runs into, if any."""
    try:
        step()
    except RvfError as error:
        yield error


def ascends(values: Sequence[Any]) -> bool:
    return all(a < b for a, b in pairwise(values))
