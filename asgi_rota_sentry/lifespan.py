"""The lifespan of the application: no transaction, its exceptions captured, and nothing left untold at its end.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from collections.abc import MutableMapping
from contextlib import ExitStack
from typing import Any

import anyio

from asgi_rota_sentry import expected, faults, sdk
from asgi_rota_sentry.budget import BUDGETS
from asgi_rota_sentry.metering import METERINGS
from asgi_rota_sentry.types import ASGIApp, Message, Receive, Scope, Send

_ENDS = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
# How much longer than the SDK's own `shutdown_timeout` the server is kept from ending, at most.
_GRACE_SECONDS = 1.0


async def run(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, answers: bool = False) -> Any:
    """Serve the application's lifespan; with `answers` also that of an application that knows none, such as Django.

    Before the server hears that the application has shut down, what was counted is told, and what the SDK has queued is
    flushed, for as long as its `shutdown_timeout` (2 s): a server that ends by the signal that stopped it, as uvicorn
    does, leaves no time for it at the process's exit.
    """
    __tracebackhide__ = True
    events = _Events(receive, send)
    # An application that knows no lifespan (Django) raises before it asks for the startup message: no fault.
    with ExitStack() as stack:
        try:
            stack.enter_context(sdk.muted(lambda: not events.received))
        except Exception:
            faults.report("opening the lifespan")
        try:
            result = await app(scope, events.receive, events.send)
        except Exception as exc:
            if not answers or events.are_known:
                _capture_quietly(exc)
                raise
            result = None
    if answers and not events.are_known:
        await events.answer()
    return result


class _Events:
    """The lifespan events between server and application, and which of the two has begun to speak of them."""

    __slots__ = ("_receive", "_send", "received", "sent")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.received = self.sent = False

    @property
    def are_known(self) -> bool:
        """Whether the application has asked for an event, or told of one."""
        return self.received or self.sent

    async def receive(self) -> Message:
        """The `receive` that the application gets."""
        __tracebackhide__ = True
        self.received = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The `send` that the application gets."""
        __tracebackhide__ = True
        self.sent = True
        if isinstance(message, MutableMapping) and message.get("type") in _ENDS:
            try:
                await _settle()
            except Exception:
                faults.report("telling what is left at the end")
        await self._send(message)

    async def answer(self) -> None:
        """Speak in place of an application that knows no lifespan."""
        for event in ("lifespan.startup", "lifespan.shutdown"):
            await self._receive()
            await self.send({"type": f"{event}.complete"})


async def _settle() -> None:
    client = sdk.current_client()
    if client is not None:
        seconds = client.shutdown_seconds
        with anyio.move_on_after(seconds + _GRACE_SECONDS):
            await anyio.to_thread.run_sync(_tell_all, seconds, abandon_on_cancel=True)


def _tell_all(seconds: float) -> None:
    BUDGETS.settle()
    METERINGS.settle()
    sdk.flush(seconds)


def _capture_quietly(exc: Exception) -> None:
    try:
        client = sdk.current_client()
        if client is not None and not expected.should_drop(exc):
            sdk.capture_exception(client, exc)
    except Exception:
        faults.report("capturing a lifespan exception")
