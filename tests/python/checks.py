"""What the tests of the reader share: a test and its name, and how a difference is told."""

from __future__ import annotations

from collections.abc import Callable

Test = tuple[str, Callable[[], None]]


def equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: found {str(found)[:200]}, expected {str(expected)[:200]}")
