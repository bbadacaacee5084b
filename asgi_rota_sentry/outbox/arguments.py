"""What the commands that list have in common."""

import argparse
import sys

from asgi_rota_sentry import values
from asgi_rota_sentry.outbox.errors import OutboxUnwantedError
from asgi_rota_sentry.settings import Settings


def file_of(settings: Settings) -> str:
    """The path of the outbox. Raises `OutboxUnwantedError` where the settings ask for none."""
    if not settings.outbox_path:
        raise OutboxUnwantedError
    return settings.outbox_path


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--limit`: a whole number, 0 for all."""
    told = "how many to list, 0 for all (default 50)"
    parser.add_argument("--limit", type=_limit, default=50, metavar="N", help=told)


def _limit(given: str) -> int | None:
    try:
        return min(values.count(given), sys.maxsize) or None  # a larger one is none of SQLite's
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r}; expected a whole number, 0 for all") from None
