"""The visitors of all processes, in Redis.

Nothing of it happens on a request's way: a request leaves a job with a thread, which sends what waits in one pipeline.
Only an event reads, and waits a tenth of a second for it at most: reading ahead for every request, of which few fail,
would double the work. The read stands in the same queue, so it sees what the same process has noted before. A Redis
that fails is left alone for a while; stories then begin anew. One that is late is not waited for again for a while, so
that a slow one cannot hold up each event. The secrets are taken out before, as Redis is not this process.
"""

import hashlib
import json
import logging
import math
import queue
import secrets
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from asgi_rota_sentry import counters, forks
from asgi_rota_sentry.outbox.writer import start_once, start_thread
from asgi_rota_sentry.scrubbing import Scrubber
from asgi_rota_sentry.trail import redis_scripts as scripts
from asgi_rota_sentry.trail.breadcrumbs import Entry, Item, Visit, kept

PREFIX = "asgi_rota_sentry:trail:"

_logger = logging.getLogger("asgi_rota_sentry")
_MOST_WAITING = 2_000
_MOST_AT_ONCE = 200
_MOST_PATHS = 1024
_ANSWER_SECONDS = 0.5
_READ_SECONDS = 0.1
_SECRET_SECONDS = 60.0
_PAUSES = (1.0, 5.0, 15.0, 30.0)

# What is to be done, the cookies' hashes, the script's own arguments; for a read also who waits for it.
_Job = tuple[str, tuple[bytes, ...], tuple[Any, ...], "_Reading | None"]


