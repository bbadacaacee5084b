"""A damaged file is put beside, what can still be read of it is saved, and a new one takes its place."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from asgi_rota_sentry.outbox.database import Leadership, identity
from asgi_rota_sentry.outbox.errors import OutboxCorruptError
from asgi_rota_sentry.outbox.feedback import COLUMNS, FeedbackStore
from asgi_rota_sentry.outbox.store import Outbox, Packed, unpack
from asgi_rota_sentry.sdk.envelopes import parse_envelope

logger = logging.getLogger("asgi_rota_sentry")


def mend(outbox: Outbox, fault: OutboxCorruptError) -> None:
    """Replace the damaged file of `outbox`, unless another process does; `OutboxError` when that fails, too.

    The damaged file stays as `….damaged`, in place of an earlier one.
    """
    outbox.close()
    one_at_a_time = Leadership(Path(f"{outbox.path}.mend"))
    if not one_at_a_time.acquire():
        return
    try:
        if identity(outbox.path) != fault.file:
            return
        saved, written = list(_readable(outbox.path)), _written(outbox.path)
        with contextlib.suppress(OSError):
            for suffix in ("-wal", "-shm", ""):
                if os.path.exists(f"{outbox.path}{suffix}"):  # noqa: PTH110 - the suffix is no path of its own
                    os.replace(f"{outbox.path}{suffix}", f"{outbox.path}.damaged{suffix}")  # noqa: PTH105
        for packed in saved:
            outbox.add_packed([packed])
        if written:
            FeedbackStore(outbox.path).restore(written)
    finally:
        one_at_a_time.close()
    message = "The outbox %s was damaged (%s) and is now %s.damaged; %d envelopes could be saved from it."
    logger.warning(message, outbox.path, fault.reason, outbox.path, len(saved))


def _readable(path: Path) -> Iterator[Packed]:
    """What can be read from both ends of the damaged file, oldest first."""
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        first = dict(_rows(connection, "ASC"))
        last = dict(_rows(connection, "DESC"))
        found = first | last
        yield from (found[number] for number in sorted(found))
    except sqlite3.Error:
        pass
    finally:
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _written(path: Path) -> list[tuple[object, ...]]:
    """What visitors wrote, as far as it can be read, oldest first."""
    found: list[tuple[object, ...]] = []
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=1.0)) as connection:
        found.extend(connection.execute(f"SELECT {', '.join(COLUMNS)} FROM feedback ORDER BY number"))  # noqa: S608
    return found


def _rows(connection: sqlite3.Connection, direction: str) -> Iterator[tuple[int, Packed]]:
    query = f"SELECT number, state, captured_at, payload FROM envelope ORDER BY number {direction}"  # noqa: S608
    with contextlib.suppress(sqlite3.Error):
        for number, state, captured_at, payload in connection.execute(query):
            with contextlib.suppress(ValueError, TypeError):
                yield number, Packed.of(parse_envelope(unpack(payload)), state, float(captured_at))
