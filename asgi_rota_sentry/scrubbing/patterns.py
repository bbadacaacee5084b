"""The user's own patterns: refused when they could take for ever, and matched in linear time."""

import re
from collections.abc import Iterator
from re import _parser  # type: ignore[attr-defined]  # private: the one way to see how a pattern is built
from typing import Any

from asgi_rota_sentry.scrubbing.spans import Span

_WHOLE, _WINDOW, _OVERLAP = 4096, 1024, 256
_MOST_OPEN_REPEATS = 2
_FEW = 32


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready to match.

    Raises ValueError for a pattern that is none, that matches nothing at all, or that could backtrack for ever: with a
    repeat inside a repeat such as `(a+)+`, with more than two open repeats, or with a reference to a group.
    """
    try:
        tree = _parser.parse(pattern)
        made = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as fault:
        raise ValueError(f"{pattern!r} is no regular expression: {fault}") from None
    if made.search("") is not None:
        raise ValueError(f"{pattern!r} also matches nothing")
    if _open_repeats(tree) > _MOST_OPEN_REPEATS:
        raise ValueError(f"{pattern!r} could take for ever: at most two open repeats, and none inside another")
    return made


def _open_repeats(tree: Any, *, repeated: bool = False) -> int:
    """How many repeats without a small limit there are; one inside another, or a reference, counts as too many."""
    total = 0
    for operation, argument in tree:
        name = str(operation)
        if name.startswith("GROUPREF"):
            return _MOST_OPEN_REPEATS + 1
        is_open = name in ("MAX_REPEAT", "MIN_REPEAT") and (argument[1] == _parser.MAXREPEAT or argument[1] > _FEW)
        varies = name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] != argument[1]
        if repeated and (varies or name == "BRANCH"):
            return _MOST_OPEN_REPEATS + 1
        total += is_open
        for inner in _inside(argument):
            total += _open_repeats(inner, repeated=repeated or is_open)
    return total


def _inside(argument: Any) -> Iterator[Any]:
    """The parts of a pattern within one of its operations."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _inside(part)


def matches(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Each match, in a long text one of at most 256 characters: it is searched in windows that overlap by as much."""
    window = len(text) if len(text) <= _WHOLE else _WINDOW
    for start in range(0, len(text), max(1, window - (_OVERLAP if window == _WINDOW else 0))):
        for found in pattern.finditer(text, start, min(len(text), start + window)):
            if found.end() > found.start():
                yield Span(found.start(), found.end(), "a pattern of yours")
