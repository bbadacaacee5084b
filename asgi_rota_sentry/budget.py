"""The storm: how many errors become full events, and how the others are counted.

Building one event costs milliseconds of the event loop. When everything fails at once, an error beyond the budget is
only counted, which costs microseconds. Its count goes out with the next full event of its kind, and once a minute.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from threading import RLock
from typing import Any, NamedTuple

from asgi_rota_sentry import faults
from asgi_rota_sentry.accounts import Accounts
from asgi_rota_sentry.tally import Kind, Tally, example_of, kind_of

MINUTE = 60.0
KINDS_TOGETHER = 10  # all kinds together may have this many times the budget of one
MOST_KINDS = 1_000

#: Those of every middleware of this process.
BUDGETS = Accounts()

# What those of more kinds than can be told apart have in place of one.
_OTHERS: Kind = (None, "", "", 0)


class Verdict(NamedTuple):
    """What becomes of one error: a full event that tells of those that are `owed`, or the one that `stands_for` it.

    One that `is_unwanted` is not told of either, for the user's hook drops the events of its kind.
    """

    kind: Kind
    is_full: bool
    stands_for: str | None = None
    owed: Tally | None = None
    is_unwanted: bool = False


class _State:
    """What is known of one kind."""

    __slots__ = ("count", "example", "first", "full", "is_dropped", "last", "stands_for", "window")

    def __init__(self, now: float) -> None:
        self.window = now
        self.full = 0
        self.stands_for: str | None = None
        # Whether the user's hook has dropped an event of this kind.
        self.is_dropped = False
        self.example = Tally(0, 0.0, 0.0)
        self.count = 0
        self.first = self.last = now

    @property
    def is_unwanted(self) -> bool:
        """Whether the user's hook has dropped the events of this kind, and let none pass."""
        return self.is_dropped and self.stands_for is None

    def add(self, count: int, first: float, last: float) -> None:
        """Count some that are not sent."""
        if not self.count or first < self.first:
            self.first = first
        if not self.count or last > self.last:
            self.last = last
        self.count += count

    def take(self) -> Tally | None:
        """What is owed, from now on owed no more."""
        if not self.count:
            return None
        count, self.count = self.count, 0
        return replace(self.example, count=count, first=self.first, last=self.last, stands_for=self.stands_for)


class Budget:
    """How many full events a minute may have: `per_minute` of each kind, ten times that of all; 0 for no limit.

    `report` is given what is owed, once a minute and when the process ends; in a thread of its own, so that a storm
    that has passed is told of as well. Safe to be used from many threads.
    """

    def __init__(
        self,
        per_minute: int,
        report: Callable[[Tally], Any],
        *,
        now: Callable[[], float] = time.time,
        every: float = MINUTE,
    ) -> None:
        self._per_minute = per_minute
        self._report = report
        self._now = now
        self._every = every
        self._kinds: dict[Kind, _State] = {}
        self._window = 0.0
        self._full = 0
        self._is_waiting = False
        self._lock = RLock()
        BUDGETS.add(self)

    def decide(self, exc: BaseException) -> Verdict:
        """What becomes of this error; one that is not full is counted by this."""
        kind = kind_of(exc)
        if not self._per_minute:
            return Verdict(kind, is_full=True)
        known = self._kinds.get(kind)
        # Outside of the lock: it asks the exception for its text.
        example = example_of(exc) if known is None or not known.example.type_name else None
        with self._lock:
            now = self._now()
            kind, state = self._state(kind, now)
            if example is not None:
                state.example = example
            if self._admits(state, now):
                return Verdict(kind, is_full=True, owed=state.take())
            if state.is_unwanted:
                return Verdict(kind, is_full=False, is_unwanted=True)
            state.add(1, now, now)
            self._is_waiting = self._is_waiting or BUDGETS.settle_later(self._settle_later)
            return Verdict(kind, is_full=False, stands_for=state.stands_for)

    def accepted(self, verdict: Verdict, event_id: str) -> None:
        """Note that the full event was accepted: from now on it stands for those of its kind that are not sent."""
        with self._lock:
            state = self._kinds.get(verdict.kind)
            if state is not None:
                state.stands_for = event_id

    def dropped(self, verdict: Verdict) -> None:
        """Note that the user's hook dropped the full event: none of its kind is told of until it lets one pass."""
        with self._lock:
            state = self._kinds.get(verdict.kind)
            if state is not None and verdict.kind != _OTHERS:
                state.is_dropped = True

    def refused(self, verdict: Verdict) -> None:
        """Take back what a full event was to tell of, since it was not accepted."""
        owed = verdict.owed
        if owed is not None:
            with self._lock:
                _, state = self._state(verdict.kind, self._now())
                state.add(owed.count, owed.first, owed.last)

    def _settle_later(self) -> None:
        """Run in a thread of its own."""
        time.sleep(self._every)
        with self._lock:
            self._is_waiting = False
        try:
            self.settle()
        except Exception:
            faults.report("reporting errors that were counted")

    def settle(self) -> None:
        """Report all that is owed now."""
        with self._lock:
            states = list(self._kinds.values())
            tallies = [tally for state in states if (tally := state.take()) and not state.is_unwanted]
        for tally in tallies:
            try:
                self._report(tally)
            except Exception:
                faults.report("reporting errors that were counted")

    def forget(self) -> None:
        """Begin anew, in the child of a fork: what the parent owes, the parent tells."""
        self._lock = RLock()
        self._is_waiting = False
        self._full = 0
        self._kinds.clear()

    def _state(self, kind: Kind, now: float) -> tuple[Kind, _State]:
        state = self._kinds.get(kind)
        if state is None:
            if len(self._kinds) >= MOST_KINDS:
                self._drop_idle(now)
            if len(self._kinds) >= MOST_KINDS:
                kind = _OTHERS
            state = self._kinds.setdefault(kind, _State(now))
        return kind, state

    def _drop_idle(self, now: float) -> None:
        for kind, state in list(self._kinds.items()):
            if not (state.count or _is_within(state.window, now)):
                del self._kinds[kind]

    def _admits(self, state: _State, now: float) -> bool:
        if not _is_within(state.window, now):
            state.window, state.full = now, 0
        if not _is_within(self._window, now):
            self._window, self._full = now, 0
        if state.full >= self._per_minute or self._full >= self._per_minute * KINDS_TOGETHER:
            return False
        state.full += 1
        self._full += 1
        return True


def _is_within(window: float, now: float) -> bool:
    """Whether this minute still runs: one that begins later than now does not, for the clock was set back since."""
    return 0 <= now - window < MINUTE
