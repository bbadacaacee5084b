"""Requests in numbers, by route and status class, handed on every ten seconds.

To count is all that a request pays for. The sums are handed on in a thread of their own, and when the process ends.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from threading import RLock
from typing import NamedTuple

from asgi_rota_sentry import faults
from asgi_rota_sentry.accounts import Accounts, taken

EVERY_SECONDS = 10.0
MOST_ROUTES = 300  # with their status classes; what is beyond is counted together
OTHERS = "(others)"
# So many requests are added up together.
_MOST_NOTED = 1_000

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
        # What is not added up yet: route, status, the other counts.
        self._noted: deque[tuple[str, int, tuple[int, ...]]] = deque()
        self._is_waiting = False
        self._lock = RLock()
        METERINGS.add(self)

    def note(self, route: str, status: int, others: tuple[int, ...] = ()) -> None:
        """Count one request; the route is empty where none is known, `others` are the counts after the first."""
        self._noted.append((route, status, others))
        # In this order, and `settle` in the other one: what comes just too late for it begins the next wait.
        if not self._is_waiting:
            self._wait()
        if len(self._noted) >= _MOST_NOTED:
            with self._lock:
                self._add_up()

    def _wait(self) -> None:
        with self._lock:
            self._is_waiting = self._is_waiting or METERINGS.settle_later(self._settle_later)

    def _add_up(self) -> None:
        """With the lock held."""
        for (route, status, others), times in Counter(taken(self._noted)).items():
            key = route, status // 100
            if key not in self._counts and len(self._counts) >= MOST_ROUTES:
                key = OTHERS, key[1]
            counts = self._counts.setdefault(key, [0] * len(NAMES))
            counts[0] += times
            for place, count in enumerate(others, start=1):
                counts[place] += count * times

    def _settle_later(self) -> None:
        """Run in a thread of its own."""
        time.sleep(self._every)
        try:
            self.settle()
        except Exception:
            faults.report("handing on the numbers of requests")

    def settle(self) -> None:
        """Hand on what was counted until now."""
        with self._lock:
            self._is_waiting = False
            self._add_up()
            counts, self._counts = self._counts, {}
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
        self._lock = RLock()
        self._is_waiting = False
        self._noted.clear()
        self._counts = {}
