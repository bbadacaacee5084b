"""When to send next: at once while all is well, backing off while the server is away, slowly just after."""

import random
import time
from dataclasses import dataclass, field

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
_LONGEST_ASKED_SECONDS = 86_400.0


@dataclass(slots=True)
class Pace:
    """The pace of one sender, `per_second` envelopes after an outage; times are those of `time.monotonic`.

    After an outage, what comes in meanwhile may go out beyond that rate: what is kept shrinks by `per_second`,
    however busy the application is.
    """

    per_second: float
    failures: int = 0
    recovering: bool = False
    resume_at: float = 0.0
    _allowance: float = field(default=1.0)
    _counted_at: float = field(default_factory=time.monotonic)
    _newest: int = 0

    def wait(self, newest: int) -> float:
        """Seconds until the next envelope may be sent; `newest` is the number of the newest one kept."""
        now = time.monotonic()
        if now < self.resume_at:
            return self.resume_at - now
        if not self.recovering:
            self._newest = newest
            return 0.0
        if self._newest:
            earned = (now - self._counted_at) * self.per_second + max(0, newest - self._newest)
            self._allowance = min(self._allowance + earned, max(1.0, 10 * self.per_second))
        self._newest, self._counted_at = newest, now
        return 0.0 if self._allowance >= 1 else (1 - self._allowance) / self.per_second

    def sent(self) -> None:
        """The server took one."""
        self.failures = 0
        if self.recovering:
            self._allowance -= 1

    def failed(self, asked_seconds: float | None = None) -> float:
        """The server did not answer, or not well; returns the seconds to wait, `asked_seconds` if it said so itself."""
        self.failures += 1
        delay: float = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(self.failures - 1, 10))
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - so that not all who lost the server come back together
        if asked_seconds is not None:
            delay = max(delay, min(asked_seconds, _LONGEST_ASKED_SECONDS))
        self.resume_at = time.monotonic() + delay
        self.recover()
        return delay

    def recover(self) -> None:
        """From the next look on send what is kept slowly, until all is sent."""
        self.recovering, self._allowance, self._newest = True, 1.0, 0

    def drained(self) -> None:
        """Nothing waits any more."""
        self.recovering = False
