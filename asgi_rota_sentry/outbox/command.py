"""The commands `events` and `outbox`."""

import argparse
import json
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asgi_rota_sentry.outbox.arguments import add_limit, file_of
from asgi_rota_sentry.outbox.files import read_archive, write_archive
from asgi_rota_sentry.outbox.health import health
from asgi_rota_sentry.outbox.plain import age, moment, printable, size, table
from asgi_rota_sentry.outbox.sender import ANOTHER_SENDS
from asgi_rota_sentry.outbox.sending import send_now
from asgi_rota_sentry.outbox.store import LOCAL, QUEUED, SET_ASIDE, Kept, Outbox
from asgi_rota_sentry.outbox.story import content_of, tell
from asgi_rota_sentry.outbox.transport import bounds_of
from asgi_rota_sentry.settings import Settings

_EVENTS = ("error", "message", "feedback", "transaction", "check-in", "span")
_WHICH = "an event ID or its beginning, or #NUMBER"


def add_parser(subparsers: Any) -> None:
    """Add both commands."""
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--outbox", metavar="PATH", default=argparse.SUPPRESS, help="the outbox's file")
    machine = argparse.ArgumentParser(add_help=False, parents=[where])
    machine.add_argument("--json", action="store_true", help="for programs")

    events = subparsers.add_parser("events", help="list what is kept, or show one event", parents=[machine])
    events.add_argument("id", nargs="?", metavar="ID", help=_WHICH)
    add_limit(events)
    events.set_defaults(run=_events)

    outbox = subparsers.add_parser("outbox", help="what waits to be sent, and what to do with it", parents=[machine])
    outbox.set_defaults(run=_status)
    actions = outbox.add_subparsers(metavar="ACTION")
    listing = _action(actions, "list", _list, "list every kept envelope", where)
    # Also before the action, whose default would win over what stands there.
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")
    show = _action(actions, "show", _show, "show one as it would be sent", where)
    show.add_argument("id", metavar="ID", help=_WHICH)
    send = _action(actions, "send", _send, "send what is kept to SENTRY_DSN", where)
    send.add_argument("--set-aside", action="store_true", help="also what the server refused")
    discard = _action(actions, "discard", _discard, "delete envelopes for good", where)
    discard.add_argument("id", nargs="*", metavar="ID", help=_WHICH)
    discard.add_argument("--state", choices=[QUEUED, LOCAL, SET_ASIDE], help="all in this state")
    discard.add_argument("--all", action="store_true", help="all of them")
    for name, run, told in (
        ("export", _export, "write all to a new ZIP file, for another machine"),
        ("import", _import, "read a file that export wrote, or a single envelope"),
    ):
        _action(actions, name, run, told, where).add_argument("file", type=Path, metavar="FILE")


def _action(actions: Any, name: str, run: Any, told: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=told, parents=parents)
    parser.set_defaults(run=run)
    return parser


def _open(settings: Settings, *, create: bool = False) -> Outbox:
    return Outbox(file_of(settings), bounds_of(settings), create=create)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _found(outbox: Outbox, reference: str) -> Kept | None:
    """The one envelope meant, or None after saying why there is none."""
    if not reference.replace("-", "").strip():  # which is how every ID begins
        _say("Expected an event ID, its beginning, or # and a number.")
        return None
    found = outbox.find(reference)
    if len(found) > 1 and len({kept.event_id for kept in found}) > 1:
        _say(f"{printable(reference)} may be any of {len(found)}; give more of the ID.")
        return None
    kept = outbox.get(found[0].number) if found else None
    if kept is None:
        _say(f"Nothing kept has the ID {printable(reference)}.")
    return kept


def _events(args: argparse.Namespace, settings: Settings) -> int:
    outbox = _open(settings)
    if args.id is None:
        kept = outbox.entries(kinds=_EVENTS, limit=args.limit)
        return _print_list(kept, as_json=args.json, columns=("time", "kind", "title", "user", "event ID"))
    one = _found(outbox, args.id)
    if one is None:
        return 1
    try:
        print(json.dumps(content_of(one), indent=2) if args.json else tell(one))
    except ValueError as fault:
        _say(str(fault))
        return 1
    return 0


def _list(args: argparse.Namespace, settings: Settings) -> int:
    columns = ("number", "state", "time", "kind", "size", "tries", "title", "event ID", "reason")
    return _print_list(_open(settings).entries(), as_json=args.json, columns=columns)


def _print_list(entries: list[Kept], *, as_json: bool, columns: tuple[str, ...]) -> int:
    if as_json:
        rows = [asdict(kept) for kept in entries]
        print(json.dumps([{name: value for name, value in row.items() if name != "payload"} for row in rows], indent=2))
    elif not entries:
        _say("Nothing is kept.")
    else:
        rows_of_cells = [[_cell(kept, column) for column in columns] for kept in entries]
        print(table([column.upper() for column in columns], rows_of_cells, flexible=columns.index("title")))
    return 0


