"""What this process knows of the errors that feedback may be about: a small memory by event ID."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgi_rota_sentry import faults
from asgi_rota_sentry.forks import Locked

_MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class EventFacts:
    """Who met an error, and in which trace; no name, no e-mail address."""

    user_id: str | None = None
    role: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class KnownEvents(Locked):
    """The facts of the last events that were made in this process, whether or not they were sent."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: OrderedDict[str, EventFacts] = OrderedDict()

    def remember(self, event: Mapping[str, Any]) -> None:
        """Note one event's facts, the oldest of too many are forgotten; never raises."""
        try:
            if event.get("type") != "transaction":
                self._remember(str(event["event_id"]), event)
        except Exception:
            faults.report("remembering an event for feedback on it")

    def _remember(self, event_id: str, event: Mapping[str, Any]) -> None:
        user, contexts, tags = (_mapping(event.get(name)) for name in ("user", "contexts", "tags"))
        trace = _mapping(contexts.get("trace"))
        role = user.get("role") or tags.get("user.role")
        trace_id, span_id = _text(trace.get("trace_id")), _text(trace.get("span_id"))
        facts = EventFacts(_text(user.get("id")), _text(role), trace_id, span_id)
        with self.lock:
            self._facts[event_id] = facts
            while len(self._facts) > _MOST_EVENTS:
                self._facts.popitem(last=False)

    def find(self, event_id: str | None) -> EventFacts | None:
        """The facts of one event, or None for one that was not made here or too long ago."""
        with self.lock:
            return self._facts.get(event_id or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return str(value)[:200] if value else None
