"""The scopes of a context, without a detour through the SDK where it holds them as it does today."""

import gc
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from sentry_sdk import scope as _scope
from sentry_sdk.scope import Scope

from asgi_rota_sentry.sdk.layer import MAY_COLLECT, undisturbed

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

_ABSENT: ContextVar[Any] = ContextVar("asgi_rota_sentry_absent", default=False)
# Where the SDK holds them. Private; where they are missing the SDK is asked, and makes the scopes itself.
_CURRENT: ContextVar[Any] = getattr(_scope, "_current_scope", _ABSENT)
_ISOLATION: ContextVar[Any] = getattr(_scope, "_isolation_scope", _ABSENT)
ARE_KNOWN = _ABSENT not in (_CURRENT, _ISOLATION) and hasattr(_scope, "_global_scope")
#: What this context holds of them. Bound once: to look a method up on an imported name makes it each time.
get_current, get_isolation = _CURRENT.get, _ISOLATION.get

#: The IDs of the trace and of the span that another tracer has begun, if one does so in place of the SDK
#: (`OTLPIntegration`); else None.
external_trace: Callable[[], tuple[str, str] | None] = getattr(_scope, "get_external_propagation_context", lambda: None)

_set_current: Callable[[Any], Any] = _CURRENT.set if ARE_KNOWN else Scope.set_current_scope
_set_isolation: Callable[[Any], Any] = _ISOLATION.set if ARE_KNOWN else Scope.set_isolation_scope


def switch(
    current: Scope | None, isolation: Scope | None, switch_layer: Callable[[_Given], _Result], given: _Given
) -> _Result:
    """Change to these two scopes (None for having none, as before the first) and to another layer.

    The layer is opened by `open_layer`, given who opens it, and left by `close_layer`, given the token that came of it.
    """
    is_to_rest = MAY_COLLECT and gc.isenabled()
    if is_to_rest:
        gc.disable()
    try:
        _set_current(current)
        _set_isolation(isolation)
        return switch_layer(given)
    finally:
        if is_to_rest:
            gc.enable()


def change(current: Scope, isolation: Scope) -> None:
    """Have these two scopes in place of those that were entered."""
    undisturbed(_set_current, current)
    undisturbed(_set_isolation, isolation)


def scopes() -> tuple[Scope, Scope] | None:
    """The current and the isolation scope of this context; None where it has neither yet, else the other is made."""
    current, isolation = get_current(), get_isolation()
    if current is None and isolation is None:
        return None
    return current or Scope.get_current_scope(), isolation or Scope.get_isolation_scope()
