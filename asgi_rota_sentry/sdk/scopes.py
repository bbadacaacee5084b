"""The two scopes of one request, the isolation scope and the current one: entered, and left."""

from collections.abc import Callable
from typing import Any

from sentry_sdk.scope import Scope, ScopeType
from sentry_sdk.tracing_utils import PropagationContext

from asgi_rota_sentry.sdk import chance, contexts
from asgi_rota_sentry.sdk.client import Client
from asgi_rota_sentry.sdk.errors import RequestErrors
from asgi_rota_sentry.sdk.late import (
    IS_POSSIBLE,
    LateScope,
    late,
    making,
    stand_in_for_spans,
    take_out_spans,
    was_late,
)
from asgi_rota_sentry.sdk.layer import close_layer, open_layer, undisturbed
from asgi_rota_sentry.sdk.named import named
from asgi_rota_sentry.sdk.session import RequestSession, SessionCounts, note_error

_PRISTINE = Scope(ty=ScopeType.CURRENT), Scope(ty=ScopeType.ISOLATION)

# A late scope that is looked at after all costs more than one that is made at once. So after a request whose scopes
# were looked at, so many more have theirs at once.
_EAGER_REQUESTS = 15


class Scopes:
    """The isolation scope (`scope`) and the current scope (`current`) of one request, with its session.

    The request has a trace of its own, until it is told to continue another. Where the SDK's scopes allow it, they are
    copied only when somebody looks at them.
    """

    __slots__ = (
        "_began",
        "_begin_span",
        "_draw",
        "_is_open",
        "_session",
        "_token",
        "_trace",
        "client",
        "current",
        "errors",
        "has_noted",
        "is_adopted",
        "outer",
        "scope",
    )

    #: The client that was in force when the request came.
    client: Client
    #: What was captured; None while nothing was.
    errors: RequestErrors | None
    scope: Scope
    current: Scope
    #: Whether something was noted for one of the two while it was late.
    has_noted: bool
    #: The scopes that the request was begun in, current and isolation; None until it is, and where it is adopted.
    outer: tuple[Scope, Scope] | None
    #: Whether they are those of the SDK's own ASGI middleware.
    is_adopted: bool
    _is_open: bool
    _began: float
    _begin_span: Callable[[Scope], None] | None
    _session: RequestSession | None
    _token: Any
    _trace: Any
    _draw: float | None

    def open(self, began: float, around: Any, who: Any) -> None:
        """Enter the scope, with no breadcrumb, span or session of an outer one left in it.

        `began` is when the request did, in seconds of the epoch; `around` is the layer that it began in, `who` opens
        that of the request.

        Where the SDK's own ASGI middleware is around us, its scope is the request's, and is used as it is. A server may
        start a request in the context that another one left behind: a pipelined request, or the next one on a
        connection whose reading was paused (https://github.com/python/cpython/issues/140947). It begins where that one
        began.
        """
        self.outer = self._begin_span = self._session = self._trace = self._draw = None
        self.is_adopted = around is True
        self.has_noted = False
        if around is True:
            self._token = undisturbed(open_layer, who)
            self.scope = Scope.get_isolation_scope()
            self.current = Scope.get_current_scope()
            self._is_open = True
            self._prepare(self.current)
            return
        # The SDK would make two scopes for a context that has none, at ten times the price of a copy.
        self.outer = (around and getattr(around, "outer_scopes", None)) or contexts.scopes() or _PRISTINE
        self._began = began
        self._is_open = True
        client = self.client
        if client.begins_all or client.eager_requests or not IS_POSSIBLE:
            client.eager_requests = max(0, client.eager_requests - 1)
            self.current, self.scope = self._make_current(), self._make_isolation()
        else:
            self.current, self.scope = late(self, client.raw, has_span=client.tracing)
        self._token = contexts.switch(self.current, self.scope, open_layer, who)

    def make_now(self) -> None:
        """Copy the scopes now, for they are going to be looked at; to be called before the application is."""
        if type(self.current) is LateScope:
            self.current, self.scope = self._make_current(), self._make_isolation()
            contexts.change(self.current, self.scope)

    def make(self, *, is_current: bool) -> Scope:
        """The copy that a late scope of the request stands for."""
        return self._make_current() if is_current else self._make_isolation()

    def _make_current(self) -> Scope:
        # What `fork` does, without its detour through the copy module.
        outer, _ = self.outer or _PRISTINE
        scope = named(outer.__copy__())
        if self.client.streaming:
            scope._propagation_context = self.new_trace()
        scope.span = None
        if hasattr(scope, "_server_segment_span"):
            scope._server_segment_span = None
        if self._begin_span is not None:
            self._begin_span(scope)
        self._prepare(scope)
        return scope

    def _make_isolation(self) -> Scope:
        _, outer = self.outer or _PRISTINE
        scope = outer.__copy__()
        if self.client.streaming:
            scope.set_new_propagation_context()
        else:
            scope._propagation_context = self.new_trace()
        scope.clear_breadcrumbs()
        self._describe(scope)
        sessions = self.client.sessions
        scope._session = (self._session or sessions.new(self._began)) if self._is_open and sessions else None
        return scope

    def new_trace(self) -> Any:
        """What the SDK keeps of the request's new trace: the same, whoever asks first, in whichever thread."""
        with making():
            if self._trace is None:
                self._trace = PropagationContext(trace_id=chance.trace_id())
                if self._draw is not None:
                    self._trace.baggage = chance.baggage(self._draw)
        return self._trace

    def _prepare(self, current: Scope) -> None:
        """Prepare the current scope for what is captured in it."""

    def _describe(self, isolation: Scope) -> None:
        """Have the isolation scope tell of the request what all that is made in it shall tell."""

    def _forget_errors(self) -> None:
        """Let go of what was captured."""

    def propagation_context(self) -> Any:
        """What the scopes know of the request's trace."""
        scope = getattr(self, "current" if self.client.streaming else "scope", None)
        return self.new_trace() if scope is None or type(scope) is LateScope else scope.get_active_propagation_context()

    def note_error(self, *, crashed: bool) -> None:
        """Note an error of which no event tells the session."""
        sessions = self.client.sessions
        if sessions is None:
            return
        if type(self.scope) is LateScope:
            self._session = self._session or sessions.new(self._began)
            note_error(self._session, crashed=crashed)
        else:
            note_error(self.scope._session, crashed=crashed)

    @property
    def is_waiting(self) -> bool:
        """Whether nobody has looked at the current scope yet."""
        return type(self.current) is LateScope

    def begin_when_seen(
        self, begin: Callable[[Scope], None], stand_ins: Callable[[Scope], tuple[Any, Any]], draw: float | None = None
    ) -> None:
        """Have a span begun on the current scope as soon as somebody looks, which may be now.

        Who looks for nothing but the span, or the server's segment, gets what `stand_ins` makes. `draw` is what the
        request's trace tells other services.
        """
        if type(self.current) is LateScope:
            self._draw = draw
            self._begin_span = begin
            stand_in_for_spans(self.current, stand_ins)
        else:
            begin(self.current)

    def close(self, *, is_here: bool) -> None:
        """Leave the scopes for the outer ones, unless they are adopted; what runs on in them keeps its tags.

        Not so where we are not in their context (`is_here`), but in that of another request.

        Exceptions are let go. The scopes know us by the event processor; that we no longer know them leaves no cycle
        for the collector.
        """
        if not self._is_open:
            return
        self._is_open = False
        outer = self.outer
        try:
            if self.errors is not None:
                self._forget_errors()
            if outer is not None:
                if self._begin_span is not None and self.client.streaming:
                    self._begin_span = None
                    take_out_spans(self.current)
                if type(self.current) is not LateScope:
                    self._let_go(self.current)
                if (sessions := self.client.sessions) is not None:
                    if self._session is None and type(self.scope) is LateScope:
                        sessions.note(self._began)
                    else:
                        self._count_session(sessions)
        finally:
            # What runs on has the scopes from its context; that we no longer know them leaves no cycle.
            del self.current, self.scope
            if outer is not None and is_here:
                current, isolation = (None, None) if outer is _PRISTINE else outer
                contexts.switch(current, isolation, close_layer, self._token)
            elif is_here:
                undisturbed(close_layer, self._token)

    def _let_go(self, current: Scope) -> None:
        """Remember that somebody has looked, and let go of what would be a cycle."""
        if was_late(current):
            self.client.eager_requests = _EAGER_REQUESTS
        if self.client.streaming and hasattr(current, "_server_segment_span"):
            # The segment knows the scope, too; and what begins from here on is no part of the request.
            if current._span is current._server_segment_span:
                current._span = None
            current._server_segment_span = None

    def _count_session(self, sessions: SessionCounts) -> None:
        session: Any = self._session
        if type(self.scope) is not LateScope:
            session, self.scope._session = self.scope._session, None
        if isinstance(session, RequestSession):
            sessions.note_ended(session)
        elif session is not None:  # the application began one, by which the SDK has ended the request's
            session.close()
            self.client.raw.capture_session(session)
