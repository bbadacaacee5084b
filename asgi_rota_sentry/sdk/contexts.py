"""The scopes of a context, without a detour through the SDK where it holds them as it does today.

In a context that has no scopes yet, as servers start each request, the SDK finds its client by way of two exceptions;
where there is no client it makes one that does nothing.
"""

import gc
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import sentry_sdk
from sentry_sdk import scope as _scope
from sentry_sdk.client import NonRecordingClient
from sentry_sdk.scope import Scope

from asgi_rota_sentry.sdk.layer import MAY_COLLECT, undisturbed

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

# Private; where they are missing the SDK is asked, and makes the scopes itself.
_ABSENT: ContextVar[Any] = ContextVar("asgi_rota_sentry_absent", default=False)
_current: ContextVar[Any] = getattr(_scope, "_current_scope", _ABSENT)
_isolation: ContextVar[Any] = getattr(_scope, "_isolation_scope", _ABSENT)
_is_known = _ABSENT not in (_current, _isolation) and hasattr(_scope, "_global_scope")

#: The IDs of the trace and of the span that another tracer has begun, if one does so in place of the SDK
#: (`OTLPIntegration`); else None.
external_trace: Callable[[], tuple[str, str] | None] = getattr(_scope, "get_external_propagation_context", lambda: None)

_set_current: Callable[[Any], Any] = _current.set if _is_known else Scope.set_current_scope
_set_isolation: Callable[[Any], Any] = _isolation.set if _is_known else Scope.set_isolation_scope


def switch(
    current: Scope | None, isolation: Scope | None, switch_layer: Callable[[_Given], _Result], given: _Given
) -> _Result:
    """Change to these two scopes (None for having none, as before the first) and to another layer.

    The layer is opened by `layer.set`, given who opens it, and left by `layer.reset`, given the token that came of it.
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
    current, isolation = _current.get(), _isolation.get()
    if current is None and isolation is None:
        return None
    return current or Scope.get_current_scope(), isolation or Scope.get_isolation_scope()


def client(known: Any) -> Any:
    """The active client that is in force here, as `sentry_sdk.get_client` finds it; None where there is none.

    `known`, where it is given, is one that is active, and need not be asked.
    """
    if _is_known:
        scope = _current.get()
        if scope is None or type(scope.client) is NonRecordingClient:
            scope = _isolation.get()
            if scope is None or type(scope.client) is NonRecordingClient:
                # As nearly always: it is the whole process's.
                scope = _scope._global_scope
                found = None if scope is None else scope.client
                if found is known:
                    return found
                if found is None or type(found) is NonRecordingClient:
                    return None
    found = sentry_sdk.get_client()
    return found if found.is_active() else None
