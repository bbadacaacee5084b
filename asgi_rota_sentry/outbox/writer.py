"""The writer: takes envelopes from any thread at once and puts them into the file from a thread of its own."""

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Sequence

from asgi_rota_sentry import faults
from asgi_rota_sentry.outbox.bounds import Dropped
from asgi_rota_sentry.outbox.database import obstacle
from asgi_rota_sentry.outbox.errors import OutboxCorruptError, OutboxError
from asgi_rota_sentry.outbox.repair import mend
from asgi_rota_sentry.outbox.store import ROWS, Outbox, Packed
from asgi_rota_sentry.sdk.envelopes import Envelope

CAPACITY = 1000
"""The most envelopes in memory; the writer is far faster than what captures, so this is for a disk that hangs."""
_PAUSE_SECONDS = 1.0

_Waiting = tuple[float, Envelope] | threading.Event | None


def start_thread(
    target: Callable[[], None], name: str, after: threading.Thread | None = None
) -> threading.Thread | None:
    """A running daemon thread that has nothing of the current request's context; None when none can start any more.

    It begins when the one that it comes `after` has ended, so that the two do not do the same work at once.
    """

    def run() -> None:
        if after is not None:
            after.join()
        target()

    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        contextvars.Context().run(thread.start)
    except RuntimeError:
        return None  # the interpreter is shutting down
    return thread


def start_once(starting: threading.Lock, start: Callable[[], None]) -> bool:
    """Call `start`, with the lock held; False when that is being done already.

    Which is not waited for: who does it does so for all, and may be what the collector has interrupted here.
    """
    if not starting.acquire(blocking=False):
        return False
    try:
        start()
    finally:
        starting.release()
    return True


class Writer:
    """Writes envelopes to `outbox` in the given `state`.

    `written` is told, after each batch, what had to go to make room.
    `refused` gets the envelopes that could not be written, with the reason; for a moment after that the file is not
    tried, so that a hanging disk costs little.
    """

    def __init__(
        self,
        outbox: Outbox,
        state: str,
        written: Callable[[list[Dropped]], None],
        refused: Callable[[Sequence[Envelope], str], None],
    ) -> None:
        self.outbox = outbox
        self._state = state
        self._written = written
        self._refused = refused
        #: Why the file could not be written last, empty when it could; before the first time what there is to see.
        self.fault = obstacle(outbox.path)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must: what waits here is the parent's to write."""
        self._queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._earlier: threading.Thread | None = None  # told to stop, and still the one to take that word
        self._starting = threading.Lock()
        self._not_before = 0.0
        self.stopped = False
        """Whether nothing was handed over since the last `stop`; what came before it may still be written."""

    def put(self, envelope: Envelope) -> bool:
        """Hand over an envelope; False when too many wait already. Costs microseconds and never blocks."""
        if self._queue.qsize() >= CAPACITY:
            return False
        self.stopped = False
        self._queue.put((time.time(), envelope))
        self._ensure_thread()
        return True

    def flush(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until all that was handed over is written (or refused)."""
        if self._thread is None:
            if self._earlier is not None:
                self._earlier.join(timeout)
            return
        done = threading.Event()
        self._queue.put(done)
        done.wait(timeout)

    def stop(self) -> None:
        """Write what waits and end the thread; a later `put` starts it again."""
        self.stopped = True
        if self._thread is not None:
            self._thread, self._earlier = None, self._thread
            self._queue.put(None)

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        if start_once(self._starting, self._start_thread) and self._thread is None:
            self._queue.put(None)
            self._run()  # nothing else runs any more: write here and now

    def _start_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = start_thread(self._run, "asgi-rota-sentry.writer", self._earlier)

    def _run(self) -> None:
        while True:
            waiting = self._take()
            batch = [each for each in waiting if isinstance(each, tuple)]
            try:
                self._write(batch)
            except Exception:
                faults.report("keeping envelopes")
            for each in waiting:
                if isinstance(each, threading.Event):
                    each.set()
            if None in waiting:
                self.outbox.close()
                return

    def _take(self) -> list[_Waiting]:
        taken = [self._queue.get()]
        while len(taken) < ROWS and taken[-1] is not None:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return taken

    def _add(self, packed: Sequence[Packed]) -> list[Dropped]:
        try:
            return self.outbox.add_packed(packed)
        except OutboxCorruptError as fault:
            mend(self.outbox, fault)
            return self.outbox.add_packed(packed)

    def _write(self, batch: Sequence[tuple[float, Envelope]]) -> None:
        packed, unfit = [], []
        for captured_at, envelope in batch:
            try:
                packed.append(Packed.of(envelope, self._state, captured_at))
            except Exception:  # odd content of one envelope must not cost the others
                unfit.append(envelope)
        if unfit:
            self._refused(unfit, "an envelope cannot be written as JSON")
        if not packed:
            return
        fit = [envelope for _, envelope in batch if envelope not in unfit]
        if time.monotonic() < self._not_before:
            self._refused(fit, "it failed a moment ago")
            return
        try:
            dropped = self._add(packed)
        except OutboxError as fault:
            self.fault = fault.reason
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            self._refused(fit, fault.reason)
        else:
            self.fault = ""
            self._written(dropped)
