"""Slow requests: found whether sampled or not, told at most once a minute for each route."""

import time
from collections import OrderedDict
from collections.abc import Iterable

from asgi_rota_sentry.forks import Locked

_QUIET_SECONDS = 60.0
_MOST_ROUTES = 1_000


class SlowRequests(Locked):
    """Knows from how many `seconds` on a request is slow, and which routes have been told of lately.

    A request is as slow as its first byte: what comes after depends on the client, and a stream ends when it ends. One
    that has none, because it failed or was given up, is as slow as its end.
    `routes` are the exceptions, pairs of a path or route template (exact, or ending in `*`) and seconds; the first that
    fits counts. `least` is the fewest seconds that are slow anywhere.
    """

    def __init__(self, seconds: float, routes: Iterable[tuple[str, float]] = ()) -> None:
        super().__init__()
        self.seconds = seconds
        self._routes = tuple(routes)
        self.least = min([seconds, *(limit for _, limit in self._routes)])
        self._told: OrderedDict[str, float] = OrderedDict()

    def limit(self, *names: str | None) -> float:
        """From how many seconds on a request with these names (its path, its route template or None) is slow."""
        for pattern, seconds in self._routes:
            for name in names:
                if name is not None and _fits(name, pattern):
                    return seconds
        return self.seconds

    def is_to_be_told(self, route: str) -> bool:
        """Whether this route was not told of within the last minute; from now on it was."""
        now = time.monotonic()
        with self.lock:
            last = self._told.get(route)
            if last is not None and now - last < _QUIET_SECONDS:
                return False
            self._told[route] = now
            self._told.move_to_end(route)
            while len(self._told) > _MOST_ROUTES:
                self._told.popitem(last=False)
        return True


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
