"""The visitor who makes one request, as the session cookie tells them apart, and what is remembered of them."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from asgi_rota_sentry import request
from asgi_rota_sentry.trail import Breadcrumb, Entry, Key, Trail, action_entry, request_entry
from asgi_rota_sentry.types import Scope

# The last ones of a request that are remembered.
_MOST_ACTIONS = 19


class Owner(Protocol):
    """Tells whose request it is: an ID, "" for certainly nobody's, None for not known."""

    def __call__(self, *, surely: bool) -> str | None:
        """`surely` is asked where the answer is worth its price."""


class Visitor:
    """Notes this request in the visitor's story, and tells the earlier ones.

    `cookies` is the request's Cookie header, or its first one.
    """

    __slots__ = ("_actions", "_cookies", "_scope", "_trail")

    def __init__(self, trail: Trail, scope: Scope, cookies: bytes | None) -> None:
        self._trail = trail
        self._scope = scope
        self._cookies = cookies
        self._actions: deque[Entry] | None = None

    def _key(self) -> Key | None:
        """Which visitor it is, where the request has a session cookie."""
        if self._cookies is None:
            return None
        return self._trail.key(self._cookies) or self._trail.key(request.cookie_header(self._scope))

    def act(self, category: str, message: str, data: dict[str, Any]) -> None:
        """Note what the user did."""
        if self._actions is None:
            self._actions = deque(maxlen=_MOST_ACTIONS)
        self._actions.append(action_entry(time.time(), category, message, data))

    def earlier(self, viewer: str | None) -> list[Breadcrumb]:
        """The breadcrumbs of the earlier requests, oldest first, as far as they are the viewer's."""
        return self._trail.earlier(self._key(), viewer)

    def answered(self, status: int, headers: Sequence[tuple[bytes, bytes]], at: float, owner: Owner) -> None:
        """Let the story go on with this request and its answer, which may renew the session cookie or end it.

        With its status the request stands where it was answered: after the click that it came from was noted.
        """
        trail, scope = self._trail, self._scope
        renewed, key = trail.renewed_key(headers), self._key()
        if renewed is not None:
            trail.renew(key, renewed)
            key = renewed or key
        if not key:
            return
        whose = owner(surely=renewed is not None)
        entry = request_entry(at, request.method(scope), request.path(scope), status)
        if self._actions is None:
            trail.note(key, (whose, (entry,)))
        else:
            trail.note(key, (whose, (*self._actions, entry)))
            self._actions = None
