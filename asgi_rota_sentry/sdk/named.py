"""A current scope that tells the application's own name for a request from what the SDK's integrations call it.

The integrations always say where a name comes from (`route`, `component`, `url`); an application need not, and the SDK
would leave the source of the name that was there before.
"""

import sys
from types import FrameType
from typing import Any

from sentry_sdk.scope import Scope

#: The source of what the application calls a request.
OWN = "custom"
_MOST_GIVEN = 1_000

# The names that were given with a source, in whichever scope: the application may have forked the request's.
_given: set[str] = set()


class NamedScope(Scope):
    """A current scope in which a name without a source is the application's own."""

    __slots__ = ()

    def set_transaction_name(self, name: str, source: str | None = None) -> None:
        """As in the SDK, but that a name without a source has the source `custom`."""
        if source and source != OWN and type(name) is str and name not in _given:
            if len(_given) >= _MOST_GIVEN:
                _given.clear()
            _given.add(name)
        Scope.set_transaction_name(self, name, source or OWN)


def _set_transaction(scope: Any, name: Any) -> None:
    _old.fset(scope, name)
    # Django's integration so names its page for what is not found, where it names views by function.
    if not _caller().startswith("sentry_sdk."):
        scope._transaction_info["source"] = OWN
        found = getattr(scope._span, "containing_transaction", None)
        if found is not None:
            found.source = OWN


def _caller() -> str:
    """The module that assigns to the scope."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (module := str(frame.f_globals.get("__name__"))).startswith("asgi_rota_sentry."):
        frame = frame.f_back  # of a scope that was late
    return "" if frame is None else module


# Deprecated in 2.x, and gone in 3.x.
_old: Any = getattr(Scope, "transaction", None)
if getattr(_old, "fset", None) is not None:
    NamedScope.transaction = property(_old.fget, _set_transaction, doc=_old.__doc__)  # type: ignore[assignment]


def named(scope: Scope) -> Scope:
    """Have an ordinary scope be such a one."""
    if type(scope) is Scope:
        scope.__class__ = NamedScope
    return scope


def source_of(name: Any, source: str, scoped: Any, scope_source: str) -> str:
    """The source of a span's name, beside the name and the source that its scope knows.

    Who names the span itself, and says nothing of a source, is the application. A scope without a name was cleared.
    """
    is_own = scoped and name != scoped and source == scope_source and name not in _given
    return OWN if is_own and isinstance(name, str) else source