def _cell(kept: Kept, column: str) -> str:
    cells = {
        "number": f"#{kept.number}",
        "time": moment(kept.captured_at),
        "size": size(kept.size),
        "tries": str(kept.attempts),
        "event ID": kept.event_id or f"#{kept.number}",
    }
    return cells[column] if column in cells else str(getattr(kept, column))


def _status(args: argparse.Namespace, settings: Settings) -> int:
    outbox = _open(settings)
    counts, notes, oldest, now = outbox.counts(), outbox.notes(), outbox.oldest(), time.time()
    state = health(outbox)
    if args.json:
        kinds = {f"{where} {kind}": number for (where, kind), number in counts.items()}
        report = asdict(state) | {"kinds": kinds, "oldest": oldest, "path": str(outbox.path), "bytes": _bytes(outbox)}
        print(json.dumps(report, indent=2))
        return 0
    print(f"{outbox.path}: {sum(counts.values())} kept, {size(_bytes(outbox))} on disk")
    for (where, kind), number in counts.items():
        print(f"  {number:6} {printable(where)} {printable(kind)}")
    if oldest is not None:
        print(f"Oldest: {moment(oldest)} ({age(now - oldest)} ago)")
    success = "" if state.seconds_since_success is None else f", the last {age(state.seconds_since_success)} ago"
    print(f"Sent since the file was made: {state.sent}{success}. Dropped: {state.dropped}.")
    if state.last_error:
        print(f"Last error: {printable(state.last_error)} ({age(now - notes.get('last_error_at', now))} ago)")
    return 0


def _bytes(outbox: Outbox) -> int:
    names = (outbox.path, Path(f"{outbox.path}-wal"))
    return sum(path.stat().st_size for path in names if path.exists())


def _show(args: argparse.Namespace, settings: Settings) -> int:
    kept = _found(_open(settings), args.id)
    if kept is None:
        return 1
    try:
        data = kept.envelope().serialize()
    except ValueError as fault:
        _say(str(fault))
        return 1
    if sys.stdout.isatty():
        print(printable(data.decode("utf-8", "replace"), lines=True))
    else:
        sys.stdout.buffer.write(data)
    return 0


def _send(args: argparse.Namespace, settings: Settings) -> int:
    if settings.debug:
        _say("ROTA_SENTRY_DEBUG is on: nothing is sent.")
        return 2
    if not settings.dsn:
        _say("SENTRY_DSN is not set; it says where to send to.")
        return 2
    outbox = _open(settings)
    outbox.release([QUEUED, LOCAL, SET_ASIDE] if args.set_aside else [QUEUED, LOCAL])
    result = send_now(settings)
    print(f"Sent {result.sent}; {result.left} left; {result.set_aside} refused by the server for good.")
    if result.stopped:
        _say(printable(result.stopped))
    return 0 if not result.left or result.stopped == ANOTHER_SENDS else 1


def _discard(args: argparse.Namespace, settings: Settings) -> int:
    outbox = _open(settings)
    if not (args.id or args.state or args.all):
        _say("Say which: IDs, --state or --all.")
        return 2
    numbers: list[int] | None = None
    if not args.all:
        found = [_found(outbox, reference) for reference in args.id]
        if None in found:
            return 1
        numbers = [kept.number for kept in found if kept is not None]
        numbers += [kept.number for kept in outbox.entries(states=[args.state])] if args.state else []
    print(f"Discarded {outbox.discard(numbers)}.")
    return 0


def _export(args: argparse.Namespace, settings: Settings) -> int:
    try:
        written, damaged = write_archive(_open(settings), args.file)
    except FileExistsError:
        _say(f"{args.file} exists already.")
        return 1
    except OSError as fault:
        _say(f"{args.file} cannot be written: {fault.strerror}.")
        return 1
    print(f"Wrote {written} to {args.file}.")
    if damaged:
        _say(f"Left out, for their bytes are damaged: {', '.join(f'#{number}' for number in damaged)}.")
    return 1 if damaged else 0


def _import(args: argparse.Namespace, settings: Settings) -> int:
    try:
        added, known, gone = read_archive(_open(settings, create=True), args.file)
    except OSError as fault:
        _say(f"{args.file} cannot be read: {fault.strerror}.")
        return 1
    except (ValueError, zipfile.BadZipFile) as fault:
        _say(f"{args.file} holds no envelopes: {printable(fault)}")
        return 1
    print(f"Read {added} from {args.file}{f'; {known} were here already' if known else ''}.")
    if gone:
        _say(f"{gone} did not stay: too old or too many (ROTA_SENTRY_OUTBOX_MAX_DAYS, …_ENVELOPES, …_MIB).")
    return 1 if gone else 0
