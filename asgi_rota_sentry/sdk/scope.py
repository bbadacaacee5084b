"""The scope of one request: sees every event that is made inside, and has what is known of the request put into it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, cast

import sentry_sdk
from sentry_sdk.scope import Scope

from asgi_rota_sentry import faults
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.sdk import accepted, contexts, ready
from asgi_rota_sentry.sdk.capture import remember_exception
from asgi_rota_sentry.sdk.client import DROPPED, WITHHOLD, Client
from asgi_rota_sentry.sdk.errors import Event, RequestErrors, log_counted
from asgi_rota_sentry.sdk.late import LateScope, transaction_name
from asgi_rota_sentry.sdk.layer import close_layer, layer, open_layer
from asgi_rota_sentry.sdk.named import source_of
from asgi_rota_sentry.sdk.scopes import Scopes


class Teller(Protocol):
    """Who knows of the request: its record."""

    def enrich(self, event: Event) -> Callable[[Event], None] | None:
        """Add what is known to an event, and return what is to take out what must not leave, if there is such."""

    def attributes(self) -> Mapping[str, Any]:
        """What all that is made in the request's scope tells of it, spans, logs and metrics among it."""


class RequestScope(Scopes):
    """One request's isolation scope; sees every event that is made inside.

    `teller` is asked with each event, and once if anybody looks at the scope. `should_drop` tells the exceptions that
    make no event, `budget` those that are only counted.
    """

    __slots__ = ("_budget", "_should_drop", "_teller")

    def __init__(
        self,
        client: Client,
        teller: Teller,
        should_drop: Callable[[BaseException], bool],
        budget: Budget,
    ) -> None:
        self.client = client
        self.errors = None
        self._is_open = False
        self._teller = teller
        self._should_drop = should_drop
        self._budget = budget

    def _prepare(self, current: Scope) -> None:
        """See the events that are made in the scope."""
        # The current scope's processors run after the isolation scope's, where the SDK's integrations put theirs.
        current.add_event_processor(cast(Any, self._process))

    def _describe(self, isolation: Scope) -> None:
        try:
            for name, value in self._teller.attributes().items():
                isolation.set_attribute(name, value)
        except Exception:
            faults.report("describing a request")

    def run(self, do: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do this in the request's own scopes and layer: its last byte may be sent in those of another, or in none."""
        around = contexts.scopes()
        if self.is_adopted or (around == (self.current, self.scope) and layer.get(None) is self._teller):
            do(*args, **kwargs)
            return
        token = contexts.switch(self.current, self.scope, open_layer, self._teller)
        try:
            do(*args, **kwargs)
        finally:
            current, isolation = around or (None, None)
            contexts.switch(current, isolation, close_layer, token)

    def skips(self, exc: BaseException, *, handled: bool = False) -> bool:
        """Whether no event is to be built of this exception: it was seen, or is to be dropped, or is only counted.

        To be asked before an event is built. One that is only counted is counted, and logged, by this.
        """
        errors = self._errors_by_now()
        verdict = errors.judge(exc)
        if verdict is None:
            if not handled and errors.was_told(exc):
                self.note_error(crashed=True)  # its event was made where it was logged, or captured by hand
            return True
        if verdict.is_full:
            return False
        errors.count(exc, verdict, handled=handled)
        if not verdict.is_unwanted:
            self.note_error(crashed=not handled)
        remember_exception(self.client, exc)
        log_counted(exc, verdict)
        return True

    def event_id_of(self, exc: BaseException) -> str | None:
        """The accepted event of just this exception; None when there is none, or when it was not accepted."""
        return None if self.errors is None else self._errors_by_now().event_id_of(exc)

    def event_id(self, *, unhandled_only: bool = False) -> str | None:
        """The accepted event that stands for this request's failure: the last unhandled one, else the last of all."""
        return None if self.errors is None else self._errors_by_now().event_id(unhandled_only=unhandled_only)

    @property
    def user(self) -> dict[str, Any] | None:
        """The user that the application, or an integration of the SDK, has set."""
        return getattr(self.scope, "_user", None)

    @property
    def trace_id(self) -> str | None:
        """The trace that events of this request belong to."""
        if self.is_adopted or (self.client.streaming and not self.is_waiting):
            return self.current.get_trace_context().get("trace_id")
        # With tracing off what is told of the trace is what another tracer (OpenTelemetry) makes of it, if one does.
        if not self.client.tracing and (elsewhere := contexts.external_trace()):
            return elsewhere[0]
        # As its transaction has it, without a look at that: one that is not sampled would have to be made first.
        found: str = self.propagation_context().trace_id
        return found

    def transaction(self) -> tuple[Any, str]:
        """The name that the SDK's integrations or the application gave the request by now, and its source."""
        current: Any = self.current
        if type(current) is LateScope and not self.has_noted:  # as nearly always where nothing was routed
            return "", "url"
        return transaction_name(current)

    def span_name(self, name: Any, source: str) -> tuple[Any, str]:
        """The name of the request's span and its source, which is `custom` if the application has named the span."""
        return name, source_of(name, source, *self.transaction())

    def _process(self, event: Event, hint: dict[str, Any]) -> Event | None:
        """The event processor of this request."""
        if event.get("type") != "transaction":
            info, errors = hint.get("exc_info"), self._errors_by_now()
            if errors.is_unwanted(event, info[1] if info else None):
                return None
            own, around = getattr(self, "scope", None), contexts.scopes()
            elsewhere = own is not None and around is not None and around[1] is not own
            accepted.tell(partial(errors.note_accepted, elsewhere=elsewhere))
            session = getattr(around[1] if around is not None else own, "_session", None)
            if info and session is not None:
                accepted.tell(partial(errors.note_told, event.get("event_id") or "", session, session.errors))
            if info and self.client.withholds_last:
                hint[DROPPED] = partial(errors.note_dropped, event.get("event_id") or "")
        withhold = self._teller.enrich(event)
        if withhold is not None and self.client.withholds_last:
            hint[WITHHOLD] = withhold
        elif withhold is not None:
            withhold(event)
        return ready.prepare(event, self.client) if self.client.prepares_events else event

    def _errors_by_now(self) -> RequestErrors:
        """What was captured, with what the SDK has accepted of it by now."""
        if self.errors is None:
            self.errors = RequestErrors(self._should_drop, self.client.ignores, self._budget, self._last_event_id())
            if not self._is_open:
                self.errors.forget(seen=False)  # what runs on may do so for ever
        elif self.errors.is_waiting:
            self.errors.note_accepted(self._last_event_id())
        return self.errors

    def _forget_errors(self) -> None:
        """Forget the exceptions, unless the layer around us is yet to see them."""
        self._errors_by_now().forget(seen=not self.is_adopted)

    def _last_event_id(self) -> str | None:
        """That of the request's own scope, in whichever context we are; private, else that of this context."""
        scope: Any = getattr(self, "scope", None)
        if type(scope) is LateScope:
            return None  # nothing was captured in it
        return scope._last_event_id if hasattr(scope, "_last_event_id") else sentry_sdk.last_event_id()
