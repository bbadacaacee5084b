"""The SQLite file behind the outbox."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asgi_rota_sentry.outbox.errors import OutboxCorruptError, OutboxError, OutboxMissingError
from asgi_rota_sentry.outbox.forks import ForkSafe

_VERSION = 2
_PROGRAM = int.from_bytes(b"ROTA")
_BUSY_SECONDS = 2.0
_SLICE_SECONDS = 0.02
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ENVELOPES = (
    """CREATE TABLE envelope (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL,
        not_before REAL NOT NULL DEFAULT 0,
        rank INTEGER NOT NULL,
        kind TEXT NOT NULL,
        category TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        captured_at REAL NOT NULL,
        event_id TEXT NOT NULL,
        title TEXT NOT NULL,
        user TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    "CREATE INDEX envelope_state ON envelope (state)",
    "CREATE INDEX envelope_event_id ON envelope (event_id)",
    "CREATE INDEX envelope_captured_at ON envelope (captured_at)",
    "CREATE INDEX envelope_repeats ON envelope (rank, fingerprint)",
    "CREATE TABLE note (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {_PROGRAM}",
)
# What visitors wrote, which stays when its envelope has gone to the server. `envelope_id` is the envelope's event ID.
_FEEDBACK = (
    """CREATE TABLE feedback (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        envelope_id TEXT NOT NULL,
        state TEXT NOT NULL,
        delivered_at REAL,
        written_at REAL NOT NULL,
        event_id TEXT,
        event TEXT NOT NULL,
        message TEXT NOT NULL,
        name TEXT NOT NULL,
        email TEXT NOT NULL,
        url TEXT NOT NULL,
        user_id TEXT,
        role TEXT,
        trace_id TEXT,
        environment TEXT NOT NULL,
        release TEXT NOT NULL)""",
    "CREATE INDEX feedback_envelope_id ON feedback (envelope_id)",
)
_STEPS = (_ENVELOPES, _FEEDBACK)
"""What leads from each version of the file to the next."""


class Database(ForkSafe):
    """One connection to the file at `path`, opened when it is first used; safe to use from several threads.

    `create=False` raises `OutboxMissingError` instead of making the file. Every fault of SQLite or of the file system
    comes out as an `OutboxError`, a damaged file as `OutboxCorruptError`.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        super().__init__()
        self.path = _absolute(Path(path))
        self._create = create
        self._file: tuple[int, int] | None = None

    @contextmanager
    def use(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection for a few statements; with `write`, in one transaction that is rolled back on a fault."""
        connection = self._enter(write=write)
        try:
            yield connection
            if write:
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as fault:
            self._give_up(fault)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._lock.release()

    def _enter(self, *, write: bool) -> sqlite3.Connection:
        """The connection, with `_lock` held; waits for other processes outside of it, so that a fork need not."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            self._lock.acquire()
            try:
                connection = self._begin() if write else self._ready()
            except (sqlite3.Error, OSError) as fault:
                try:
                    if getattr(fault, "sqlite_errorcode", 0) & 0xFF not in _BUSY or time.monotonic() > deadline:
                        self._give_up(fault)
                finally:
                    self._lock.release()
            except BaseException:
                self._lock.release()
                raise
            else:
                return connection
            time.sleep(_SLICE_SECONDS)

    def remove(self) -> None:
        """Within a transaction, remove the file; whoever waits for the right to write finds that it has gone.

        SQLite sees that, too, and leaves the new file's log alone when it closes the old one.
        """
        for suffix in ("-wal", "-shm", ""):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _begin(self) -> sqlite3.Connection:
        """The connection in a transaction on the file that is at the path now.

        A damaged file is moved by who has the right to write; whoever waited for that right has the wrong file then.
        """
        while True:
            connection = self._ready()
            connection.execute("BEGIN IMMEDIATE")
            if self._file == identity(self.path):
                return connection
            self._roll_back()
            self._close()

    def _give_up(self, fault: Exception) -> None:
        self._roll_back()
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise OutboxCorruptError(self.path, str(fault), self._file) from fault
        if isinstance(fault, OSError) or code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            self._close()
        raise OutboxError(self.path, str(fault)) from fault

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()

    def _ready(self) -> sqlite3.Connection:
        """The open connection, to the file that is at the path now: it may have been deleted or replaced."""
        if self._connection is not None and self._file != identity(self.path):
            self._close()
        if self._connection is None:
            if self._create:
                _make_private(self.path)
            elif not self.path.is_file():
                raise OutboxMissingError(self.path)
            self._file = identity(self.path)
            self._connection = _connect(self.path)
        return self._connection


def _absolute(path: Path) -> Path:
    """Where the path leads now: the process may go on in another folder, and the file stays where it is."""
    try:
        return path.absolute()
    except OSError:  # the folder is gone
        return path


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at the path now, or None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def obstacle(path: Path) -> str:
    """What stands in the way of a file at the path, as far as it shows before one is made; empty for nothing.

    An existing file is not opened: to close it again would free the locks that this process has on it.
    """
    try:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        tempfile.TemporaryFile(dir=folder).close()
        return "" if not path.exists() or os.access(path, os.W_OK) else "it may not be written"
    except OSError as fault:
        return fault.strerror or str(fault)


def _make_private(path: Path) -> None:
    """Make the file, readable by its owner only, and its folder likewise; both are left alone when they exist."""
    folder = path.parent
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_SLICE_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        version = _check_version(connection, path)
        connection.execute("PRAGMA synchronous = OFF")  # an empty file need not wait for the disk
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 250")  # pages of 4 KiB: a small log, for small disks
        connection.execute("PRAGMA journal_size_limit = 1048576")
        if version < _VERSION:
            _create_tables(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # survives any crash of a process, not a power cut
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    connection.execute("BEGIN")  # all of it at one moment: another process may be making the tables
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("COMMIT")
    if program != _PROGRAM and (program or tables):
        raise OutboxError(path, "it is another program's database")
    if version > _VERSION:
        raise OutboxError(path, "it was made by a newer version of asgi_rota_sentry")
    return int(version)


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for step in _STEPS[version:]:  # none, when another process was quicker
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
