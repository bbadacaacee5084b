"""A damaged file is put beside, what can still be read of it is saved, and a new one takes its place."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asgi_rota_sentry.outbox import notes
from asgi_rota_sentry.outbox.database import identity
from asgi_rota_sentry.outbox.errors import OutboxCorruptError
from asgi_rota_sentry.outbox.feedback import COLUMNS, FeedbackStore
from asgi_rota_sentry.outbox.leadership import Leadership
from asgi_rota_sentry.outbox.store import Outbox, Packed, unpack
from asgi_rota_sentry.sdk.envelopes import parse_envelope

_BATCH = 500

logger = logging.getLogger("asgi_rota_sentry")


def mend(outbox: Outbox, fault: OutboxCorruptError) -> None:
    """Replace the damaged file of `outbox`, unless another process does; `OutboxError` when that fails, too.

    The damaged file stays as `….damaged`, in place of an earlier one. What is saved from it has other numbers in the
    new one.
    """
    outbox.close()
    one_at_a_time = Leadership(Path(f"{outbox.path}.mend"))
    if not one_at_a_time.acquire():
        return
    try:
        if identity(outbox.path) != fault.file:
            return
        saved, written, noted = _take(outbox.path)
        if written:  # first, for an envelope that is on its way may tell of it as soon as it is here
            FeedbackStore(outbox.path).restore(written)
        for start in range(0, len(saved), _BATCH):
            outbox.add_packed(saved[start : start + _BATCH])
        outbox.take_over(noted)
    finally:
        one_at_a_time.close()
    message = "The outbox %s was damaged (%s) and is now %s.damaged; %d envelopes could be saved from it."
    logger.warning(message, outbox.path, fault.reason, outbox.path, len(saved))


def _take(path: Path) -> tuple[list[Packed], list[tuple[object, ...]], dict[str, Any]]:
    """Put the damaged file beside; returns what can be read of it: envelopes, what visitors wrote, and the notes."""
    found: dict[int, Packed] = {}
    noted: dict[str, Any] = {}
    written: list[tuple[object, ...]] = []
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("BEGIN IMMEDIATE")  # nothing may be sent and deleted while it is read
        for direction in ("ASC", "DESC"):
            found |= dict(_rows(connection, direction))
        with contextlib.suppress(sqlite3.Error):
            written.extend(connection.execute(f"SELECT {', '.join(COLUMNS)} FROM feedback ORDER BY number"))  # noqa: S608
        with contextlib.suppress(sqlite3.Error):
            noted = notes.read(connection)
        with contextlib.suppress(OSError):
            for suffix in ("-wal", "-shm", ""):
                if os.path.exists(f"{path}{suffix}"):  # noqa: PTH110 - the suffix is no path of its own
                    os.replace(f"{path}{suffix}", f"{path}.damaged{suffix}")  # noqa: PTH105
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
    return [found[number] for number in sorted(found)], written, noted


def _rows(connection: sqlite3.Connection, direction: str) -> Iterator[tuple[int, Packed]]:
    query = f"SELECT number, state, captured_at, payload FROM envelope ORDER BY number {direction}"  # noqa: S608
    with contextlib.suppress(sqlite3.Error):
        for number, state, captured_at, payload in connection.execute(query):
            with contextlib.suppress(ValueError, TypeError):
                yield number, Packed.of(parse_envelope(unpack(payload)), state, float(captured_at))
