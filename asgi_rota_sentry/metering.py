"""Requests in numbers, by route and status class, handed on every ten seconds.

To count is all that a request pays for. The sums are handed on in a thread of their own, and when the process ends.
"""

import time
from _thread import start_new_thread
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from asgi_rota_sentry import faults
from asgi_rota_sentry.accounts import Accounts

EVERY_SECONDS = 10.0
MOST_ROUTES = 300  # with their status classes; what is beyond is counted together
OTHERS = "(others)"

#: Those of every middleware of this process.
METERINGS = Accounts()

#: What is counted, in this order.
NAMES = ("requests", "errors", "errors.ignored", "requests.slow", "pages")


class Sum(NamedTuple):
    """What was counted of one route and status class (`2xx`; `none` where nothing was answered); by `NAMES`."""

    route: str
    status_class: str
    counts: tuple[int, ...]


class Metering:
    """Counts requests and has `report` told of the sums, every ten seconds in which there were any.

    Safe to be used from many threads.
    """

    def __init__(self, report: Callable[[list[Sum]], None], *, every: float = EVERY_SECONDS) -> None:
        self._report = report
        self._every = every
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._is_waiting = False
        self._lock = Lock()
        METERINGS.add(self)

    def note(self, route: str, status: int, others: tuple[int, ...] = ()) -> None:
        """Count one request; the route is empty where none is known, `others` are the counts after the first."""
        key = route, status // 100
        with self._lock:
            counts = self._counts.get(key)
            if counts is None:
                counts = self._begin(key)
            counts[0] += 1
            if others:
                for place, count in enumerate(others, start=1):
                    counts[place] += count

    def _begin(self, key: tuple[str, int]) -> list[int]:
        if not self._is_waiting:
            self._is_waiting = True
            METERINGS.settle_at_exit()
            start_new_thread(self._settle_later, ())
        if len(self._counts) >= MOST_ROUTES:
            key = OTHERS, key[1]
        return self._counts.setdefault(key, [0] * len(NAMES))

    def _settle_later(self) -> None:
        """Run in a thread of its own, to which the SDK's threading integration adds nothing."""
        time.sleep(self._every)
        self.settle()

    def settle(self) -> None:
        """Hand on what was counted until now."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._is_waiting = False
        if not counts:
            return
        try:
            self._report(
                [
                    Sum(route, f"{hundred}xx" if hundred else "none", tuple(found))
                    for (route, hundred), found in counts.items()
                ]
            )
        except Exception:
            faults.report("handing on the numbers of requests")

    def forget(self) -> None:
        """Begin anew, in the child of a fork: what the parent counted, the parent tells."""
        self._lock = Lock()
        self._is_waiting = False
        self._counts = {}
