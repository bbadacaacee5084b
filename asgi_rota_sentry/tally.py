"""Errors by kind: which are alike, and what is told of those that were counted and not sent."""

from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from asgi_rota_sentry.expected import first_leaf

_LONGEST_MESSAGE = 500
_MOST_FRAMES = 50

#: What is raised where: the exception's type, the file, the function and the line.
Kind = tuple[type[BaseException] | None, str, str, int]


class Frame(NamedTuple):
    """One line of a traceback, oldest first in its list."""

    path: str
    module: str
    function: str
    line: int


@dataclass(frozen=True)
class Tally:
    """Errors of one kind that were counted and not sent: how many, the first and the last in seconds since the epoch.

    `stands_for` is the ID of the full event that stands for them, None when none was accepted. `example` is one
    of them: its type, its module, its message and its frames.
    """

    count: int
    first: float
    last: float
    stands_for: str | None = None
    type_name: str = ""
    type_module: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()


def kind_of(exc: BaseException) -> Kind:
    """The kind of an error: its type and where it was raised; that of the first member of a group."""
    leaf = first_leaf(exc)
    kind = _type_of(leaf)
    trace = leaf.__traceback__ or exc.__traceback__
    if trace is None:
        return kind, "", "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return kind, code.co_filename, code.co_name, trace.tb_lineno


def _type_of(exc: BaseException) -> type[BaseException]:
    """The type by which it is counted; those whose metaclass has no hash are told apart by their place alone."""
    kind = type(exc)
    try:
        hash(kind)
    except Exception:
        return BaseException
    return kind


def example_of(exc: BaseException) -> Tally:
    """What a report needs to be filed under the same issue as the full event."""
    leaf = first_leaf(exc)
    return described(leaf, leaf.__traceback__ or exc.__traceback__)


def described(exc: BaseException, trace: TracebackType | None) -> Tally:
    """What Sentry groups by: type, message, frames."""
    frames = []
    while trace is not None:
        code, names = trace.tb_frame.f_code, trace.tb_frame
        if not names.f_locals.get("__tracebackhide__", False):
            module = str(names.f_globals.get("__name__") or "")
            frames.append(Frame(code.co_filename, module, code.co_name, trace.tb_lineno))
        trace = trace.tb_next
    kind = type(exc)
    message = _message(exc)
    return Tally(0, 0.0, 0.0, None, kind.__name__, kind.__module__, message, tuple(frames[-_MOST_FRAMES:]))


def _message(exc: BaseException) -> str:
    try:
        return str(exc)[:_LONGEST_MESSAGE]
    except Exception:
        return ""
