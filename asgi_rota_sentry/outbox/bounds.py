"""How much is kept, and what goes first when that is reached."""

import sqlite3
import time
from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024
# Each round of making room frees this share, so that not every envelope of a storm has to make room for itself.
_SHARE = 0.05
_FEEDBACK_ROW = 200
"""The least that one row of feedback has besides its long texts, in bytes: its IDs, each in the table or an index."""

# What goes first: the oldest of what only performance monitoring wants, the oldest repeats (a newer one of the same
# fingerprint stays), the oldest of whatever is left.
_ORDERS = (
    "SELECT number FROM envelope WHERE rank = 0 ORDER BY number LIMIT ?",
    """SELECT number FROM envelope AS older WHERE EXISTS
        (SELECT 1 FROM envelope AS newer WHERE newer.rank = older.rank AND newer.fingerprint = older.fingerprint
         AND newer.number > older.number) ORDER BY number LIMIT ?""",
    "SELECT number FROM envelope ORDER BY rank, number LIMIT ?",
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that is kept: MiB on disk (feedback, which has bounds of its own, aside), envelopes (0: any), days."""

    mebibytes: float = 50
    envelopes: int = 10_000
    days: float = 7


@dataclass(frozen=True, slots=True)
class Dropped:
    """Envelopes of one category that were deleted unsent, `full` when room was short, else for their age."""

    category: str
    quantity: int
    full: bool


def make_room(connection: sqlite3.Connection, bounds: Bounds) -> list[Dropped]:
    """Delete what is too old or too much, within the running transaction; returns what went."""
    dropped: dict[tuple[str, bool], int] = {}
    oldest = time.time() - bounds.days * 86_400
    for category in _delete(connection, "SELECT number FROM envelope WHERE captured_at < ?", oldest):
        dropped[category, False] = dropped.get((category, False), 0) + 1
    while (count := _too_many(connection, bounds)) > 0:
        # One that has no room at all goes first, or every other would go for it.
        larger = _delete(connection, "SELECT number FROM envelope WHERE size > ?", bounds.mebibytes * _MEBIBYTE)
        for category in larger or _delete_first(connection, count):
            dropped[category, True] = dropped.get((category, True), 0) + 1
    return [Dropped(category, quantity, full) for (category, full), quantity in dropped.items()]


def _too_many(connection: sqlite3.Connection, bounds: Bounds) -> int:
    """How many envelopes should go now."""
    (count,) = connection.execute("SELECT count(*) FROM envelope").fetchone()
    if bounds.envelopes and count > bounds.envelopes:
        return int(count - bounds.envelopes + bounds.envelopes * _SHARE)
    most = bounds.mebibytes * _MEBIBYTE
    # What visitors wrote is added up only where it matters.
    if count > 1 and (excess := used_bytes(connection) - most) > 0 and excess > _feedback_bytes(connection):
        return int(count * _SHARE) + 1
    return 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """How much of the file is in use; the file itself may be larger, its free pages are used again."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _feedback_bytes(connection: sqlite3.Connection) -> int:
    """About how much of that is feedback: no envelope has to go for it."""
    sizes = f"length(CAST(message AS BLOB)) + length(CAST(url AS BLOB)) + {_FEEDBACK_ROW}"
    (found,) = connection.execute(f"SELECT coalesce(sum({sizes}), 0) FROM feedback").fetchone()  # noqa: S608
    return int(found)


def _delete_first(connection: sqlite3.Connection, count: int) -> list[str]:
    """Delete up to `count` of what goes first; returns the category of each."""
    for order in _ORDERS:
        found = _delete(connection, order, count)
        if found:
            return found
    return []


def _delete(connection: sqlite3.Connection, which: str, value: float) -> list[str]:
    """Delete the envelopes whose numbers this query gives; returns the category of each."""
    # In two statements: RETURNING came with SQLite 3.35, and RHEL 9 and Debian 11 have an older one.
    query = f"SELECT number, category FROM envelope WHERE number IN ({which})"  # noqa: S608
    found = connection.execute(query, (value,)).fetchall()
    connection.executemany("DELETE FROM envelope WHERE number = ?", [(number,) for number, _ in found])
    return [category for _, category in found]
