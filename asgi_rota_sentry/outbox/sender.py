"""The sender: takes the oldest kept envelope to the server, again and again, from a thread of its own."""

import functools
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from asgi_rota_sentry import faults
from asgi_rota_sentry.outbox.bounds import Dropped
from asgi_rota_sentry.outbox.destination import Destination
from asgi_rota_sentry.outbox.drops import Complaint
from asgi_rota_sentry.outbox.errors import OutboxCorruptError, OutboxError
from asgi_rota_sentry.outbox.leadership import Leadership
from asgi_rota_sentry.outbox.pace import Pace
from asgi_rota_sentry.outbox.repair import mend
from asgi_rota_sentry.outbox.store import Kept, Outbox
from asgi_rota_sentry.outbox.writer import start_thread
from asgi_rota_sentry.sdk.envelopes import Envelope

_POLL_SECONDS = 0.5
_TIDY_SECONDS = 60.0
ANOTHER_SENDS = "A running application is sending what is queued."
_LEFT_OVER_SECONDS = 5.0
_TOLERATED_ANSWERS = 3
"""After this many 5xx answers to the same envelope the others get their turn first: it may be the envelope's fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt: the HTTP `status`, None without an answer, `reason` in words.

    `retry_after` is what the server asked for, in seconds. `limited` says that a rate limit stands in the way.
    """

    status: int | None
    reason: str
    retry_after: float | None = None
    limited: bool = False

    @property
    def taken(self) -> bool:
        """Whether the server took the envelope."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether the server will never take it: a 4xx that says nothing about the present moment."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Settled:
    """An envelope whose fate is known but not yet written to the file: sent, or `refused` with that reason."""

    captured_at: float
    event_id: str
    refused: str


@contextmanager
def _though_unwritable() -> Iterator[None]:
    """Go on sending though the file cannot be written now (full disk, quota, lock); a damaged one is to be mended."""
    try:
        yield
    except OutboxCorruptError:
        raise
    except OutboxError:
        pass


class Sender:
    """Sends what is in `outbox` through `deliver`, while this process leads.

    `blocked` names the categories that the server does not want now. `dropped` is told what became too old.
    `destination` is the server and project that it sends to.
    """

    def __init__(
        self,
        outbox: Outbox,
        pace: Pace,
        deliver: Callable[[Envelope], Answer],
        blocked: Callable[[], Collection[str]],
        dropped: Callable[[list[Dropped]], None],
        destination: str = "",
    ) -> None:
        self.outbox = outbox
        self.pace = pace
        self._deliver = deliver
        self._blocked = blocked
        self._dropped = dropped
        self._leadership = Leadership(outbox.path)
        self._complaint = Complaint()
        self._destination = Destination(outbox, destination)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must."""
        self._leadership.forget()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()  # of its own for each thread: one that was stopped stays so
        self._settled: dict[int, Settled] = {}
        self._tidied_at = 0.0
        self._leads = False
        self._destination.reset()

    def start(self) -> None:
        """Start the thread, or wake it up."""
        self._wake.set()
        if self._runs():
            return
        with self._starting:
            if not self._runs():
                self._stopped = threading.Event()
                run = functools.partial(self._run, self._stopped)
                # The one before may still wait for an answer, and leads until then.
                self._thread = start_thread(run, "asgi-rota-sentry.sender", self._thread)

    def _runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stopped.is_set()

    def stop(self) -> None:
        """End the thread soon; what is not sent stays kept."""
        self._stopped.set()
        self._wake.set()

    def flush(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until all queued envelopes are sent, or it is no use to wait."""
        deadline = time.monotonic() + timeout
        with suppress(OutboxError):
            while self._runs() and max(time.monotonic(), self.pace.resume_at) < deadline:
                if self.outbox.next(self._blocked(), self._settled) is None:
                    return
                self._stopped.wait(0.02)

    def drain(self) -> str:
        """Send all queued envelopes on this thread; returns why it stopped early, or nothing."""
        if not self._leadership.acquire():
            return ANOTHER_SENDS
        try:
            return self._drain()
        finally:
            self._leadership.close()

    def _drain(self) -> str:
        self._leads = True
        self.pace.recover()
        while self.outbox.next(self._blocked(), self._settled) is not None:
            delay = self._step()
            if self.pace.failures:
                return str(self.outbox.notes().get("last_error", ""))
            time.sleep(delay)
        limited = self.outbox.next((), self._settled) is not None
        return "The server does not want more of these for now (rate limit)." if limited else ""

    def _run(self, stopped: threading.Event) -> None:
        wake = self._wake
        while not stopped.is_set():
            wake.clear()
            try:
                delay = self._step()
            except Exception:
                faults.report("sending kept envelopes")
                delay = _POLL_SECONDS
            # Looked at once more: a wake-up that `stop` gave before the `clear` above is gone.
            if delay > 0 and not stopped.is_set():
                wake.wait(delay)
        self._leadership.close()
        self.outbox.close()

    def _step(self) -> float:
        """Send one envelope; returns the seconds after which to look again."""
        try:
            if not self._may_lead():
                self._leads = False
                self._destination.reset()
                if self._leadership.is_elsewhere():
                    self._destination.compare()
                return 2 * _POLL_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
            self._tidy()
            kept = self.outbox.next(self._blocked(), self._settled)
            if kept is not None:
                return self._in_turn(kept)
            if self.outbox.next((), self._settled) is None:
                self.pace.drained()
                self._start_over()
        except OutboxCorruptError as fault:
            with suppress(OutboxError):
                mend(self.outbox, fault)
        except OutboxError:
            pass
        return _POLL_SECONDS

    def _may_lead(self) -> bool:
        """Whether this process leads. Raises `OutboxError`, after it was logged once, where that cannot be known."""
        try:
            leads = self._leadership.acquire()
        except OutboxError as fault:
            message = "What the outbox %s keeps is not sent: %s cannot be opened (%s)."
            self._complaint.raise_once(message, self.outbox.path, fault.path, fault.reason)
            raise
        self._complaint.over("What the outbox %s keeps can be sent again.", self.outbox.path)
        return leads

    def _in_turn(self, kept: Kept) -> float:
        """Send this one if it is time; returns the seconds to wait."""
        if not self._leads:
            self._leads = True
            if kept.captured_at < time.time() - _LEFT_OVER_SECONDS:
                self.pace.recover()
        delay = self.pace.wait(self.outbox.newest())
        if delay == 0:
            self._send(kept)
        return delay

    def _tidy(self) -> None:
        with _though_unwritable():
            self._record()
            self._destination.note()
            if time.monotonic() - self._tidied_at > _TIDY_SECONDS:
                self._tidied_at = time.monotonic()
                self._dropped(self.outbox.tidy())

    def _start_over(self) -> None:
        """On a full disk what is sent cannot be deleted; once all of it is sent, the whole file can be."""
        sent = [number for number, settled in self._settled.items() if not settled.refused]
        if sent and self.outbox.remove_if_only(sent):
            self._settled.clear()

    def _settle(self, kept: Kept, refused: str = "") -> None:
        """Note that this one is sent, or refused; in memory first, for a full disk must not make it go out twice."""
        self._settled[kept.number] = Settled(kept.captured_at, kept.event_id, refused)
        with _though_unwritable():
            self._record()

    def _record(self) -> None:
        for number, settled in list(self._settled.items()):
            if settled.refused:
                self.outbox.set_aside(number, settled.captured_at, settled.event_id, settled.refused)
            else:
                self.outbox.done(number, settled.captured_at, settled.event_id)
            del self._settled[number]

    def _send(self, kept: Kept) -> None:
        try:
            envelope = kept.envelope()
        except ValueError as fault:
            self._settle(kept, str(fault))
            return
        answer = self._deliver(envelope)
        if answer.taken:
            self.pace.sent()
            self._settle(kept)
        elif answer.final:
            self._settle(kept, answer.reason)
        elif answer.limited and kept.category in self._blocked():
            self.pace.recover()
            self.outbox.failed(kept.number, answer.reason, 0)
        else:
            self._wait_after(kept, answer)

    def _wait_after(self, kept: Kept, answer: Answer) -> None:
        delay = self.pace.failed(answer.retry_after)
        own = answer.status is not None and kept.attempts + 1 >= _TOLERATED_ANSWERS
        self.outbox.failed(kept.number, answer.reason, time.time() + 2 * delay if own else 0)
