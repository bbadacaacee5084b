"""`tests.e2e.outbox_app` under uvicorn with several workers, as a user would run it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.e2e.bugsink import free_port

_ROOT = Path(__file__).resolve().parents[2]


class App:
    """One application; `start` and the ways to end it may be used again and again."""

    def __init__(self, folder: Path, dsn: str, *, workers: int = 4, **environment: str) -> None:
        self.port = free_port()
        self.log = folder / f"app-{self.port}.log"
        self.workers = workers
        self.environment = {
            "SENTRY_DSN": dsn,
            "ROTA_SENTRY_OUTBOX": str(folder / "kept" / "outbox.sqlite3"),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.answered_at: dict[str, float] = {}

    def start(self) -> "App":
        """Start it and wait until it answers, and a little longer for all workers to do so."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "ROTA_SENTRY_"))}
        command = [sys.executable, "-m", "uvicorn", "tests.e2e.outbox_app:app", "--port", str(self.port)]
        command += ["--workers", str(self.workers), "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=_ROOT, env=kept | self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        seen: set[int] = set()
        while len(seen) < self.workers:
            if seen and time.monotonic() > deadline:
                break  # the system gives the requests to some of the workers only
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            with contextlib.suppress(OSError, HTTPException):
                seen.add(self.get("/ping")["pid"])
                deadline = min(deadline, time.monotonic() + 3)
            time.sleep(0 if seen else 0.1)
        return self

    def get(self, path: str) -> Any:
        """The JSON of an answer, whatever its status."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Connection": "close"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except HTTPError as answer:
            return json.load(answer)

    def errors(self, count: int, *, each: int = 1, clients: int = 8) -> list[str]:
        """Make `count` errors through requests of `each`; returns the event IDs of those that were answered."""

        def request(_: int) -> list[str]:
            try:
                answered: list[str] = self.get(f"/boom?n={each}")
            except (OSError, HTTPException):
                return []  # the application was killed
            self.answered_at.update(dict.fromkeys(answered, time.monotonic()))
            return answered

        with ThreadPoolExecutor(clients) as pool:
            return [event_id for answer in pool.map(request, range(count // each)) for event_id in answer]

    def signal(self, number: int) -> None:
        """Send a signal to the application and all its workers; SIGTERM to the parent only, as service managers do."""
        assert self._process is not None
        if number == signal.SIGTERM:
            self._process.terminate()
        else:
            os.killpg(self._process.pid, number)

    def wait(self, timeout: float = 20) -> float:
        """Wait until it has ended; returns the seconds that took."""
        assert self._process is not None
        started = time.monotonic()
        self._process.wait(timeout)
        self._process = None
        return time.monotonic() - started

    def kill(self) -> None:
        """End it and all its workers at once, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.wait()


@contextlib.contextmanager
def running(folder: Path, dsn: str, *, workers: int = 4, **environment: str) -> Iterator[App]:
    """A running application, gone at the end."""
    app = App(folder, dsn, workers=workers, **environment)
    try:
        yield app.start()
    finally:
        app.kill()
