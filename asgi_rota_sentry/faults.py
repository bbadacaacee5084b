"""Where our own faults end: in one log line, never in the application's answer."""

import logging
import sys
import time
from contextlib import suppress

from asgi_rota_sentry.forks import Locked

logger = logging.getLogger("asgi_rota_sentry")

_QUIET_SECONDS = 60.0
# An application may make a class of exceptions whenever it needs one.
_MOST_KINDS = 1_000
_last_logged: dict[tuple[str, type[BaseException] | None], float] = {}
_mine = Locked()


def report(doing: str) -> None:
    """Log the exception that is being handled; the same kind at the same place once a minute. Never raises.

    `doing` completes the sentence "A fault while …".
    """
    kind = sys.exc_info()[0]
    now = time.monotonic()
    with _mine.lock:
        last = _last_logged.get((doing, kind))
        if last is not None and now - last < _QUIET_SECONDS:
            return
        if len(_last_logged) >= _MOST_KINDS:
            _last_logged.clear()
        _last_logged[doing, kind] = now
    # The SDK has a hook in the logging module, and filters and handlers are anybody's.
    with suppress(Exception):
        logger.error("A fault while %s; the response is not affected.", doing, exc_info=True)


def forget() -> None:
    """Log every kind of fault anew."""
    with _mine.lock:
        _last_logged.clear()
