"""Kept envelopes as files: a ZIP archive of envelopes, each as it would be sent.

Single envelopes from the archive can be sent with other tools, too, such as `sentry-cli send-envelope`.
"""

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from asgi_rota_sentry.outbox.store import LOCAL, Kept, Outbox, Packed, unpack
from asgi_rota_sentry.outbox.summary import summarise
from asgi_rota_sentry.sdk.envelopes import Envelope, parse_envelope

_LARGEST = 100 * 1024 * 1024
# What an archive is read with raises where it is damaged, encrypted or of an unknown kind.
_UNREADABLE: tuple[type[Exception], ...] = (RuntimeError, EOFError, zlib.error)
with suppress(ImportError):  # not every Python was built with it
    from lzma import LZMAError

    _UNREADABLE = (*_UNREADABLE, LZMAError)


def write_archive(outbox: Outbox, path: Path) -> tuple[int, list[int]]:
    """Write all kept envelopes, oldest first, to a new archive that only its owner may read.

    Returns how many, and the numbers of those that are left out because their bytes are damaged. FileExistsError when
    there is a file of that name. Whatever else fails leaves none.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            return _write_all(outbox, archive)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_all(outbox: Outbox, archive: zipfile.ZipFile) -> tuple[int, list[int]]:
    written, damaged = 0, []
    for listed in reversed(outbox.entries()):
        kept = outbox.get(listed.number)
        if kept is None:  # sent meanwhile
            continue
        try:
            data = unpack(kept.payload)
        except ValueError:
            damaged.append(kept.number)
        else:
            archive.writestr(_entry(kept), data)
            written += 1
    return written, damaged


def _entry(kept: Kept) -> zipfile.ZipInfo:
    when = datetime.fromtimestamp(max(kept.captured_at, 315_619_200))  # noqa: DTZ006 - ZIP has local time, from 1980
    name = f"{kept.number:08}-{kept.kind.replace(' ', '-')}-{kept.event_id or 'none'}.envelope"
    entry = zipfile.ZipInfo(name.replace("/", "_"), when.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def read_archive(outbox: Outbox, path: Path) -> tuple[int, int, int]:
    """Keep the envelopes of an archive, or of a file with a single one.

    They are kept to be looked at, and sent when somebody asks for it. Returns how many are new, how many known, and
    how many went at once for the outbox's bounds. OSError or ValueError when the file is neither.
    """
    known = _Known(outbox)
    added = repeated = gone = 0
    for name, data, captured_at in _contents(path):
        try:
            envelope = parse_envelope(data)
        except ValueError as fault:
            raise ValueError(f"{name}: {fault}") from None
        if known.has(envelope):
            repeated += 1
            continue
        dropped = outbox.add_packed([Packed.of(envelope, LOCAL, captured_at)])
        gone += sum(each.quantity for each in dropped)
        added += 1
    return added, repeated, gone


class _Known:
    """The envelopes that an outbox has: by event ID, and those without one (sessions, metrics) by their content.

    Of the latter two may be alike, so each is known as often as it is kept.
    """

    def __init__(self, outbox: Outbox) -> None:
        entries = outbox.entries()
        self._ids = {(kept.kind, kept.event_id) for kept in entries if kept.event_id}
        self._alike: Counter[bytes] = Counter()
        for listed in entries:
            kept = None if listed.event_id else outbox.get(listed.number)
            with suppress(ValueError):  # damaged: like no other
                self._alike.update([] if kept is None else [_digest(kept.envelope())])

    def has(self, envelope: Envelope) -> bool:
        """Whether this one is kept; asked for each of an archive once."""
        brief = summarise(envelope)
        if brief.event_id:
            return (brief.kind, brief.event_id) in self._ids
        digest = _digest(envelope)
        self._alike[digest] -= 1
        return self._alike[digest] >= 0


def _digest(envelope: Envelope) -> bytes:
    return sha256(envelope.serialize()).digest()


def _contents(path: Path) -> Iterator[tuple[str, bytes, float]]:
    """Name, bytes and time of each envelope in the file."""
    if not zipfile.is_zipfile(path):
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path} is larger than any envelope may be.")
        yield path.name, path.read_bytes(), path.stat().st_mtime
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.file_size > _LARGEST:
                    raise ValueError(f"{entry.filename} is larger than any envelope may be.")
                if not entry.is_dir():
                    yield entry.filename, archive.read(entry), _time_of(entry, path)
    except _UNREADABLE as fault:
        raise ValueError(f"The archive cannot be read: {fault or 'it is cut off'}.") from None


def _time_of(entry: zipfile.ZipInfo, path: Path) -> float:
    """When the entry was made; other programs leave that out, then it is as old as the archive."""
    try:
        return datetime(*entry.date_time).timestamp()  # noqa: DTZ001 - ZIP has local time
    except (ValueError, OverflowError, OSError):
        return path.stat().st_mtime
