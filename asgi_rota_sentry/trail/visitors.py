"""The same visitor's earlier requests.

A visitor is known by a keyed hash of the session cookie; the cookie itself is never kept.
"""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from asgi_rota_sentry.scrubbing import Scrubber
from asgi_rota_sentry.trail.breadcrumbs import Breadcrumb, Entry, Item, Visit, remembered
from asgi_rota_sentry.trail.cookies import session_cookie, set_session_cookie
from asgi_rota_sentry.trail.hashing import IS_SIPHASH, Key, hashed_here, hashed_with
from asgi_rota_sentry.trail.memory import MemoryStore

_ENDED = b""
_UNKNOWN: Any = object()
_MOST_KEYS = 10_000  # of some 150 bytes each
#: The names of the header by which a response sets a cookie.
SET_COOKIE = frozenset({b"set-cookie", b"Set-Cookie"})


class Store(Protocol):
    """Where stories are kept, by the hash of a session cookie."""

    def read(self, key: Key) -> tuple[str | None, list[Item]]:
        """Whose story it is, and its requests, oldest first."""

    def note(self, key: Key, visit: Visit) -> None:
        """Add a request; one of another user begins a new story."""

    def renew(self, old: Key | None, new: Key) -> None:
        """The same visitor goes on under a new session cookie."""

    def forget(self, key: Key) -> None:
        """The story is over."""


class Trail:
    """What led to an event: the visitor's latest requests and actions, kept in this process or in Redis.

    `cookies` are the names of the session cookies. Bounded by `visitors` (in this process; the least recently seen goes
    first), `length` (requests of each) and `seconds` (their age). With `redis_url` all processes share the stories,
    out of which the `scrubber` has taken the secrets; raises `ImportError` where the package `redis` is missing,
    `ValueError` for a URL that is none.
    """

    def __init__(
        self,
        cookies: Sequence[str],
        *,
        visitors: int,
        length: int,
        seconds: float,
        redis_url: str | None = None,
        scrubber: Scrubber | None = None,
    ) -> None:
        self._wanted = tuple(f"{name}=".encode("latin-1") for name in cookies) if visitors and length else ()
        #: Whether anything is remembered.
        self.remembers = bool(self._wanted)
        self._seconds = seconds
        self._store: Store
        if redis_url and self._wanted:
            try:
                from asgi_rota_sentry.trail.redis_store import RedisStore  # noqa: PLC0415 - redis is an extra
            except ImportError as fault:
                raise ImportError("The trail in Redis needs redis: install asgi_rota_sentry[redis].") from fault

            # The hash is keyed again with a secret of all processes before it gets into Redis.
            self._hash = hashed_with(b"asgi_rota_sentry")
            self._store = RedisStore(redis_url, length=length, seconds=seconds, scrubber=scrubber or Scrubber())
        else:
            self._hash = hashed_here()
            self._store = MemoryStore(visitors=visitors, length=length)
        #: Remember one request, bounded. An owner other than the remembered one begins a new story: the browser changed
        #: hands.
        self.note: Callable[[Key, Visit], None] = self._store.note
        # By a keyed hash of a whole Cookie header the key in it: most visitors send the same header again.
        self._salt = secrets.token_bytes(16)
        self._keys: dict[int, Key | None] = {}

    def key(self, cookies: bytes) -> Key | None:
        """The visitor's key from the value of a Cookie header: a keyed hash of the session cookie; None without one."""
        header = hash(self._salt + cookies)
        known = self._keys.get(header, _UNKNOWN)
        return self._find(header, cookies) if known is _UNKNOWN else known

    def _find(self, header: int, cookies: bytes) -> Key | None:
        found = session_cookie(cookies, self._wanted)
        key = None if found is None else self._hash(found)
        if IS_SIPHASH:  # else two headers might have the same hash
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[header] = key
        return key

    def renewed(self, key: Key | None, headers: Collection[tuple[bytes, bytes]]) -> Key | None:
        """The key under which a visitor's story goes on after a response that sets cookies; it may also end there."""
        found = set_session_cookie(headers, self._wanted)
        if found is None:
            return key
        new = self._hash(found) if found else _ENDED
        self.renew(key, new)
        return new or key

    def earlier(self, key: Key | None, viewer: str | None = None, *, besides: float = 0.0) -> list[Breadcrumb]:
        """The visitor's breadcrumbs from earlier requests, oldest first; not of the one that was answered at `besides`.

        `viewer` is the user that the event is about: an ID sees nothing of another's requests, "" (certainly nobody)
        only what nobody did since, None (not known) the whole story.
        """
        if not key:
            return []
        owner, items = self._store.read(key)
        if viewer and owner and viewer != owner:
            return []
        if viewer == "" and owner:
            items = _since(owner, items)
        oldest = time.time() - self._seconds
        entries = [
            entry for _, entries in items if entries[-1][1] != besides for entry in entries if entry[1] >= oldest
        ]
        # Two processes, or two requests at once, need not have noted in the order in which things happened.
        return [remembered(entry) for entry in sorted(entries, key=_moment)]

    def renew(self, old: Key | None, new: Key) -> None:
        """The same visitor under a new session cookie: the story goes on. An empty `new` ends it."""
        if new == _ENDED:
            if old:
                self._store.forget(old)
        else:
            self._store.renew(old, new)

    def close(self) -> None:
        """Let go of connections and threads."""
        close = getattr(self._store, "close", None)
        if close is not None:
            close()


def _moment(entry: Entry) -> float:
    return float(entry[1])


def _since(owner: str, items: list[Item]) -> list[Item]:
    """What certainly nobody did after the last request of the owner, and what followed."""
    last = max((index for index, item in enumerate(items) if item[0] == owner), default=-1)
    rest = items[last + 1 :]
    return rest[next((index for index, item in enumerate(rest) if item[0] == ""), len(rest)) :]
