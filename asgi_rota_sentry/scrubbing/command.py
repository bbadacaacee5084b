"""`asgi-rota-sentry scrub FILE`: what would be removed from an event, where and why. The package's only I/O."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from asgi_rota_sentry.scrubbing.changes import Removal
from asgi_rota_sentry.scrubbing.scrubber import Report, Scrubber
from asgi_rota_sentry.settings import Settings

_LONGEST_SHOWN = 100
_NOTHING = "Nothing would be removed.\n"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `scrub` to a command line; its handler is the default `run`."""
    parser = subparsers.add_parser(
        "scrub",
        help="show what would be removed from an event before it leaves the process",
        description="Shows an event before and after scrubbing, with what is removed, where and why. "
        "Names, patterns and exemptions are read from ROTA_SENTRY_SCRUB_KEYS, _PATTERNS and _EXEMPT.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="an event (or any payload for Sentry) as JSON; - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print the event before and after and the list as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the report; returns 0, or 2 when the file cannot be read as a JSON object."""
    try:
        text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
        event = json.loads(text.removeprefix("\ufeff"))  # the mark with which Windows begins a file
    except (OSError, ValueError, RecursionError) as fault:
        sys.stderr.write(f"{args.file} cannot be read as JSON: {fault}\n")
        return 2
    if not isinstance(event, dict):
        sys.stderr.write(f"{args.file} holds no JSON object; expected one event.\n")
        return 2
    report = Scrubber.from_settings(settings).report(event)
    sys.stdout.write(_as_json(event, report) if args.json else _as_text(event, report))
    return 0


def _as_json(event: dict[str, Any], report: Report) -> str:
    removals = [
        {"path": ".".join(map(str, removal.path)), "reason": removal.reason, "whole": removal.whole}
        for removal in report.removals
    ]
    return json.dumps({"before": event, "after": report.payload, "removals": removals}, indent=2) + "\n"


def _as_text(event: dict[str, Any], report: Report) -> str:
    if not report.removals:
        return _NOTHING
    count = len(report.removals)
    head = f"{count} value{'s' if count > 1 else ''} would be removed or changed.\n\n"
    return head + "\n".join(_entry(event, report.payload, removal) for removal in report.removals)


def _entry(event: dict[str, Any], after: dict[str, Any], removal: Removal) -> str:
    return (
        f"{'.'.join(map(str, removal.path))}\n"
        f"  why     {removal.reason}\n"
        f"  before  {_shown(_at(event, removal))}\n"
        f"  after   {_shown(_at(after, removal))}\n"
    )


def _at(tree: Any, removal: Removal) -> Any:
    """The value at the removal's path, as far as the path can be followed."""
    for part in removal.path:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return "(the name itself was changed)"
    return tree


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
