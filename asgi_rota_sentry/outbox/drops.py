"""What was lost: told to the server, to Sentry's metrics and, once a minute, to the log."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from asgi_rota_sentry.sdk.envelopes import count_metric

logger = logging.getLogger("asgi_rota_sentry")
METRIC = "asgi_rota_sentry.outbox.dropped"
_LOG_SECONDS = 60.0


class Drops:
    """Counts of dropped envelopes by reason; `unrecorded` are those that the outbox's file does not count."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start afresh in a forked child, whose parent may have held the lock, and tells what it has counted."""
        self.unrecorded = 0
        self._waiting: Counter[str] = Counter()
        self._lock = threading.RLock()  # the collector may run while it is held, and drop something
        self._logged_at: float | None = None

    def count(self, quantity: int, reason: str, *, recorded: bool = False) -> None:
        """Count, and log if nothing was logged within the last minute."""
        if not quantity:
            return
        with self._lock:
            self.unrecorded += 0 if recorded else quantity
            self._waiting[reason] += quantity
            if self._logged_at is not None and time.monotonic() - self._logged_at < _LOG_SECONDS:
                return
            self._logged_at = time.monotonic()
            waiting, self._waiting = self._waiting, Counter()
        logger.warning("Sentry envelopes were dropped: %s.", "; ".join(f"{n} {why}" for why, n in waiting.items()))
        count_metric(METRIC, sum(waiting.values()))


class Complaint:
    """One log line for a fault that lasts, and one when it is over."""

    def __init__(self, write: Callable[..., None] = logger.warning) -> None:
        self._write = write
        self._active = False

    def raise_once(self, message: str, *arguments: object) -> None:
        """Log, unless the fault is known."""
        if not self._active:
            self._active = True
            self._write(message, *arguments)

    def over(self, message: str, *arguments: object) -> None:
        """Log that the fault is over, if there was one."""
        if self._active:
            self._active = False
            self._write(message, *arguments)
