"""How often one client may post, and how often feedback on one event is taken.

Counted by the library `limits` in fixed windows: in this process's memory, or in Redis for all processes together.
"""

import math
import time
from typing import Any

from asgi_rota_sentry import faults
from asgi_rota_sentry.feedback import threads
from asgi_rota_sentry.settings import Settings

_REDIS_SECONDS = 1.0
_PAUSE_SECONDS = 10.0


class RateLimits:
    """The two limits of the settings. While Redis cannot be reached, this process's own memory counts."""

    def __init__(self, settings: Settings) -> None:
        # The library's own name for a Redis behind a Unix socket.
        self._redis_url = (settings.feedback_redis_url or "").replace("unix:", "redis+unix:", 1)
        self._rates = {"client": settings.feedback_rate, "event": settings.feedback_event_rate}
        self._items: dict[str, Any] = {}
        self._memory: Any = None
        self._redis: Any = None
        self._no_redis_before = 0.0

    async def wait(self, what: str, key: str) -> int:
        """Count one post of this `client` or for this `event`; returns the seconds to wait, 0 when it may pass."""
        if not self._rates[what]:
            return 0
        if self._memory is None:
            await threads.run(self._start)  # importing the library takes a tenth of a second
        item = self._items[what]
        if self._redis_url and time.monotonic() >= self._no_redis_before:
            try:
                return await threads.run(self._hit_redis, item, what, key)
            except Exception:  # without the extra, without a server: counted here instead
                self._no_redis_before = time.monotonic() + _PAUSE_SECONDS
                faults.report("counting feedback in Redis (this process counts alone for now)")
        return _hit(self._memory, item, what, key)

    def _start(self) -> None:
        from limits import parse  # noqa: PLC0415 - slow to import, and not always needed
        from limits.storage import MemoryStorage  # noqa: PLC0415
        from limits.strategies import FixedWindowRateLimiter  # noqa: PLC0415

        self._items = {what: parse(rate) for what, rate in self._rates.items() if rate}
        self._memory = FixedWindowRateLimiter(MemoryStorage())

    def _hit_redis(self, item: Any, what: str, key: str) -> int:
        if self._redis is None:
            from limits.storage import storage_from_string  # noqa: PLC0415
            from limits.strategies import FixedWindowRateLimiter  # noqa: PLC0415

            given: dict[str, Any] = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
            self._redis = FixedWindowRateLimiter(storage_from_string(self._redis_url, **given))
        return _hit(self._redis, item, what, key)


def _hit(limiter: Any, item: Any, what: str, key: str) -> int:
    names = ("asgi_rota_sentry.feedback", what, key)
    if limiter.hit(item, *names):
        return 0
    until: float = limiter.get_window_stats(item, *names).reset_time
    return max(1, math.ceil(until - time.time()))
