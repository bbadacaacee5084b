"""What an envelope holds, in the few words that a list shows and the outbox sorts by."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asgi_rota_sentry.sdk.envelopes import Envelope, Item, item_json

_TITLE_LENGTH = 300
# Item types by what matters most: the first that an envelope has names the whole.
_KINDS = {
    "event": "error",
    "feedback": "feedback",
    "user_report": "feedback",
    "check_in": "check-in",
    "transaction": "transaction",
    "session": "session",
    "sessions": "session",
    "span": "span",
    "log": "log",
    "trace_metric": "metric",
    "profile": "profile",
    "profile_chunk": "profile",
    "replay_event": "replay",
    "client_report": "client report",
}
_ESSENTIAL = {"error", "message", "feedback", "check-in", "session"}
_RANKS = {"error": 2, "message": 2, "feedback": 2, "check-in": 1, "session": 1}


@dataclass(frozen=True, slots=True)
class Summary:
    """One envelope in brief.

    `kind` is error, message, feedback, check-in, transaction, session, span, log, metric, profile or client report.
    `category` is the server's name for rate limits. `fingerprint` is the same for repeats of one error. `rank` says
    how long it is kept when room is short: 2 longest.
    """

    kind: str
    category: str
    event_id: str
    title: str
    user: str
    fingerprint: str
    rank: int


def is_essential(envelope: Envelope) -> bool:
    """Whether the envelope has an error, a message, feedback, a check-in or a session."""
    return any(_KINDS.get(item.type or "") in _ESSENTIAL for item in envelope.items)


def is_client_report(envelope: Envelope) -> bool:
    """Whether the envelope only tells the server what was lost."""
    return all(item.type == "client_report" for item in envelope.items)


def summarise(envelope: Envelope) -> Summary:
    """The summary of an envelope; never raises for odd content, odd fields are left empty."""
    item = main_item(envelope)
    if item is None:
        return Summary("empty", "default", "", "", "", "", 0)
    content = item_json(item)
    content = content if isinstance(content, dict) else {}
    kind = _KINDS.get(item.type or "", item.type or "unknown")
    if kind == "error" and not _exceptions(content):
        kind = "message"
    title = " ".join(_title(kind, content).split())[:_TITLE_LENGTH]
    event_id = str(envelope.headers.get("event_id") or content.get("event_id") or content.get("check_in_id") or "")
    category = kind if kind in ("feedback", "transaction", "profile") else str(item.data_category)
    fingerprint = _of_feedback(event_id, content) if kind == "feedback" else _fingerprint(kind, content, title)
    return Summary(kind, category, event_id, title, _user(content), fingerprint, _RANKS.get(kind, 0))


def main_item(envelope: Envelope) -> Item | None:
    """The item that the envelope is about: an event before its attachments, a transaction before its profile."""
    order = list(_KINDS)
    known = [item for item in envelope.items if item.type in _KINDS]
    if known:
        return min(known, key=lambda item: order.index(item.type or ""))
    return envelope.items[0] if envelope.items else None


def of_report(event_id: str, name: str, email: str, comments: str) -> str:
    """The fingerprint of a `user_report`, of which an event may have several: each is another by its words."""
    return _digest([event_id, name, email, comments])


def _of_feedback(event_id: str, content: dict[str, Any]) -> str:
    """An ID of its own, but for a `user_report`: that has its event's."""
    if "comments" not in content:
        return event_id
    return of_report(event_id, *(str(content.get(name) or "") for name in ("name", "email", "comments")))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha1("\n".join(parts).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _exceptions(content: dict[str, Any]) -> list[dict[str, Any]]:
    given = content.get("exception")
    values = given.get("values") if isinstance(given, dict) else given
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _title(kind: str, content: dict[str, Any]) -> str:
    if kind == "error":
        last = _exceptions(content)[-1]
        words = [str(last[name]) for name in ("type", "value") if last.get(name)]
        return ": ".join(words) or "exception"
    if kind == "message":
        entry = content.get("logentry")
        entry = entry if isinstance(entry, dict) else {}
        return str(entry.get("formatted") or entry.get("message") or content.get("message") or "")
    if kind == "feedback":
        contexts = content.get("contexts")
        told = contexts.get("feedback") if isinstance(contexts, dict) else None
        told = told if isinstance(told, dict) and told else content
        return str(told.get("message") or content.get("comments") or "")
    if kind == "check-in":
        return f"{content.get('monitor_slug', '')} {content.get('status', '')}"
    if kind == "session":
        return str(content.get("status") or "request sessions")
    if kind == "span":
        return ", ".join(_segments(content.get("items")))
    return str(content.get("transaction") or "")


def _segments(spans: Any) -> Iterable[str]:
    spans = [span for span in spans if isinstance(span, dict)] if isinstance(spans, list) else []
    return dict.fromkeys(str(span.get("name", "")) for span in spans if span.get("is_segment") or len(spans) == 1)


def _user(content: dict[str, Any]) -> str:
    user = content.get("user")
    if not isinstance(user, dict):
        return ""
    tags = content.get("tags")
    role = user.get("role") or (tags.get("user.role") if isinstance(tags, dict) else None)
    name = str(user.get("id") or user.get("username") or user.get("email") or user.get("ip_address") or "")
    return f"{name} ({role})" if name and role else name


def _fingerprint(kind: str, content: dict[str, Any], title: str) -> str:
    """The same text for repeats of one error: its type and the place in the application where it was raised."""
    given = content.get("fingerprint")
    parts = [kind, *map(str, given if isinstance(given, list) else [given] if given else [])]
    exceptions = _exceptions(content)
    if exceptions:
        trace = exceptions[-1].get("stacktrace")
        frames = trace.get("frames") if isinstance(trace, dict) else None
        frames = [frame for frame in frames or [] if isinstance(frame, dict)]
        place = next((frame for frame in reversed(frames) if frame.get("in_app")), frames[-1] if frames else {})
        parts += [
            str(exceptions[-1].get("type")),
            *(str(place.get(name)) for name in ("filename", "function", "lineno")),
        ]
    elif kind != "session":
        parts.append(title)
    return _digest(parts)
