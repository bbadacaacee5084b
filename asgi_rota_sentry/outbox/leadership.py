"""The right to send what is in a file, which one process at a time has."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from asgi_rota_sentry import forks
from asgi_rota_sentry.outbox.errors import OutboxError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: str) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 - as the path is a text here
    except OSError:
        return False


class Leadership:
    """A lock on a file beside the one at `path`, which the operating system takes back from a process that dies.

    It is of the POSIX kind: a forked child does not have it, whoever it was in the parent. Within one process such
    locks do not exclude each other, and closing one descriptor gives up all, so `_led` knows what is led here.
    """

    _led: set[str] = set()  # noqa: RUF012 - shared by all on purpose
    _guard = threading.Lock()

    def __init__(self, path: str | Path) -> None:
        self._for = Path(path)
        self._path = os.path.abspath(f"{path}.lock")  # noqa: PTH100 - links stay as they are
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether this one leads, now or already. Raises `OutboxError` where that cannot be known."""
        if self._descriptor is not None:
            if _is_at(self._descriptor, self._path):
                return True
            self.close()  # somebody deleted the file: whoever has made a new one leads
        with self._guard:
            if self._path in self._led:
                return False
            try:
                descriptor = self._open()
            except FileNotFoundError:  # the folder is gone, and with it whatever was to be sent
                return False
            except OSError as fault:
                raise OutboxError(Path(self._path), fault.strerror or str(fault)) from fault
            try:
                _lock(descriptor)
            except OSError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
            self._led.add(self._path)
            return True

    def is_elsewhere(self) -> bool:
        """After `acquire` said no: whether it is another process that leads."""
        return self._path not in self._led

    def _open(self) -> int:
        """The lock's file, made if need be; when root makes it, then for the owner of the file that it is for."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            return os.open(self._path, os.O_RDWR)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            with suppress(OSError):
                owner = self._for.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

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
