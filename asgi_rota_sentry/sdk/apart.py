"""The SDK's sending, begun apart from any request.

The SDK begins the thread that sends with the first envelope, mostly in the midst of a request. Its threading
integration gives that thread the scopes of the request, and so every sending would be a span, or a breadcrumb, of that
one for as long as it lasts: the SDK's own check leaves the port out, and does not know a server that has one.
"""

import contextvars
from typing import Any


def install(transport: Any) -> None:
    """Have what sends for this transport begun in a context of its own; where it has no such part nothing is done."""
    worker: Any = getattr(transport, "_worker", None)
    start = getattr(worker, "start", None)
    if start is None or getattr(start, "is_apart", False):
        return

    def start_apart() -> None:
        contextvars.Context().run(start)

    start_apart.is_apart = True  # type: ignore[attr-defined]
    worker.start = start_apart
