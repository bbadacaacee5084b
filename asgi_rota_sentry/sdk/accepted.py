"""Who is to hear whether the event which is just being captured was accepted.

The SDK notes that on the isolation scope that the event was captured in, which need not be the request's: an
application opens one of its own, and each thread has one.
"""

import threading
from collections.abc import Callable

from asgi_rota_sentry import faults

#: What is called with the ID of an accepted event, or None for one that was not.
Hear = Callable[[str | None], object]


class _Captures(threading.local):
    """The capture that this thread is in the midst of; to capture an event is one call, which awaits nothing."""

    hearers: list[Hear] | None = None


_captures = _Captures()


def tell(hear: Hear) -> None:
    """Have this called when the event that is being captured here was accepted, or was not."""
    if _captures.hearers is not None:
        _captures.hearers.append(hear)


def captured(capture: Callable[[], str | None]) -> str | None:
    """What `capture` returns: the ID of its event if it was accepted, of which those are told who asked for it."""
    __tracebackhide__ = True
    around, hearers = _captures.hearers, list[Hear]()
    _captures.hearers = hearers
    try:
        event_id = capture()
    finally:
        _captures.hearers = around
    for hear in hearers:
        try:
            hear(event_id)
        except Exception:
            faults.report("noting an accepted event")  # in the midst of the application's own call
    return event_id
