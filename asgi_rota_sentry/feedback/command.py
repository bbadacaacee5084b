"""The command `feedback`: what visitors wrote."""

import argparse
import csv
import io
import json
import sys
from typing import Any

from asgi_rota_sentry.outbox.arguments import add_limit, file_of
from asgi_rota_sentry.outbox.feedback import DELIVERED, FeedbackStore
from asgi_rota_sentry.outbox.plain import moment, table
from asgi_rota_sentry.settings import Settings

_HEAD = ("TIME", "EVENT ID", "NAME", "MESSAGE", "STATE")
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CSV = ("written_at", "id", "event_id", "event", "name", "email", "message", "url", "user_id", "role")
_CSV_MORE = ("environment", "release", "state")


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("feedback", help="list what visitors wrote, newest first")
    parser.add_argument("--outbox", metavar="PATH", default=argparse.SUPPRESS, help="the outbox's file")
    add_limit(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--csv", action="store_true", help="for spreadsheets; what would be a formula gets a ' before it")
    form.add_argument("--forget", nargs="+", metavar="ID", help="delete these for good, by the `id` of --json")
    parser.set_defaults(run=_feedback)


def _feedback(args: argparse.Namespace, settings: Settings) -> int:
    store = FeedbackStore(file_of(settings), create=False)
    if args.forget:
        gone = store.forget(args.forget)
        print(f"Forgot {gone}.")
        return 0 if gone == len(args.forget) else 1
    found = store.newest(args.limit)
    if args.json:
        print(json.dumps([row | {"delivered": row["state"] == DELIVERED} for row in found], indent=2))
    elif args.csv:
        _write_csv(found)
    elif not found:
        print("Nobody has written yet.", file=sys.stderr)
    else:
        print(table(_HEAD, [_cells(row) for row in found], flexible=_HEAD.index("MESSAGE")))
    return 0


def _cells(row: dict[str, Any]) -> list[str]:
    about = row["event_id"] or "none"
    about += " (unknown)" if row["event"] == "unknown" else ""
    message = " ".join(row["message"].split())
    return [moment(row["written_at"]), about, row["name"] or row["email"], message, row["state"]]


def _write_csv(rows: list[dict[str, Any]]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # lines end as RFC 4180 has it
    writer = csv.writer(sys.stdout)
    writer.writerow([*_CSV, *_CSV_MORE])
    for row in rows:
        shown = row | {"written_at": moment(row["written_at"])}
        writer.writerow([_cell(shown[column]) for column in (*_CSV, *_CSV_MORE)])


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
