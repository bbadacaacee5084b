"""What a walk changed, as a tree that mirrors the payload."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Change(NamedTuple):
    """One value that was changed: why, and whether it went as a `whole` or a part of a text was replaced.

    `length` is what a text had before it was cut, 0 where it was not.
    """

    reason: str
    whole: bool
    length: int = 0


Changes = dict[Any, Any]
"""A tree: the key or index of a child to its `Change` or its own `Changes`."""


class Removal(NamedTuple):
    """One thing that was removed: the `path` to it, the `reason`, and whether it went as a `whole`."""

    path: tuple[Any, ...]
    reason: str
    whole: bool


def removals(changes: Changes | Change | None, path: tuple[Any, ...] = ()) -> Iterator[Removal]:
    """The tree as a list."""
    if isinstance(changes, Change):
        yield Removal(path, changes.reason, changes.whole)
    elif changes:
        for key, inner in changes.items():
            yield from removals(inner, (*path, key))


def joined(first: Any, second: Any) -> Any:
    """One tree for two walks, the second of which went over the result of the first."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second or first
    result = dict(first)
    for key, inner in second.items():
        result[key] = joined(first[key], inner) if key in first else inner
    return result
