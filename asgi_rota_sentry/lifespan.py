"""The lifespan of the application: no transaction, its exceptions captured, and nothing left untold at its end.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import sys
import time
from collections.abc import MutableMapping
from contextlib import ExitStack
from typing import Any

import anyio
import anyio.lowlevel

from asgi_rota_sentry import expected, faults, sdk
from asgi_rota_sentry.budget import BUDGETS
from asgi_rota_sentry.metering import METERINGS
from asgi_rota_sentry.types import ASGIApp, Message, Receive, Scope, Send

_FAILURES = ("lifespan.startup.failed", "lifespan.shutdown.failed")
_END = "lifespan.shutdown.complete"
# How much longer than the SDK's own `shutdown_timeout` the server is kept from ending, at most.
_GRACE_SECONDS = 1.0
# So many turns of the event loop are left to the requests that the server has just cancelled, each to come to its end:
# uvicorn does not wait for them.
_LAST_TURNS = 50


async def run(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, answers: bool = False) -> Any:
    """Serve the application's lifespan; with `answers` also that of an application that knows none, such as Django.

    Before the server hears that the application has shut down, or has failed, what was counted is told, and what the
    SDK has queued is flushed, for as long as its `shutdown_timeout` (2 s): a server that ends by the signal that
    stopped it, as uvicorn does, leaves no time for it at the process's exit.
    """
    __tracebackhide__ = True
    events = _Events(receive, send)
    # An application that knows no lifespan (Django) raises before it asks for the startup message: no fault.
    with ExitStack() as stack:
        try:
            stack.enter_context(sdk.muted(lambda: not events.are_known))
        except Exception:
            faults.report("opening the lifespan")
        try:
            result = await app(scope, events.receive, events.send)
        except Exception as exc:
            if not answers or events.are_known:
                await events.fail(exc)
                raise
            result = None
        except BaseExceptionGroup as exc:  # what ends the process stands beside an error: nobody waits for us
            if expected.has_error(exc):
                _capture_quietly(exc, is_known=events.are_known)
            raise
    if answers and not events.are_known:
        await events.answer()
    return result


class _Events:
    """The lifespan events between server and application, and which of the two has begun to speak of them."""

    __slots__ = ("_around", "_receive", "_send", "received", "sent")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        # A server may have been started while an exception was handled: that is none of the application's.
        self._around = sys.exc_info()[1]
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
        kind = message.get("type") if isinstance(message, MutableMapping) else None
        if kind in _FAILURES:
            await self._fail_as_handled()
        elif kind == _END:
            await self._settle()
        try:
            await self._send(message)
        except Exception as exc:
            if kind in _FAILURES:
                _note_refusal(exc)
            raise

    async def fail(self, exc: BaseException) -> None:
        """Have a failure told before the server sees it raised, or hears of it."""
        if _capture_quietly(exc, is_known=self.are_known) and self.are_known:
            await self._settle()

    async def _fail_as_handled(self) -> None:
        """The application tells of a failure: Starlette does while it handles the exception, which it raises next."""
        exc = sys.exc_info()[1]
        if exc is not None and exc is not self._around and (isinstance(exc, Exception) or expected.has_error(exc)):
            await self.fail(exc)
        else:
            await self._settle()

    async def _settle(self) -> None:
        try:
            await _settle()
        except Exception:
            faults.report("telling what is left at the end")

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
            for _ in range(_LAST_TURNS):
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(_tell_all, seconds, abandon_on_cancel=True)


def _tell_all(seconds: float) -> None:
    BUDGETS.settle()
    METERINGS.settle()
    sdk.flush(seconds)


def _capture_quietly(exc: BaseException, *, is_known: bool) -> bool:
    """Capture what a lifespan fails with, unless that was done; whether there may be anything new to be sent."""
    try:
        client = sdk.current_client()
        if client is None or sdk.is_settled(exc):
            return False
        if not sdk.was_seen(client, exc) and not expected.should_drop(exc):
            sdk.capture_exception(client, exc)
        sdk.mark_settled(exc)
        if is_known:
            client.lifespan_failed_at = time.monotonic()
    except Exception:
        faults.report("capturing a lifespan exception")
    return True


def _note_refusal(exc: Exception) -> None:
    """The server may answer a failure with an exception, as hypercorn does: that is no other one, if it was told."""
    try:
        if sdk.is_settled(exc.__context__):
            sdk.mark_settled(exc)
    except Exception:
        faults.report("noting the end of a lifespan")
