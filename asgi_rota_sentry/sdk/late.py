"""A copy of an SDK scope that is made only when somebody looks at it.

Most requests never touch their scopes: nothing is captured, tagged or traced in them. To copy two of them would be most
of what a request with tracing off has to pay for.
"""

import os
from collections.abc import Callable
from operator import attrgetter
from threading import RLock
from typing import Any

from sentry_sdk.scope import Scope

from asgi_rota_sentry import faults

#: Makes the copy that a late scope stands for.
Make = Callable[[], Scope]

_SLOTS: tuple[str, ...] = tuple(getattr(Scope, "__slots__", ()))
#: Whether this SDK's scopes are such that one can stand for another.
IS_POSSIBLE = len(_SLOTS) > 1 and "client" in _SLOTS and not hasattr(Scope(), "__dict__")

# One for all scopes: to make a copy takes some microseconds.
_lock = RLock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - in the parent another thread may have held it
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


class _MadeScope(Scope):
    """What a late scope becomes: an ordinary one."""

    __slots__ = ("_make",)


class LateScope(Scope):
    """Stands for a copy that is made by the first read or write of anything but the client.

    Threads may look at the same time: the copy is made once, and all of them see it whole.
    """

    __slots__ = ("_make",)

    def __getattr__(self, name: str) -> Any:
        make_now(self)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        make_now(self)
        object.__setattr__(self, name, value)

    def __copy__(self) -> Scope:
        """A copy of what this one stands for."""
        make_now(self)
        return self.__copy__()


_new: Any = object.__new__
_read: Any = attrgetter(*_SLOTS) if IS_POSSIBLE else None
_writers: list[Any] = [Scope.__dict__[name].__set__ for name in _SLOTS] if IS_POSSIBLE else []
_set_client: Any = Scope.__dict__["client"].__set__ if IS_POSSIBLE else None
_set_make: Any = LateScope.__dict__["_make"].__set__


def late(make_current: Make, make_isolation: Make, outer: tuple[Scope, Scope]) -> tuple[Scope, Scope]:
    """A current and an isolation scope with nothing in them yet but the clients of the outer ones.

    The client is what the SDK reads before it knows whether it has work to do.
    """
    current, isolation = _new(LateScope), _new(LateScope)
    _set_make(current, make_current)
    _set_make(isolation, make_isolation)
    _set_client(current, outer[0].client)
    _set_client(isolation, outer[1].client)
    return current, isolation


def is_late(scope: Scope) -> bool:
    """Whether nobody has looked at this scope yet."""
    return type(scope) is LateScope


def was_late(scope: Scope) -> bool:
    """Whether this scope was late once, and somebody has looked."""
    return type(scope) is _MadeScope


def _made(scope: LateScope) -> Scope:
    try:
        made: Scope = scope._make()
    except Exception:
        faults.report("copying a scope")  # in the midst of the application's own call
        return Scope()
    return made


def make_now(scope: Scope) -> None:
    """Make what a late scope stands for, unless that is done."""
    with _lock:
        if type(scope) is LateScope:
            for write, value in zip(_writers, _read(_made(scope)), strict=True):
                write(scope, value)
            object.__setattr__(scope, "__class__", _MadeScope)
