"""What visitors wrote, in the outbox's file: it stays to be read when its envelope has gone to the server."""

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asgi_rota_sentry.outbox.database import Database
from asgi_rota_sentry.outbox.summary import of_report

KEPT = "kept"
"""State: its envelope was given to the outbox."""
HANDED_OVER = "handed over"
"""State: its envelope was given to a transport that is not the outbox's; nobody tells what became of it."""
DELIVERED = "delivered"
"""State: the server took it."""
NOT_SENT = "not sent"
"""State in lists: neither delivered nor waiting any more."""

COLUMNS = (
    *("id", "envelope_id", "state", "delivered_at", "written_at", "event_id", "event", "message", "name", "email"),
    *("url", "user_id", "role", "trace_id", "environment", "release"),
)
_DAY = 86_400.0


class FeedbackStore:
    """The kept feedback of one file: at most `entries` of them (0: any number), for at most `days`.

    Safe to use from several threads and processes. Every method raises `OutboxError` when the file cannot be used.
    """

    def __init__(self, path: str | Path, *, entries: int = 1000, days: float = 90.0, create: bool = True) -> None:
        self._database = Database(path, create=create)
        self._entries = entries
        self._days = days

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    def has_event(self, event_id: str) -> bool:
        """Whether the event itself still waits in the outbox."""
        query = "SELECT 1 FROM envelope WHERE event_id = ? AND kind != 'feedback' LIMIT 1"
        with self._database.use() as connection:
            return connection.execute(query, (event_id,)).fetchone() is not None

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep one, its values under the names of `COLUMNS`; what is too old or too much goes."""
        with self._database.use(write=True) as connection:
            insert(connection, [tuple(row.get(column) for column in COLUMNS)])
            connection.execute("DELETE FROM feedback WHERE written_at < ?", (time.time() - self._days * _DAY,))
            if self._entries:
                older = "SELECT number FROM feedback ORDER BY number DESC LIMIT -1 OFFSET ?"
                connection.execute(f"DELETE FROM feedback WHERE number IN ({older})", (self._entries,))  # noqa: S608

    def restore(self, rows: Sequence[Sequence[Any]]) -> None:
        """Put rows back, in the order of `COLUMNS`."""
        with self._database.use(write=True) as connection:
            insert(connection, rows)

    def set_state(self, feedback_id: str, state: str) -> None:
        """Note what became of one, unless it was delivered meanwhile."""
        with self._database.use(write=True) as connection:
            statement = "UPDATE feedback SET state = ? WHERE id = ? AND state != ?"
            connection.execute(statement, (state, feedback_id, DELIVERED))

    def newest(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The kept ones, newest first; `state` is that of the envelope, while it waits in the outbox."""
        query = (
            f"SELECT {', '.join(COLUMNS)}, (SELECT state FROM envelope WHERE kind = 'feedback'"  # noqa: S608
            " AND event_id = feedback.envelope_id LIMIT 1) FROM feedback ORDER BY number DESC LIMIT ?"
        )
        with self._database.use() as connection:
            rows = connection.execute(query, (-1 if limit is None else limit,)).fetchall()
        found = []
        for *values, waiting in rows:
            row = dict(zip(COLUMNS, values, strict=True))
            if row["state"] == KEPT:
                row["state"] = waiting or NOT_SENT
            found.append(row)
        return found

    def forget(self, feedback_ids: Iterable[str]) -> int:
        """Delete these for good, with what still waits of them in the outbox; returns how many."""
        gone = 0
        with self._database.use(write=True) as connection:
            for each in filter(str.isascii, feedback_ids):  # as every ID is; SQLite refuses some other texts
                _forget_waiting(connection, each)
                gone += connection.execute("DELETE FROM feedback WHERE id = ?", (each,)).rowcount
        return gone


def _forget_waiting(connection: sqlite3.Connection, feedback_id: str) -> None:
    """Delete what waits under its envelope's ID; other reports on the same event have that ID, too, and stay."""
    same = "= (SELECT envelope_id FROM feedback WHERE id = ?)"
    query = f"SELECT id, envelope_id, name, email, message FROM feedback WHERE envelope_id {same}"  # noqa: S608
    reports = {each: of_report(*values) for each, *values in connection.execute(query, (feedback_id,))}
    others = set(reports.values()) - {reports.get(feedback_id)}
    query = f"SELECT number, fingerprint FROM envelope WHERE kind = 'feedback' AND event_id {same}"  # noqa: S608
    waiting = connection.execute(query, (feedback_id,)).fetchall()
    gone = [(number,) for number, fingerprint in waiting if fingerprint not in others]
    connection.executemany("DELETE FROM envelope WHERE number = ?", gone)


def insert(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows in the order of `COLUMNS`."""
    marks = ", ".join("?" * len(COLUMNS))
    connection.executemany(f"INSERT INTO feedback ({', '.join(COLUMNS)}) VALUES ({marks})", rows)  # noqa: S608


def mark_delivered(connection: sqlite3.Connection, number: int) -> None:
    """Note that the server took the feedback in this envelope, of several for one event the one written first."""
    oldest = (
        "SELECT min(feedback.number) FROM envelope JOIN feedback ON envelope_id = envelope.event_id"
        " WHERE envelope.number = ? AND kind = 'feedback' AND feedback.state = ?"
    )
    statement = f"UPDATE feedback SET state = ?, delivered_at = ? WHERE number = ({oldest})"  # noqa: S608
    connection.execute(statement, (DELIVERED, time.time(), number, KEPT))
