"""The events of one request: what becomes of each, and which of them were accepted."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import sentry_sdk
from sentry_sdk.integrations import logging as _logging
from sentry_sdk.scope import Scope

from asgi_rota_sentry import counters, faults
from asgi_rota_sentry.budget import Budget, Verdict
from asgi_rota_sentry.expected import first_leaf, is_disconnect, leaves
from asgi_rota_sentry.sdk import ready
from asgi_rota_sentry.sdk.capture import remember_exception
from asgi_rota_sentry.sdk.client import WITHHOLD, Client
from asgi_rota_sentry.sdk.late import is_late, transaction_name
from asgi_rota_sentry.sdk.scopes import Scopes
from asgi_rota_sentry.sdk.tallies import put_tally

# Of its own: what is counted because there is too much of it must not become breadcrumbs, logs at Sentry or, by the
# user's settings for warnings, events. Of these functions each version of the SDK has two.
_log = logging.getLogger("asgi_rota_sentry.budget")
for _name in ("ignore_logger", "ignore_logger_for_events", "ignore_logger_for_sentry_logs"):
    if hasattr(_logging, _name):
        getattr(_logging, _name)(_log.name)

Event = dict[str, Any]


class Teller(Protocol):
    """Who knows of the request: its record."""

    def enrich(self, event: Event) -> Callable[[Event], None] | None:
        """Add what is known to an event, and return what is to take out what must not leave, if there is such."""

    def attributes(self) -> Mapping[str, Any]:
        """What all that is made in the request's scope tells of it, spans, logs and metrics among it."""


