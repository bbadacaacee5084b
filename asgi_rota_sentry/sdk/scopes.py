"""The two scopes of one request, the isolation scope and the current one: entered, and left."""

from contextvars import ContextVar
from typing import Any

from sentry_sdk import scope as _scope
from sentry_sdk.scope import Scope, ScopeType

from asgi_rota_sentry.sdk.client import Client, close_layer, layer_around, open_layer
from asgi_rota_sentry.sdk.session import begin_session, end_session

# Where the SDK holds the scopes of a context; private, without them it makes scopes itself.
_UNKNOWN: ContextVar[Any] = ContextVar("asgi_rota_sentry_unknown", default=False)
_CURRENT: ContextVar[Any] = getattr(_scope, "_current_scope", _UNKNOWN)
_ISOLATION: ContextVar[Any] = getattr(_scope, "_isolation_scope", _UNKNOWN)
_PRISTINE = Scope(ty=ScopeType.CURRENT), Scope(ty=ScopeType.ISOLATION)


class Scopes:
    """The isolation scope (`scope`) and the current scope (`current`) of one request, with its session."""

    is_adopted = False
    scope: Scope
    current: Scope
    _token: Any = None
    _outer: tuple[Scope, Scope] | None = None

    def __init__(self, client: Client) -> None:
        self.client = client

    def open(self) -> None:
        """Enter the scope, with no breadcrumb, span or session of an outer one left in it.

        Where the SDK's own ASGI middleware is around us, its scope is the request's, and is used as it is. A server may
        start a request in the context that another one left behind: a pipelined request, or the next one on a
        connection whose reading was paused (https://github.com/python/cpython/issues/140947). It begins where that one
        began, which is what `open_layer` was given.
        """
        around = layer_around()
        if around is True:
            self.is_adopted = True
            self.scope = Scope.get_isolation_scope()
            self.current = Scope.get_current_scope()
        else:
            outer = around or _scopes_around()
            # What `fork` does, without its detour through the copy module.
            self.current = outer[0].__copy__()
            self.scope = outer[1].__copy__()
            self._outer = outer
            self._token = open_layer(outer)
            Scope.set_current_scope(self.current)
            Scope.set_isolation_scope(self.scope)
            if outer is _PRISTINE:
                self.scope.set_new_propagation_context()
            self.scope.clear_breadcrumbs()
            self.current.span = None
            if self.client.sessions:
                begin_session(self.scope, self.client)

    def close(self) -> None:
        """Leave the scopes; what runs on in them (background work) keeps its tags."""
        try:
            if self._token is not None and self.client.sessions:
                end_session(self.scope, self.client)
        finally:
            self._close_own()

    def _close_own(self) -> None:
        """Go back to the outer scopes, unless the scope is adopted or was never quite opened."""
        token, outer, self._token = self._token, self._outer, None
        if token is not None and self.client.streaming and hasattr(self.current, "_server_segment_span"):
            self.current._server_segment_span = None  # the segment knows the scope, too
        self.__dict__.pop("scope", None)
        self.__dict__.pop("current", None)
        self._outer = None
        if token is not None and outer is not None:
            if outer is _PRISTINE:
                _CURRENT.set(None)
                _ISOLATION.set(None)
            else:
                Scope.set_current_scope(outer[0])
                Scope.set_isolation_scope(outer[1])
            close_layer(token)


def _scopes_around() -> tuple[Scope, Scope]:
    """The current and the isolation scope of this context; where it has none yet, pristine ones to be copied.

    The SDK would make two for each request that a server starts in such a context, at ten times the price of a copy.
    """
    current, isolation = _CURRENT.get(), _ISOLATION.get()
    if current is None and isolation is None:
        return _PRISTINE
    return current or Scope.get_current_scope(), isolation or Scope.get_isolation_scope()
