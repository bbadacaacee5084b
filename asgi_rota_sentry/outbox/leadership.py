"""The right to send what is in a file, which one process at a time has."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from asgi_rota_sentry import forks

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Leadership:
    """A lock on a file beside the one at `path`, which the operating system takes back from a process that dies.

    It is of the POSIX kind: a forked child does not have it, whoever it was in the parent. Within one process such
    locks do not exclude each other, and closing one descriptor gives up all, so `_led` knows what is led here.
    """

    _led: set[str] = set()  # noqa: RUF012 - shared by all on purpose
    _guard = threading.Lock()

    def __init__(self, path: str | Path) -> None:
        self._path = os.path.abspath(f"{path}.lock")  # noqa: PTH100 - links stay as they are
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether this one leads, now or already."""
        if self._descriptor is not None:
            return True
        with self._guard:
            if self._path in self._led:
                return False
            try:
                descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError:
                return False
            try:
                _lock(descriptor)
            except OSError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
            self._led.add(self._path)
            return True

    def close(self) -> None:
        """Give it up, if it is held."""
        with self._guard:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
                self._led.discard(self._path)

    def forget(self) -> None:
        """In a forked child, know that it is not held."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    @classmethod
    def forget_all(cls) -> None:
        """In a forked child, know that this process leads nothing."""
        cls._led = set()
        cls._guard = threading.Lock()


forks.in_child(Leadership.forget_all)
