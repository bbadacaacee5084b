"""The errors of one request: which of them become events, which of the events were accepted, and which is its own."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sentry_sdk.integrations import logging as _logging

from asgi_rota_sentry import counters
from asgi_rota_sentry.budget import Budget, Verdict
from asgi_rota_sentry.expected import is_disconnect, retold
from asgi_rota_sentry.sdk.seen import MOST, Seen
from asgi_rota_sentry.sdk.tallies import put_tally

# Of its own: what is counted because there is too much of it must not become breadcrumbs, logs at Sentry or, by the
# user's settings for warnings, events. Of these functions each version of the SDK has two.
_log = logging.getLogger("asgi_rota_sentry.budget")
for _name in ("ignore_logger", "ignore_logger_for_events", "ignore_logger_for_sentry_logs"):
    if hasattr(_logging, _name):
        getattr(_logging, _name)(_log.name)

Event = dict[str, Any]

# Stands for the ID of an event where an exception was counted, and there was none to stand for it.
_COUNTED = "counted"


class RequestErrors:
    """What was captured in one request, exceptions and events; the last of them, for a request may last for days.

    `should_drop` tells the exceptions that make no event, `ignores` those that the user's options leave out, `budget`
    those that are only counted. `inherited` is the ID of the event that the SDK accepted last before the request, which
    its scopes brought along.
    """

    __slots__ = (
        "_accepted",
        "_admitted",
        "_budget",
        "_ignores",
        "_inherited",
        "_last",
        "_pending",
        "_seen",
        "_should_drop",
        "_told",
        "_verdicts",
        "captured",
        "ignored",
    )

    def __init__(
        self,
        should_drop: Callable[[BaseException], bool],
        ignores: Callable[[BaseException], bool],
        budget: Budget,
        inherited: str | None,
    ) -> None:
        #: How many were captured (or counted, beyond the budget), and how many expected ones make no event.
        self.captured = self.ignored = 0
        self._should_drop = should_drop
        self._ignores = ignores
        self._budget = budget
        self._inherited = inherited
        self._admitted: tuple[BaseException, Verdict] | None = None
        self._seen = Seen()
        self._pending: deque[tuple[str, bool]] = deque(maxlen=MOST)
        self._accepted: deque[str] = deque(maxlen=MOST)
        # The last accepted event of those that are handled, and of those that are not.
        self._last: dict[bool, str] = {}
        self._verdicts: dict[str, Verdict] = {}
        # The events that the session knows of, also those that the SDK's `sample_rate` has left out.
        self._told: deque[str] = deque(maxlen=MOST)

    def has_seen(self, exc: BaseException) -> bool:
        """Whether this exception, what it tells again, or each member of this group was captured in this request."""
        seen = self._seen
        return bool(seen) and (exc in seen or any(each in seen for each in retold(exc)))

    def judge(self, exc: BaseException) -> Verdict | None:
        """What becomes of an exception of which no event was begun; None where it makes no event and is not counted.

        To be asked before an event is built, and once: it takes from the budget.
        """
        if self.has_seen(exc):
            return None
        if self._admitted is not None and self._admitted[0] is exc:
            return self._admitted[1]
        if self.drops(exc):
            return None
        verdict = self._budget.decide(exc)
        if verdict.is_full:
            self._give_back()
            self._admitted = exc, verdict
        return verdict

    def drops(self, exc: BaseException) -> bool:
        """Whether the exception is expected, or ignored by the user's options, and makes no event."""
        if not self._should_drop(exc):
            if not self._ignores(exc):
                return False
            counters.count("errors.ignored")
        self._seen.add(exc, "")
        if not is_disconnect(exc):
            self.ignored += 1
        return True

    def count(self, exc: BaseException, verdict: Verdict, *, handled: bool) -> None:
        """Count an exception beyond the budget."""
        event_id = verdict.stands_for or ""
        self.captured += 1
        self._seen.add(exc, event_id or _COUNTED)
        if event_id:
            self._accept(event_id, handled=handled)
        if not verdict.is_unwanted:
            self._told.append(event_id or _COUNTED)
        counters.count("errors.over_budget")

    def is_unwanted(self, event: Event, exc: BaseException | None) -> bool:
        """Take in an event that is being made, of an exception or none; whether it is not to be sent."""
        event_id = event.get("event_id") or ""
        if exc is not None:
            if self.has_seen(exc) or self.drops(exc):
                return True
            self.captured += 1
            self._seen.add(exc, event_id)
            self._settle(event, exc, event_id)
        if event_id and event.get("level", "error") in ("error", "fatal"):
            self._pending.append((event_id, _handled(event)))
        return False

    @property
    def is_waiting(self) -> bool:
        """Whether the SDK is yet to tell of any event if it was accepted."""
        return bool(self._pending or self._verdicts)

    def note_accepted(self, last: str | None, *, elsewhere: bool = False) -> None:
        """Take in the ID that the SDK accepted last: when it did, and what the request's scope keeps of it.

        What nobody handled `elsewhere`, in a scope of the application's own or in a thread, stands for its exception
        alone: it has ended a task or that thread, and not the request.
        """
        if last is None or last == self._inherited or not self.is_waiting:
            return
        for entry in list(self._pending):  # at once: another thread of the request may add to it
            if entry[0] == last:
                with suppress(ValueError):
                    self._pending.remove(entry)
                    self._accept(last, handled=entry[1], is_own=entry[1] or not elsewhere)
        if last in self._verdicts:
            self._budget.accepted(self._verdicts.pop(last), last)

    def note_told(self, event_id: str, session: Any, errors: int, _: str | None) -> None:
        """Note if the session, which knew of so many errors before, was told of this event when it was captured."""
        if session.errors > errors:
            self._told.append(event_id)

    def was_told(self, exc: BaseException) -> bool:
        """Whether the session knows of this exception, by an event of it or by its count."""
        return self._seen.event_id_of(exc, self._told) is not None

    def note_dropped(self, event_id: str) -> None:
        """Note that the user's own hook dropped this event."""
        verdict = self._verdicts.pop(event_id, None)
        if verdict is not None:
            self._budget.dropped(verdict)
            self._budget.refused(verdict)

    def event_id_of(self, exc: BaseException) -> str | None:
        """The accepted event of just this exception; None when there is none, or when it was not accepted."""
        return self._seen.event_id_of(exc, self._accepted)

    def event_id(self, *, unhandled_only: bool = False) -> str | None:
        """The accepted event that stands for the request's failure: the last unhandled one, else the last of all."""
        return self._last.get(False) or (None if unhandled_only else self._last.get(True))

    def forget(self, *, seen: bool) -> None:
        """Let go of verdicts, and of what was `seen`; what is still to come is not kept alive.

        What an event was to tell and did not, since nobody accepted it, is owed again.
        """
        self._seen.keep_no_more()
        for verdict in self._verdicts.values():
            self._budget.refused(verdict)
        self._verdicts.clear()
        self._give_back()
        if seen:
            self._seen.clear()

    def _give_back(self) -> None:
        """Of the exception that was admitted last, no event was made."""
        admitted, self._admitted = self._admitted, None
        if admitted is not None:
            self._budget.refused(admitted[1])

    def _accept(self, event_id: str, *, handled: bool, is_own: bool = True) -> None:
        self._accepted.append(event_id)
        if is_own:
            self._last[handled] = event_id

    def _settle(self, event: Event, exc: BaseException, event_id: str) -> None:
        """Have the event tell of those that were only counted before it."""
        admitted, self._admitted = self._admitted, None
        if admitted is None or admitted[0] is not exc:
            return
        self._verdicts[event_id] = admitted[1]
        if len(self._verdicts) > MOST:
            self._budget.refused(self._verdicts.pop(next(iter(self._verdicts))))
        if admitted[1].owed is not None:
            put_tally(event, admitted[1].owed)


def log_counted(exc: BaseException, verdict: Verdict) -> None:
    """Log an error that is only counted; the place that the record names is where the error was raised."""
    if not _log.isEnabledFor(logging.WARNING):
        return
    _, path, function, line = verdict.kind
    path = path or "(unknown file)"
    record = _log.makeRecord(
        _log.name,
        logging.WARNING,
        path,
        line,
        "An error over the budget is counted, not sent: %s: %s (%s:%s); event %s stands for it.",
        (type(exc).__name__, exc, path, line, verdict.stands_for or "none"),
        None,
        function or None,
    )
    _log.handle(record)


def _handled(event: Event) -> bool:
    values = (event.get("exception") or {}).get("values") or []
    return not any((value.get("mechanism") or {}).get("handled") is False for value in values)
