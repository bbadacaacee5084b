"""What the commands that list have in common."""

import argparse
import sys

from asgi_rota_sentry import values


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--limit`: a whole number, 0 for all."""
    told = "how many to list, 0 for all (default 50)"
    parser.add_argument("--limit", type=_limit, default=50, metavar="N", help=told)


def _limit(given: str) -> int | None:
    try:
        return min(values.count(given), sys.maxsize) or None  # a larger one is none of SQLite's
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r}; expected a whole number, 0 for all") from None
