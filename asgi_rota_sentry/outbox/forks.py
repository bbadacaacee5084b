"""SQLite must not be carried through a fork: whatever holds it open is closed before one.

See https://www.sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork()". It holds for
locks and mutexes inside the library too, so waiting until nobody is inside is part of it.
"""

import os
import sqlite3
import threading
import weakref
from contextlib import suppress

# The longest that a fork waits for a thread that is inside SQLite; such a thread waits for another process's lock.
_PATIENCE_SECONDS = 1.0
_known: "weakref.WeakSet[ForkSafe]" = weakref.WeakSet()
_abandoned: list[sqlite3.Connection] = []


class ForkSafe:
    """Something with one SQLite connection, used under `_lock` only, that is opened again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._held_for_fork = False
        _known.add(self)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def before_fork(self) -> None:
        """Wait until nobody is inside, and close."""
        self._held_for_fork = self._lock.acquire(timeout=_PATIENCE_SECONDS)
        if self._held_for_fork:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        if self._held_for_fork:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start afresh; a connection that could not be closed is left alone for good, for closing would use it."""
        if self._connection is not None:
            _abandoned.append(self._connection)
        self._connection = None
        self._lock = threading.Lock()


def _before() -> None:
    for each in list(_known):
        each.before_fork()


def _after_in_parent() -> None:
    for each in list(_known):
        each.after_fork_in_parent()


def _after_in_child() -> None:
    for each in list(_known):
        each.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
