"""A copy of an SDK scope that is made only when somebody looks at it.

Most requests never look at their scopes: nothing is captured or tagged in them, and what the SDK's integrations do with
every request (give it a name, add an event processor, make a breadcrumb of a line of the log) is noted until then. To
copy two scopes would be most of what a request with tracing off has to pay for.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from threading import RLock
from typing import Any, Protocol

from sentry_sdk.scope import Scope

from asgi_rota_sentry import faults, forks
from asgi_rota_sentry.sdk.named import OWN, NamedScope


class Maker(Protocol):
    """Whose two scopes are late: makes the copies that they stand for."""

    #: Whether something was noted for one of them.
    has_noted: bool

    def make(self, *, is_current: bool) -> Scope:
        """The copy that its current scope stands for, or its isolation scope."""


# What the integrations ask the current scope of every request for: None where no span was begun, or a stand-in.
_SPANS = ("_span", "_server_segment_span")
_SLOTS: tuple[str, ...] = tuple(getattr(Scope, "__slots__", ()))
#: Whether this SDK's scopes are such that one can stand for another.
IS_POSSIBLE = {"client", *_SPANS} <= {*_SLOTS} and not hasattr(Scope(), "__dict__")

# What is noted beyond this is done: a websocket may be open, and be named, for days.
_MOST_NOTED = 32

# One for all scopes: to make a copy takes some microseconds.
_lock = RLock()


def making() -> Any:
    """The lock under which a late scope is made, to be held with `with`."""
    return _lock


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - in the parent another thread may have held it
    _lock = RLock()


forks.in_child(_renew_lock)


class _RequestsScope(NamedScope):
    """The layout of both, in one place: Python would compare the names at each change from the one to the other."""

    __slots__ = ("_is_current", "_maker", "_noted", "_stand_in")


class _MadeScope(_RequestsScope):
    """What a late scope becomes: an ordinary one."""

    __slots__ = ()
    __init__ = object.__init__  # made late, so nothing is written into it before


class LateScope(_RequestsScope):
    """Stands for a copy that is made by the first read or write of anything but what is noted here.

    Threads may look at the same time: the copy is made once, and all of them see it whole.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name not in _SPANS or not _hold_stand_in(self):
            make_now(self)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_name":
            _note(self, object.__setattr__, name, value)
        else:
            make_now(self)
            object.__setattr__(self, name, value)

    def __copy__(self) -> Scope:
        """A copy of what this one stands for."""
        make_now(self)
        return self.__copy__()

    def add_event_processor(self, func: Any) -> None:
        """Note it: there is no event yet."""
        _note(self, Scope.add_event_processor, func)

    def add_breadcrumb(self, crumb: Any = None, hint: Any = None, **kwargs: Any) -> None:
        """Note it as it is now: most are of lines of the log, the server's access log among them, and no event follows.

        A user's `before_breadcrumb` is asked at once.
        """
        if self.client.options.get("before_breadcrumb") is not None:
            Scope.add_breadcrumb(self, crumb, hint, **kwargs)
            return
        noted = dict(crumb or (), **kwargs)
        if noted and noted.get("timestamp") is None:
            noted["timestamp"] = datetime.now(UTC)
        _note(self, Scope.add_breadcrumb, noted)

    def set_transaction_name(self, name: str, source: str | None = None) -> None:
        """Note it: there is no span yet that would have the name."""
        _note(self, NamedScope.set_transaction_name, name, source or OWN)


_read: Any = attrgetter(*_SLOTS) if IS_POSSIBLE else None
_writers: list[Any] = [Scope.__dict__[name].__set__ for name in _SLOTS] if IS_POSSIBLE else []
_set_spans: list[Any] = [Scope.__dict__[name].__set__ for name in _SPANS] if IS_POSSIBLE else []
_set_noted: Any = _RequestsScope.__dict__["_noted"].__set__
_set_stand_in: Any = _RequestsScope.__dict__["_stand_in"].__set__


def late(maker: Maker, client: Any, *, has_span: bool) -> tuple[Scope, Scope]:
    """A current and an isolation scope of this maker's, with nothing in them yet but the client that is in force.

    The client is what the SDK reads, and looks for in scope after scope, before it knows whether it has work to do; one
    that is bound in the midst of the request counts once a scope is made. The span is another such thing, unless the
    current scope `has_span`.
    """
    # Late only at last: until then their slots are written as those of any object.
    current: Any = _MadeScope()
    isolation: Any = _MadeScope()
    current._maker = isolation._maker = maker
    current._is_current, isolation._is_current = True, False
    current.client = isolation.client = client
    current._noted = isolation._noted = ()
    current._stand_in = isolation._stand_in = None
    if not has_span:
        current._span = current._server_segment_span = None
    current.__class__ = isolation.__class__ = LateScope
    return current, isolation


def stand_in_for_spans(scope: Scope, make: Callable[[Scope], tuple[Any, Any]]) -> None:
    """Have the span, and the server's segment, be what this makes when they are looked at while the scope is late."""
    _set_stand_in(scope, make)


def take_out_spans(scope: Scope) -> None:
    """Have no span on the scope any more, if it is late."""
    with _lock:
        if type(scope) is LateScope:
            for write in _set_spans:
                write(scope, None)


def was_late(scope: Scope) -> bool:
    """Whether this scope was late once, and somebody has looked."""
    return type(scope) is _MadeScope


def transaction_name(scope: Scope) -> tuple[Any, str]:
    """The name of the transaction that was set on the scope, as it was, and its source; "" and `url` where none was."""
    name, source = "", "url"
    if type(scope) is LateScope:
        for do, args in scope._noted:
            if do is NamedScope.set_transaction_name:
                name, source = args[0] or "", str(args[1] or source)
        return name, source
    info = getattr(scope, "_transaction_info", None)
    return getattr(scope, "_transaction", None) or "", str((info or {}).get("source") or source)


def make_now(scope: Scope) -> None:
    """Make what a late scope stands for, unless that is done."""
    with _lock:
        if type(scope) is LateScope:
            for write, value in zip(_writers, _read(_made(scope)), strict=True):
                write(scope, value)
            object.__setattr__(scope, "__class__", _MadeScope)


def _hold_stand_in(scope: Scope) -> bool:
    """Put the stand-ins for its spans on a late scope; False where there are none."""
    with _lock:
        make = scope._stand_in if type(scope) is LateScope else None
        if make is None:
            return False
        _set_stand_in(scope, None)
        for write, span in zip(_set_spans, make(scope), strict=True):
            write(scope, span)
        return True


def _made(scope: LateScope) -> Scope:
    try:
        made: Scope = scope._maker.make(is_current=scope._is_current)
        for do, args in scope._noted:
            do(made, *args)
    except Exception:
        faults.report("copying a scope")  # in the midst of the application's own call
        return Scope()
    return made


def _note(scope: Scope, do: Callable[..., Any], *args: Any) -> None:
    """Have this done to the copy when it is made, or now if it is."""
    with _lock:
        if type(scope) is LateScope and len(scope._noted) < _MOST_NOTED:
            _set_noted(scope, (*scope._noted, (do, args)))
            scope._maker.has_noted = True
            return
    do(scope, *args)
