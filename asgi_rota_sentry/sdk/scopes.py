"""The two scopes of one request, the isolation scope and the current one: entered, and left."""

import random
from collections.abc import Callable
from typing import Any

from sentry_sdk.scope import Scope, ScopeType
from sentry_sdk.tracing_utils import PropagationContext

from asgi_rota_sentry.sdk import contexts
from asgi_rota_sentry.sdk.client import Client, close_layer, layer_around, open_layer
from asgi_rota_sentry.sdk.late import IS_POSSIBLE, is_late, late, was_late
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
    scope: Scope
    current: Scope
    _token: Any = None
    _outer: tuple[Scope, Scope]
    _span: Any = None
    _begin_span: Callable[[Scope], None] | None = None
    _session: RequestSession | None = None
    _is_new_trace = False
    _began = 0.0

    def __init__(self, client: Client) -> None:
        self.client = client

    def open(self, began: float) -> None:
        """Enter the scope, with no breadcrumb, span or session of an outer one left in it.

        `began` is when the request did, in seconds of the epoch.

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
            self._prepare(self.current)
            return
        self._outer = around or _scopes_around()
        self._token = open_layer(self._outer)
        self._began = began
        if self._is_to_wait():
            current, isolation = self._outer
            self._enter(late(self._make_current, current.client), late(self._make_isolation, isolation.client))
        else:
            self._enter(self._make_current(), self._make_isolation())

    def _is_to_wait(self) -> bool:
        """Whether the scopes are to be copied only when somebody looks."""
        if not IS_POSSIBLE:
            return False
        if self.client.eager_requests:
            self.client.eager_requests -= 1
            return False
        return True

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
        if self._span is not None:
            scope._span = self._span
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
        # The SDK asks the system for the randomness of a UUID, but nothing hangs on a trace's being hard to guess.
        made = PropagationContext(trace_id=f"{random.getrandbits(128):032x}")
        return self.__dict__.setdefault("_trace", made)

    def _prepare(self, current: Scope) -> None:
        """Prepare the current scope for what is captured in it."""

    def _describe(self, isolation: Scope) -> None:
        """Have the isolation scope tell of the request what all that is made in it shall tell."""

    def begin_trace(self) -> None:
        """Begin a new trace, on both scopes where spans are streamed."""
        if is_late(self.current):
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
        """Have a span begun on the current scope as soon as somebody looks; to be called while that waits."""
        self._begin_span = begin

    def put_span(self, span: Any) -> None:
        """Have the current scope hold a span, without a look at it; to be called before the application is."""
        self._span = span
        if not is_late(self.current):
            # Not through the property, which would look at the name.
            self.current._span = span

    def close(self) -> None:
        """Leave the scopes; what runs on in them (background work) keeps its tags."""
        try:
            if self._token is not None and self.client.sessions:
                self._close_session()
        finally:
            self._close_own()

    def _close_session(self) -> None:
        if not is_late(self.scope):
            self._session, self.scope._session = self.scope._session, None  # type: ignore[assignment]
        elif self._session is None:
            count_exited(self.client, self._began)
            return
        if isinstance(self._session, RequestSession):
            count_session(self.client, self._session)

    def _close_own(self) -> None:
        """Go back to the outer scopes, unless the scope is adopted or was never quite opened."""
        token, self._token = self._token, None
        current = self.__dict__.pop("current", None)
        self.__dict__.pop("scope", None)
        if token is None:
            return
        if current is not None and not is_late(current):
            if was_late(current):
                self.client.eager_requests = _EAGER_REQUESTS
            if self.client.streaming and hasattr(current, "_server_segment_span"):
                current._server_segment_span = None  # the segment knows the scope, too
        current, isolation = (None, None) if self._outer is _PRISTINE else self._outer
        contexts.set_current(current)
        contexts.set_isolation(isolation)
        close_layer(token)


def _scopes_around() -> tuple[Scope, Scope]:
    """The current and the isolation scope of this context; where it has none yet, pristine ones to be copied.

    The SDK would make two for each request that a server starts in such a context, at ten times the price of a copy.
    """
    return _PRISTINE if contexts.has_none() else contexts.scopes()
