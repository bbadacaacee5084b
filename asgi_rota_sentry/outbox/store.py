"""The store: envelopes in one SQLite file that several processes of one machine share."""

import time
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgi_rota_sentry.outbox import notes
from asgi_rota_sentry.outbox.bounds import Bounds, Dropped, make_room
from asgi_rota_sentry.outbox.database import Database
from asgi_rota_sentry.outbox.feedback import mark_delivered
from asgi_rota_sentry.outbox.summary import summarise
from asgi_rota_sentry.sdk.envelopes import Envelope, parse_envelope

QUEUED = "queued"
"""State: waits to be sent."""
LOCAL = "local"
"""State: kept to be looked at, without a DSN or in debug mode; sent only when somebody asks for it."""
SET_ASIDE = "set aside"
"""State: the server will never take it; `reason` says why."""

_INSERT = (
    "state, rank, kind, category, fingerprint, captured_at, event_id, title, user, size, payload",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_LONGEST_SECONDS = 2 * 86_400.0
"""No envelope is told to wait longer than this; what says so has the time of a clock that was set back since."""
ROWS = 90
"""So many go into one statement: before version 3.32, SQLite knows at most 999 parameters in one."""
_COLUMNS = "number, state, kind, category, captured_at, event_id, title, user, attempts, reason, size"


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept envelope: `number` orders them by arrival, `captured_at` is in seconds since 1970, `size` in bytes.

    `payload` is the packed envelope, empty in lists.
    """

    number: int
    state: str
    kind: str
    category: str
    captured_at: float
    event_id: str
    title: str
    user: str
    attempts: int
    reason: str
    size: int
    payload: bytes = b""

    def envelope(self) -> Envelope:
        """The envelope as it was kept; ValueError when its bytes are damaged."""
        return parse_envelope(unpack(self.payload))


@dataclass(frozen=True, slots=True)
class Packed:
    """One envelope made ready for the file; costs CPU time, so it is made where nobody waits."""

    captured_at: float
    event_id: str
    row: tuple[Any, ...]

    @classmethod
    def of(cls, envelope: Envelope, state: str = QUEUED, captured_at: float | None = None) -> "Packed":
        """The packed form of an envelope; ValueError or TypeError when it cannot be written as JSON."""
        brief = summarise(envelope)
        payload = zlib.compress(envelope.serialize(), 1)
        captured_at = time.time() if captured_at is None else captured_at
        event_id = _text(brief.event_id)
        return cls(
            captured_at,
            event_id,
            (
                *(state, brief.rank, brief.kind, brief.category, brief.fingerprint, captured_at),
                *(event_id, _text(brief.title), _text(brief.user), len(payload), payload),
            ),
        )


def _text(given: str) -> str:
    """The text without lone surrogates, which SQLite refuses."""
    return given.encode("utf-8", "replace").decode("utf-8")


def unpack(payload: bytes) -> bytes:
    """The envelope's bytes from their packed form; ValueError when they are damaged."""
    try:
        return zlib.decompress(payload)
    except (zlib.error, TypeError) as fault:
        raise ValueError(f"The kept bytes are damaged: {fault}.") from None


class Outbox:
    """The kept envelopes of one file, bounded; one instance serves one thread best, any number may share the file.

    Every method raises `OutboxError` when the file cannot be used now.
    """

    def __init__(self, path: str | Path, bounds: Bounds | None = None, *, create: bool = True) -> None:
        self.bounds = bounds or Bounds()
        self._database = Database(path, create=create)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    def add(self, envelope: Envelope, state: str = QUEUED) -> list[Dropped]:
        """Keep one envelope; returns what had to go to make room."""
        return self.add_packed([Packed.of(envelope, state)])

    def add_packed(self, batch: Sequence[Packed]) -> list[Dropped]:
        """Keep several at once, in this order; returns what had to go to make room."""
        columns, marks = _INSERT
        with self._database.use(write=True) as connection:
            # One statement for many: each lets go of the interpreter's lock, which a busy thread is slow to give back.
            for start in range(0, len(batch), ROWS):
                rows = [packed.row for packed in batch[start : start + ROWS]]
                statement = f"INSERT INTO envelope ({columns}) VALUES {', '.join([marks] * len(rows))}"  # noqa: S608
                connection.execute(statement, [value for row in rows for value in row])
            return self._make_room(connection)

    def next(self, blocked: Collection[str] = (), skip: Collection[int] = ()) -> Kept | None:
        """The oldest queued envelope whose time has come and whose category is not `blocked`."""
        blocked, skip = list(blocked), list(skip)
        where = f"category NOT IN ({_marks(blocked)}) AND number NOT IN ({_marks(skip)})"
        where = f"state = ? AND (not_before <= ? OR not_before > ?) AND {where}"
        query = f"SELECT {_COLUMNS}, payload FROM envelope WHERE {where} ORDER BY number LIMIT 1"  # noqa: S608
        now = time.time()
        given = [QUEUED, now, now + _LONGEST_SECONDS, *blocked, *skip]
        with self._database.use() as connection:
            found = connection.execute(query, given).fetchone()
        return Kept(*found) if found else None

    def done(self, number: int, captured_at: float, event_id: str) -> None:
        """The server took this one: it goes. Time and ID find it in a new file, too, where its number is another."""
        with self._database.use(write=True) as connection:
            number = _number_now(connection, number, captured_at, event_id)
            mark_delivered(connection, number)
            connection.execute("DELETE FROM envelope WHERE number = ?", (number,))
            notes.count(connection, "sent", 1)
            notes.write(connection, "last_success", time.time())

    def remove_if_only(self, numbers: Collection[int]) -> bool:
        """Start a new file if this one keeps nothing but these, which were sent; needs no room on disk.

        Not where it has what visitors wrote: that could not go on into the new file for certain.
        """
        noted = self.notes()
        with self._database.use(write=True) as connection:
            envelopes = f"SELECT number FROM envelope WHERE number NOT IN ({_marks(numbers)})"  # noqa: S608
            query = f"SELECT EXISTS ({envelopes}) OR EXISTS (SELECT number FROM feedback)"  # noqa: S608
            (others,) = connection.execute(query, list(numbers)).fetchone()
            if not others:
                self._database.remove()
        if others:
            return False
        self.take_over({**noted, "sent": noted.get("sent", 0) + len(numbers), "last_success": time.time()})
        return True

    def failed(self, number: int, reason: str, not_before: float) -> None:
        """Sending one failed and may succeed at `not_before` (seconds since 1970)."""
        with self._database.use(write=True) as connection:
            connection.execute(
                "UPDATE envelope SET attempts = attempts + 1, reason = ?, not_before = ? WHERE number = ?",
                (_text(reason), not_before, number),
            )
            notes.write_error(connection, _text(reason))

    def set_aside(self, number: int, captured_at: float, event_id: str, reason: str) -> None:
        """Sending this one will never succeed: it stays to be looked at. Time and ID are as for `done`."""
        with self._database.use(write=True) as connection:
            number = _number_now(connection, number, captured_at, event_id)
            given = "attempts = attempts + 1, state = ?, reason = ? WHERE number = ?"
            connection.execute(f"UPDATE envelope SET {given}", (SET_ASIDE, _text(reason), number))  # noqa: S608
            notes.write_error(connection, _text(reason))

    def tidy(self) -> list[Dropped]:
        """Drop what is too old or too much; returns what went."""
        with self._database.use(write=True) as connection:
            return self._make_room(connection)

    def _make_room(self, connection: Any) -> list[Dropped]:
        dropped = make_room(connection, self.bounds)
        notes.count(connection, "dropped", sum(each.quantity for each in dropped))
        return dropped

    def release(self, states: Iterable[str] = (LOCAL,)) -> int:
        """Queue all envelopes in these states for sending now; returns how many."""
        states = list(states)
        with self._database.use(write=True) as connection:
            statement = f"UPDATE envelope SET state = ?, not_before = 0 WHERE state IN ({_marks(states)})"  # noqa: S608
            return int(connection.execute(statement, [QUEUED, *states]).rowcount)

    def discard(self, numbers: Iterable[int] | None = None) -> int:
        """Delete these, or all of them with None, for good; returns how many."""
        with self._database.use(write=True) as connection:
            if numbers is None:
                return int(connection.execute("DELETE FROM envelope").rowcount)
            return sum(
                connection.execute("DELETE FROM envelope WHERE number = ?", (number,)).rowcount for number in numbers
            )

    def entries(
        self, *, kinds: Collection[str] = (), states: Collection[str] = (), limit: int | None = None
    ) -> list[Kept]:
        """The kept envelopes, newest first, without their payload."""
        where = f"({_among('kind', kinds)}) AND ({_among('state', states)})"
        query = f"SELECT {_COLUMNS} FROM envelope WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
        with self._database.use() as connection:
            rows = connection.execute(query, [*kinds, *states, -1 if limit is None else limit]).fetchall()
        return [Kept(*row) for row in rows]

    def get(self, number: int) -> Kept | None:
        """One kept envelope with its payload."""
        with self._database.use() as connection:
            query = f"SELECT {_COLUMNS}, payload FROM envelope WHERE number = ?"  # noqa: S608
            row = connection.execute(query, (number,)).fetchone()
        return Kept(*row) if row else None

    def find(self, reference: str) -> list[Kept]:
        """The envelopes that `reference` may mean: the start of an event ID, dashes or not, or `#` and a number."""
        if not reference.isascii():  # as no ID is; SQLite refuses some other texts
            return []
        if reference.startswith("#"):
            where, given = "number = ?", [reference[1:]]
        else:
            where, given = "event_id >= ? AND event_id < ? || 'g'", [reference.replace("-", "").lower()] * 2
        with self._database.use() as connection:
            query = f"SELECT {_COLUMNS} FROM envelope WHERE {where} ORDER BY number DESC"  # noqa: S608
            rows = connection.execute(query, given).fetchall()
        return [Kept(*row) for row in rows]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many envelopes there are of each state and kind."""
        with self._database.use() as connection:
            rows = connection.execute("SELECT state, kind, count(*) FROM envelope GROUP BY state, kind ORDER BY 1, 2")
            return {(state, kind): number for state, kind, number in rows}

    def notes(self) -> dict[str, Any]:
        """What is counted and remembered: sent, dropped, last_success, last_error, last_error_at, and others."""
        with self._database.use() as connection:
            return notes.read(connection)

    def note(self, name: str, value: float | str) -> None:
        """Remember something."""
        with self._database.use(write=True) as connection:
            notes.write(connection, name, value)

    def take_over(self, found: Mapping[str, Any]) -> None:
        """Go on with the notes of a file that this one takes the place of."""
        with self._database.use(write=True) as connection:
            notes.take_over(connection, found)

    def newest(self) -> int:
        """The number of the newest envelope; 0 when there is none."""
        with self._database.use() as connection:
            (found,) = connection.execute("SELECT max(number) FROM envelope").fetchone()
        return int(found or 0)

    def oldest(self) -> float | None:
        """When the oldest was captured, in seconds since 1970."""
        with self._database.use() as connection:
            (found,) = connection.execute("SELECT min(captured_at) FROM envelope").fetchone()
        return found if found is None else float(found)


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _among(column: str, values: Collection[Any]) -> str:
    return f"{column} IN ({_marks(values)})" if values else "true"


def _number_now(connection: Any, number: int, captured_at: float, event_id: str) -> int:
    """The number under which this one is kept now; 0 when it is no more."""
    query = "SELECT number FROM envelope WHERE captured_at = ? AND event_id = ? ORDER BY number != ? LIMIT 1"
    found = connection.execute(query, (captured_at, event_id, number)).fetchone()
    return int(found[0]) if found else 0
