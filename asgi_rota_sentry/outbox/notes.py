"""What the outbox's file counts and remembers besides what it keeps: the table `note`."""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

_COUNTS = ("sent", "dropped")


def read(connection: sqlite3.Connection) -> dict[str, Any]:
    """All of them."""
    return dict(connection.execute("SELECT name, value FROM note").fetchall())


def write(connection: sqlite3.Connection, name: str, value: float | str) -> None:
    """Remember something, in place of what was remembered under this name."""
    connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))


def write_error(connection: sqlite3.Connection, reason: str) -> None:
    """Remember what the last failure said."""
    write(connection, "last_error", reason)
    write(connection, "last_error_at", time.time())


def count(connection: sqlite3.Connection, name: str, more: int) -> None:
    """Add to a count."""
    if more:
        statement = "INSERT INTO note VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
        connection.execute(statement, (name, more))


def take_over(connection: sqlite3.Connection, notes: Mapping[str, Any]) -> None:
    """Go on with another file's notes: counts are added up, of all else what this file remembers is newer."""
    for name, value in notes.items():
        if name in _COUNTS:
            count(connection, name, value)
        else:
            connection.execute("INSERT OR IGNORE INTO note VALUES (?, ?)", (name, value))