class RequestScope(Scopes):
    """One request's isolation scope; sees every event that is made inside and knows which of them were accepted.

    `teller` is asked with each event, and once if anybody looks at the scope. `should_drop` tells the exceptions that
    make no event, `budget` those that are only counted.
    """

    __slots__ = (
        "_accepted",
        "_admitted",
        "_budget",
        "_forked",
        "_pending",
        "_seen",
        "_should_drop",
        "_teller",
        "_verdicts",
        "errors",
        "ignored",
    )

    def __init__(
        self,
        client: Client,
        teller: Teller,
        should_drop: Callable[[BaseException], bool],
        budget: Budget,
    ) -> None:
        Scopes.__init__(self, client)
        #: How many errors were captured (or counted, beyond the budget), and how many expected ones make no event.
        self.errors = self.ignored = 0
        self._forked: str | None = None
        self._admitted: tuple[BaseException, Verdict] | None = None
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

    def _forget_errors(self) -> None:
        """Forget the exceptions; what an event was to tell and did not, since nobody accepted it, is owed again."""
        self._note_accepted()
        for verdict in self._verdicts.values():
            self._budget.refused(verdict)
        self._verdicts.clear()
        self._give_back()
        if not self.is_adopted:  # else the layer around us is yet to see them
            self._seen.clear()

    def _give_back(self) -> None:
        """Of the exception that was admitted last, no event was made."""
        admitted, self._admitted = self._admitted, None
        if admitted is not None:
            self._budget.refused(admitted[1])

    def has_seen(self, exc: BaseException) -> bool:
        """Whether this exception, or each member of this group, was captured in this request already."""
        if not self._is_used or not self._seen:
            return False
        return all(any(known is leaf for known, _ in self._seen) for leaf in leaves(exc))

    def skips(self, exc: BaseException, *, handled: bool = False) -> bool:
        """Whether no event is to be built of this exception: it was seen, or is to be dropped, or is only counted.

        To be asked before an event is built. One that is only counted is counted, and logged, by this.
        """
        if not self._is_used:
            self._begin_use()
        if self.has_seen(exc):
            return True
        if self._admitted is not None and self._admitted[0] is exc:
            return False
        if self._drops(exc):
            return True
        verdict = self._budget.decide(exc)
        if verdict.is_full:
            self._give_back()
            self._admitted = exc, verdict
            return False
        self._count(exc, verdict, handled=handled)
        return True

    def _drops(self, exc: BaseException) -> bool:
        if not self._should_drop(exc):
            return False
        self._see(exc, "")
        if not is_disconnect(exc):
            self.ignored += 1
        return True

    def _count(self, exc: BaseException, verdict: Verdict, *, handled: bool) -> None:
        event_id = verdict.stands_for or ""
        self.errors += 1
        self._note_accepted()
        self._see(exc, event_id)
        if event_id:
            self._accepted.append((event_id, handled))
        self.note_error(crashed=not handled)
        remember_exception(self.client, exc)
        counters.count("errors.over_budget")
        if _log.isEnabledFor(logging.WARNING):
            _log_counted(exc, verdict)

    def _see(self, exc: BaseException, event_id: str) -> None:
        for leaf in leaves(exc):
            self._seen.append((leaf, event_id))

    def event_id_of(self, exc: BaseException) -> str | None:
        """The accepted event of just this exception; None when there is none, or when it was not accepted."""
        if not self._is_used:
            return None
        self._note_accepted()
        first = first_leaf(exc)
        for known, event_id in self._seen:
            if known is first and any(event_id == accepted for accepted, _ in self._accepted):
                return event_id
        return None

    def event_id(self, *, unhandled_only: bool = False) -> str | None:
        """The accepted event that stands for this request's failure: the last unhandled one, else the last of all."""
        if not self._is_used:
            return None
        self._note_accepted()
        unhandled = [event_id for event_id, handled in self._accepted if not handled]
        others = [] if unhandled_only else [event_id for event_id, _ in self._accepted]
        found = unhandled or others
        return found[-1] if found else None

    @property
    def user(self) -> dict[str, Any] | None:
        """The user that the application, or an integration of the SDK, has set."""
        return getattr(self.scope, "_user", None)

    @property
    def trace_id(self) -> str | None:
        """The trace that events of this request belong to."""
        if self.is_adopted or (self.client.streaming and not self.is_waiting):
            return self.current.get_trace_context().get("trace_id")
        # As its transaction has it, without a look at that: one that is not sampled would have to be made first.
        found: str = self.propagation_context().trace_id
        return found

    @property
    def transaction(self) -> tuple[str, str]:
        """The name that the SDK's integrations or the application gave the request by now, and its source."""
        return transaction_name(self.current)

    def _process(self, event: Event, hint: dict[str, Any]) -> Event | None:
        """The event processor of this request."""
        if event.get("type") == "transaction":
            return self._complete(event, hint)
        if not self._is_used:
            self._begin_use()
        self._note_accepted()
        info = hint.get("exc_info")
        exc = info[1] if info else None
        event_id = event.get("event_id") or ""
        if exc is not None:
            if self.has_seen(exc) or self._drops(exc):
                return None
            self.errors += 1
            self._see(exc, event_id)
            self._settle(event, exc, event_id)
        if event_id and event.get("level", "error") in ("error", "fatal"):
            self._pending.append((event_id, _handled(event)))
        return self._complete(event, hint)

    def _settle(self, event: Event, exc: BaseException, event_id: str) -> None:
        """Have the event tell of those that were only counted before it."""
        admitted, self._admitted = self._admitted, None
        if admitted is None or admitted[0] is not exc:
            return
        self._verdicts[event_id] = admitted[1]
        if admitted[1].owed is not None:
            put_tally(event, admitted[1].owed)

    def _complete(self, event: Event, hint: dict[str, Any]) -> Event:
        withhold = self._teller.enrich(event)
        if withhold is not None and self.client.withholds_last:
            hint[WITHHOLD] = withhold
        elif withhold is not None:
            withhold(event)
        return ready.prepare(event, self.client) if self.client.prepares_events else event

    def _begin_use(self) -> None:
        """The first event of this request: until it is accepted, the last ID is one that the fork brought along."""
        self._is_used = True
        self._forked = self._last_event_id()
        self._seen: list[tuple[BaseException, str]] = []
        self._pending: list[tuple[str, bool]] = []
        self._accepted: list[tuple[str, bool]] = []
        self._verdicts: dict[str, Verdict] = {}

    def _note_accepted(self) -> None:
        """The SDK keeps only the ID that it accepted last; look at it before each next event, and at the end."""
        if not self._pending and not self._verdicts:
            return
        last = self._last_event_id()
        if last is None or last == self._forked:
            return
        self._accepted.extend(entry for entry in self._pending if entry[0] == last)
        if last in self._verdicts:
            self._budget.accepted(self._verdicts.pop(last), last)
        self._pending = [entry for entry in self._pending if entry[0] != last]

    def _last_event_id(self) -> str | None:
        """That of the request's own scope, in whichever context we are; private, else that of this context."""
        scope: Any = getattr(self, "scope", None)
        if scope is not None and is_late(scope):
            return None  # nothing was captured in it
        return scope._last_event_id if hasattr(scope, "_last_event_id") else sentry_sdk.last_event_id()


def _log_counted(exc: BaseException, verdict: Verdict) -> None:
    """Log an error that is only counted; the place that the record names is where the error was raised."""
    _, code, line = verdict.kind
    path, function = (code.co_filename, code.co_name) if code is not None else ("(unknown file)", None)
    record = _log.makeRecord(
        _log.name,
        logging.WARNING,
        path,
        line,
        "An error over the budget is counted, not sent: %s: %s (%s:%s); event %s stands for it.",
        (type(exc).__name__, exc, path, line, verdict.stands_for or "none"),
        None,
        function,
    )
    _log.handle(record)


def _handled(event: Event) -> bool:
    values = (event.get("exception") or {}).get("values") or []
    return not any((value.get("mechanism") or {}).get("handled") is False for value in values)
