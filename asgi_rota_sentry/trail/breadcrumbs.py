"""Breadcrumbs as Sentry's breadcrumbs interface wants them, and the short form in which earlier ones are kept.

https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from sys import intern
from typing import Any

from asgi_rota_sentry import request
from asgi_rota_sentry.scrubbing import whole_words
from asgi_rota_sentry.types import Scope

Breadcrumb = dict[str, Any]
#: `("request", at, method, path, status)` or `("action", at, category, message, data)`; `at` in seconds of the epoch.
Entry = tuple[Any, ...]

#: One answered request as it is noted: whose it was (an ID or what stands for one, "" for certainly nobody's, None for
#: not known), when it was answered, its scope's `method`, `path` and `root_path` by then, the status, and what the user
#: did in it. With the status 0 it is only what the user did, in a request that was answered before.
Visit = tuple[str | None, float, Any, Any, Any, int, Sequence[Entry] | None]
#: The same as it is told: whose it was, and its entries.
Item = tuple[str | None, Sequence[Entry]]

#: Of the texts that are kept, in characters.
LONGEST = 300
_MOST_DATA = 10
#: Those that are told as they are.
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def breadcrumb(category: str, message: str, *, at: float | None = None, **fields: Any) -> Breadcrumb:
    """A breadcrumb as Sentry's breadcrumbs interface wants it; `at` in seconds since the epoch, now when left out."""
    moment = time.time() if at is None else at
    return {
        "type": "default",
        "level": "info",
        "category": category,
        "message": message,
        "timestamp": datetime.fromtimestamp(moment, UTC),
        **fields,
    }


def arrival(scope: Scope, *, at: float) -> Breadcrumb:
    """The breadcrumb of a request that has arrived: `GET /dashboard/`."""
    method, path = request.method(scope), request.path(scope)
    data = {"method": method, "url": path}
    return breadcrumb("request", f"{method} {path}", at=at, type="http", data=data)


def answer(method: str, path: str, status: int, *, at: float) -> Breadcrumb:
    """The breadcrumb of an answered request: `GET /dashboard/ (200 OK)`."""
    data = {"method": method, "url": path, "status_code": status}
    level = "error" if status >= 500 else "warning" if status >= 400 else "info"
    message = f"{method} {path} ({request.status_text(status)})"
    return breadcrumb("request", message, at=at, type="http", level=level, data=data)


def exception(exc: Mapping[str, Any], *, at: float) -> Breadcrumb:
    """The breadcrumb of the exception that an event is about, from the event's own (Sentry) exception value."""
    value = exc.get("value")
    message = f"{exc.get('type')}: {_told_once(str(value))}" if value else str(exc.get("type"))
    return breadcrumb("exception", message, at=at, type="error", level="error")


def remembered(entry: Entry) -> Breadcrumb:
    """The breadcrumb of what was remembered of an earlier request."""
    if entry[0] == "request":
        _, at, method, path, status = entry
        return answer(method, path, status, at=at)
    _, at, category, message, data = entry
    return breadcrumb(category, message, at=at, data=dict(data)) if data else breadcrumb(category, message, at=at)


def bounded(visit: Visit) -> Visit:
    """The same with short texts, the path whole, and nothing of the application's: itself, as nearly all are so."""
    owner, at, method, path, root_path, status, actions = visit
    is_short = not actions and method in METHODS and type(path) is str and 0 < len(path) <= LONGEST
    if is_short and (not root_path or (type(root_path) is str and path.startswith(root_path + "/"))):
        return visit
    if root_path or not path:
        path = request.path({"path": path, "root_path": root_path})
    known_method = method if method in METHODS else _short(request.method({"method": method}))
    return owner, at, known_method, _short(path), "", status, tuple(actions or ())


def kept(visit: Visit) -> Item:
    """An answered request as it is told."""
    owner, at, method, path, _, status, actions = bounded(visit)
    if not status and actions:
        return owner, actions
    entry = ("request", at, method, path, status)
    return owner, (*actions, entry) if actions else (entry,)


def action_entry(at: float, category: str, message: str, data: Mapping[Any, Any]) -> Entry:
    """What the user did as it is kept: short texts and plain values, none of the application's objects."""
    kept = {_short(name): _plain(value) for name, value in list(data.items())[:_MOST_DATA]} if data else None
    return ("action", at, _short(category), _short(message), kept)


def _short(text: Any) -> str:
    value = text if type(text) is str else str(text)
    return intern(value if len(value) <= LONGEST else value[: LONGEST - 1] + "…")


def _told_once(text: str) -> str:
    """The beginning of what the event tells in full; whole words of it, so that no half of a secret is left."""
    return text if len(text) <= LONGEST else text[: whole_words(text, LONGEST - 1)] + "…"


def _plain(value: Any) -> Any:
    if value is None or type(value) in (int, float, bool):
        return value
    return _short(value) if isinstance(value, str) else f"<{type(value).__name__}>"
