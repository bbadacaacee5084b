"""The two scopes of one request, the isolation scope and the current one: entered, and left."""

from collections.abc import Callable
from typing import Any

from sentry_sdk.scope import Scope, ScopeType
from sentry_sdk.tracing_utils import PropagationContext

from asgi_rota_sentry.sdk import chance, contexts
from asgi_rota_sentry.sdk.client import Client, close_layer, layer_around, open_layer
from asgi_rota_sentry.sdk.late import IS_POSSIBLE, LateScope, is_late, late, was_late
from asgi_rota_sentry.sdk.session import RequestSession, count_exited, count_session, new_session, note_error

_PRISTINE = Scope(ty=ScopeType.CURRENT), Scope(ty=ScopeType.ISOLATION)

# A late scope that is looked at after all costs more than one that is made at once. So after a request whose scopes
# were looked at, so many more have theirs at once.
_EAGER_REQUESTS = 15


class Scopes:
    """The isolation scope (`scope`) and the current scope (`current`) of one request, with its session.

    Where the SDK's scopes allow it, they are copied only when somebody looks at them.
    """

    is_adopted = False
    client: Client
    scope: Scope
    current: Scope
    _token: Any = None
    _outer: tuple[Scope, Scope]
    _begin_span: Callable[[Scope], None] | None = None
    _session: RequestSession | None = None
    _is_new_trace = False
    _trace: Any = None
    _began = 0.0

    def open(self, began: float) -> None:
        """Enter the scope, with no breadcrumb, span or session of an outer one left in it.

        `began` is when the request did, in seconds of the epoch.

        Where the SDK's own ASGI middleware is around us, its scope is the request's, and is used as it is. A server may
        start a request in the context that another one left behind: a pipelined request, or the next one on a
        connection whose reading was paused (https://github.com/python/cpython/issues/140947). It begins where that one
        began, which is what `open_layer` was given.
        """
        around = layer_around(False)
        if around is True:
            self.scope = Scope.get_isolation_scope()
            self.current = Scope.get_current_scope()
            self.is_adopted = True
            self._prepare(self.current)
            return
        # The SDK would make two scopes for a context that has none, at ten times the price of a copy.
        self._outer = outer = around or contexts.scopes() or _PRISTINE
        self._token = open_layer(outer)
        self._began = began
        if not IS_POSSIBLE or self.client.eager_requests:
            self.client.eager_requests = max(0, self.client.eager_requests - 1)
            self._enter(self._make_current(), self._make_isolation())
        else:
            self._enter(*late(self._make_current, self._make_isolation, outer))

    def make_now(self) -> None:
        """Copy the scopes now, for they are going to be looked at; to be called before the application is."""
        if is_late(self.current):
            self._enter(self._make_current(), self._make_isolation())

    def _enter(self, current: Scope, isolation: Scope) -> None:
        self.current, self.scope = current, isolation
        contexts.set_current(current)
        contexts.set_isolation(isolation)

    def _make_current(self) -> Scope:
        # What `fork` does, without its detour through the copy module.
        scope = self._outer[0].__copy__()
        if self._is_new_trace and self.client.streaming:
            scope._propagation_context = self._new_trace()
        scope.span = None
        if self._begin_span is not None:
            self._begin_span(scope)
        self._prepare(scope)
        return scope

    def _make_isolation(self) -> Scope:
        scope = self._outer[1].__copy__()
        if self._is_new_trace and not self.client.streaming:
            scope._propagation_context = self._new_trace()
        elif self._is_new_trace or self._outer is _PRISTINE:
            scope.set_new_propagation_context()
        scope.clear_breadcrumbs()
        self._describe(scope)
        if self._token is not None and self.client.sessions:
            scope._session = self._session or new_session(self.client, self._began)
        else:
            scope._session = None
        return scope

    def _new_trace(self) -> Any:
        """What the SDK keeps of the request's new trace: the same, whoever asks first, in whichever thread."""
        if self._trace is None:
            made = PropagationContext(trace_id=chance.trace_id())
            self.__dict__.setdefault("_trace", made)
        return self._trace

    def _prepare(self, current: Scope) -> None:
        """Prepare the current scope for what is captured in it."""

    def _describe(self, isolation: Scope) -> None:
        """Have the isolation scope tell of the request what all that is made in it shall tell."""

    def begin_trace(self) -> None:
        """Begin a new trace, on both scopes where spans are streamed."""
        if type(self.current) is LateScope:
            self._is_new_trace = True
            return
        self.scope.set_new_propagation_context()
        if self.client.streaming:
            self.current.set_new_propagation_context()

    def propagation_context(self) -> Any:
        """What the scopes know of the request's trace."""
        scope = self.current if self.client.streaming else self.scope
        if self._is_new_trace and is_late(scope):
            return self._new_trace()
        return scope.get_active_propagation_context()

    def note_error(self, *, crashed: bool) -> None:
        """Note an error of which no event tells the session."""
        if not self.client.sessions:
            return
        if not is_late(self.scope):
            note_error(self.scope._session, crashed=crashed)
            return
        self._session = self._session or new_session(self.client, self._began)
        note_error(self._session, crashed=crashed)

    @property
    def is_waiting(self) -> bool:
        """Whether nobody has looked at the current scope yet."""
        return is_late(self.current)

    def begin_when_seen(self, begin: Callable[[Scope], None]) -> None:
        """Have a span begun on the current scope as soon as somebody looks, which may be now."""
        if type(self.current) is LateScope:
            self._begin_span = begin
        else:
            begin(self.current)

    def close(self) -> None:
        """Leave the scopes for the outer ones, unless they are adopted; what runs on in them keeps its tags."""
        token = self._token
        if token is None:
            if self.is_adopted:
                del self.current, self.scope
            return
        self._token = None
        try:
            self._tell()
        finally:
            outer = self._outer
            current, isolation = (None, None) if outer is _PRISTINE else outer
            contexts.set_current(current)
            contexts.set_isolation(isolation)
            close_layer(token)

    def _tell(self) -> None:
        """Have the session counted, and let go of what was open."""
        client, current, isolation = self.client, self.current, self.scope
        # What runs on has the scopes from its context; that we no longer know them leaves no cycle.
        del self.current, self.scope
        if type(current) is not LateScope:
            if was_late(current):
                client.eager_requests = _EAGER_REQUESTS
            if client.streaming and hasattr(current, "_server_segment_span"):
                current._server_segment_span = None  # the segment knows the scope, too
        if not client.sessions:
            return
        if type(isolation) is not LateScope:
            self._session, isolation._session = isolation._session, None  # type: ignore[assignment]
        elif self._session is None:
            count_exited(client, self._began)
            return
        if isinstance(self._session, RequestSession):
            count_session(client, self._session)