class _Reading:
    """One read that an event waits for."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: list[bytes] = []


class RedisStore:
    """The stories of visitors in the Redis of `url`, `length` requests of each, kept for `seconds`, scrubbed.

    One server, or one that answers for all keys: the scripts touch several keys, which a Redis Cluster does not allow.
    """

    def __init__(self, url: str, *, length: int, seconds: float, scrubber: Scrubber) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._scrubber = scrubber
        self._path = lru_cache(_MOST_PATHS)(scrubber.text)
        self._length = length
        self._milliseconds = max(1, int(seconds * 1000))
        self.reset()
        forks.in_child(self.reset)

    def reset(self) -> None:
        """Begin anew, as a forked child must: its parent's thread does not live here."""
        # Of C, without a lock of Python's: while a job is put in, the collector may come round to reading a story, for
        # of a task that failed and was never asked asyncio tells the log, and the SDK makes an event of that.
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._secret = b""
        self._secret_at = 0.0
        self._failures = 0
        self._paused_until = 0.0
        # Reads that were not answered in time, one after the other, and until when no other is tried.
        self._late = 0
        self._late_until = 0.0

    # Store

    def read(self, key: bytes) -> tuple[str | None, list[Item]]:
        """Whose story it is, and its requests; nothing where Redis does not answer in time."""
        if self._late and time.monotonic() < self._late_until:
            return None, []
        reading = _Reading()
        if not self._put((scripts.READ, (key,), (), reading)):
            return None, []
        if not reading.done.wait(_READ_SECONDS):
            self._late_until = time.monotonic() + _pause_after(self._late)
            self._late += 1
            return None, []
        self._late = 0
        owner, *items = reading.answer or [b""]
        return owner.decode("utf-8", "surrogatepass") or None, [tuple(json.loads(item)) for item in items]

    def note(self, key: bytes, visit: Visit) -> None:
        """Add a request; one of another user begins a new story."""
        self._put((scripts.NOTE, (key,), kept(visit), None))

    def renew(self, old: bytes | None, new: bytes) -> None:
        """The same visitor goes on under a new session cookie."""
        self._put((scripts.RENEW, (new,) if old is None else (new, old), (), None))

    def forget(self, key: bytes) -> None:
        """The session is over, and with it the story."""
        self._put((scripts.FORGET, (key,), (), None))

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        if self._thread is not None and self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join(2 * _ANSWER_SECONDS)
        self._redis.close()

    def _put(self, job: _Job) -> bool:
        """Leave a job; False when Redis is being left alone, or too much waits."""
        if self._paused_until and time.monotonic() < self._paused_until:
            return False
        if self._thread is None:
            start_once(self._starting, self._start)
        if self._jobs.qsize() >= _MOST_WAITING:
            counters.count("trail.dropped")
            return False
        self._jobs.put(job)
        return True

    def _start(self) -> None:
        if self._thread is None:
            self._thread = start_thread(self._work, "asgi_rota_sentry-trail")

    # The thread

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get(), *self._waiting(_MOST_AT_ONCE - 1)]
            todo = [job for job in jobs if job is not None]
            try:
                if todo:
                    self._do(todo)
                    self._failures = 0
                    self._paused_until = 0.0
            except Exception as fault:
                self._pause(fault)
                jobs += self._waiting(math.inf)  # forgotten; the word to end may be among it
            finally:
                for job in jobs:
                    if job is not None and job[3] is not None:
                        job[3].done.set()
            if None in jobs:
                return

    def _do(self, jobs: list[_Job]) -> None:
        """Everything in one pipeline, in the order of its coming."""
        secret = self._shared_secret()
        pipeline = self._redis.pipeline(transaction=False)
        for script, keys, own, _ in jobs:
            names = [PREFIX + "c:" + hashlib.blake2b(key, key=secret, digest_size=16).hexdigest() for key in keys]
            pipeline.eval(script, len(names), *names, *self._arguments(own))
        for (_, _, _, reading), answer in zip(jobs, pipeline.execute(), strict=True):
            if reading is not None:
                reading.answer = answer

    def _arguments(self, own: tuple[Any, ...]) -> list[Any]:
        common = [PREFIX, secrets.token_hex(8)]
        if not own:
            return [*common, "", self._milliseconds]
        owner, entries = own
        item = json.dumps((owner, list(map(self._scrubbed, entries))), separators=(",", ":"))
        # As any text that is an ID: what cannot be written would have all of Redis taken for broken.
        whose = (owner or "").encode("utf-8", "surrogatepass")
        return [*common, whose, self._milliseconds, self._length, item]

    def _scrubbed(self, entry: Entry) -> Entry:
        """The same without secrets, as an event would tell it."""
        if entry[0] == "request":
            _, at, method, path, status = entry
            return "request", at, method, self._path(path), status
        _, at, category, message, data = entry
        action = {"category": category, "message": message, "data": data}
        (found,) = self._scrubber.payload({"breadcrumbs": {"values": [action]}})["breadcrumbs"]["values"]
        return "action", at, found["category"], found["message"], found["data"]

    def _shared_secret(self) -> bytes:
        """The secret that all processes key their hashes with: the first one makes it up and leaves it in Redis."""
        if not self._secret or time.monotonic() - self._secret_at > _SECRET_SECONDS:
            name = PREFIX + "secret"
            self._redis.set(name, secrets.token_bytes(32), nx=True)
            found: Any = self._redis.get(name)
            self._secret, self._secret_at = bytes(found), time.monotonic()
        return self._secret

    def _pause(self, fault: Exception) -> None:
        """Leave Redis alone for a while, longer with each failure; then its address may be another server's."""
        pause = _pause_after(self._failures)
        self._paused_until = time.monotonic() + pause
        if not self._failures:
            _logger.warning("The trail's Redis fails (%s); it is left alone, first for %g s.", fault, pause)
        self._failures += 1
        counters.count("trail.failures")
        with suppress(Exception):
            self._redis.connection_pool.disconnect()  # of a primary that has become a replica, which says so for ever

    def _waiting(self, most: float) -> list[_Job | None]:
        """What waits, at most so many, taken out of the line."""
        taken: list[_Job | None] = []
        with suppress(queue.Empty):
            while len(taken) < most:
                taken.append(self._jobs.get_nowait())
        return taken


def _pause_after(failures: int) -> float:
    """How long to leave Redis alone, after so many failures before this one."""
    return _PAUSES[min(failures, len(_PAUSES) - 1)]
