"""How the visitor got there: breadcrumbs of this request and of the same visitor's earlier ones.

A visitor is known by a keyed hash of the session cookie; the cookie itself is never kept. The key is made anew in each
process, so the hashes mean nothing outside it.
"""

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

Breadcrumb = dict[str, Any]


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
    message = f"{exc.get('type')}: {exc.get('value')}" if exc.get("value") else str(exc.get("type"))
    return breadcrumb("exception", message, at=at, type="error", level="error")


class Visitor:
    """What is remembered of one visitor: the latest breadcrumbs, and whose they are once that is known."""

    __slots__ = ("entries", "owner")

    def __init__(self, length: int) -> None:
        self.entries: deque[tuple[Any, ...]] = deque(maxlen=length)
        self.owner: str | None = None


class Trail:
    """The visitors of this process, least recently seen out first.

    Bounded by `visitors` (number), `length` (breadcrumbs of each) and `seconds` (age of a breadcrumb). An entry costs
    about 0.3 KiB, so 10,000 visitors with 20 entries each take at most about 60 MB.
    """

    def __init__(self, cookies: Sequence[str], *, visitors: int, length: int, seconds: float) -> None:
        self._names = tuple(name.encode("latin-1") for name in cookies)
        self._visitors: OrderedDict[bytes, Visitor] = OrderedDict()
        self._most = visitors
        self._length = length
        self._seconds = seconds
        self._key = secrets.token_bytes(32)
        self._lock = Lock()

    def key(self, cookies: bytes) -> bytes | None:
        """The visitor's key from the value of a Cookie header: a keyed hash of the session cookie; None without one."""
        return self._hash(_cookie(cookies, self._names))

    def renewed_key(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """The key of a session cookie that a response sets; None when it sets none, or deletes it."""
        for name, value in headers:
            if name.lower() == b"set-cookie":
                pair = value.partition(b";")[0]
                lowered = value.lower()
                gone = b"max-age=0" in lowered or b"expires=thu, 01 jan 1970" in lowered
                if not gone and (found := _cookie(pair, self._names)):
                    return self._hash(found)
        return None

    def earlier(self, key: bytes | None) -> list[Breadcrumb]:
        """The visitor's breadcrumbs from earlier requests, oldest first."""
        if key is None:
            return []
        oldest = time.time() - self._seconds
        with self._lock:
            visitor = self._visitors.get(key)
            entries = list(visitor.entries) if visitor is not None else []
        return [_shown(entry) for entry in entries if entry[1] >= oldest]

    def note(self, key: bytes, entries: Iterable[tuple[Any, ...]], *, owner: str | None = None) -> None:
        """Remember what the visitor did.

        An entry is `("request", at, method, path, status)` or `("action", at, category, message, data)`.
        An `owner` (a user's ID) other than the remembered one begins a new story: the browser changed hands.
        """
        with self._lock:
            visitor = self._visitors.get(key)
            if visitor is None or (owner and visitor.owner and owner != visitor.owner):
                visitor = self._visitors[key] = Visitor(self._length)
            visitor.owner = owner or visitor.owner
            visitor.entries.extend(entries)
            self._visitors.move_to_end(key)
            while len(self._visitors) > self._most:
                self._visitors.popitem(last=False)

    def renew(self, old: bytes | None, new: bytes, *, owner: str | None) -> None:
        """The same visitor under a new session cookie: the story goes on, unless it is somebody else's."""
        if old is None or old == new:
            return
        with self._lock:
            visitor = self._visitors.get(old)
            if visitor is None or (owner and visitor.owner and owner != visitor.owner):
                return
            self._visitors[new] = visitor

    def _hash(self, cookie: bytes | None) -> bytes | None:
        return None if not cookie else hashlib.blake2b(cookie, key=self._key, digest_size=16).digest()


def _cookie(header: bytes, names: Sequence[bytes]) -> bytes | None:
    """The name and value of the first of these cookies in a Cookie header."""
    for name in names:
        start = header.find(name + b"=")
        while start > 0 and header[start - 1 : start] not in (b" ", b";"):
            start = header.find(name + b"=", start + 1)
        if start >= 0:
            found = header[start:].partition(b";")[0].strip()
            value = found[len(name) + 1 :].strip(b'"')
            return found if value and value != b"null" else None
    return None


def _shown(entry: tuple[Any, ...]) -> Breadcrumb:
    if entry[0] == "request":
        _, at, method, path, status = entry
        return answer(method, path, status, at=at)
    _, at, category, message, data = entry
    return breadcrumb(category, message, at=at, data=dict(data)) if data else breadcrumb(category, message, at=at)
