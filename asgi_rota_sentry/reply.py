"""The outgoing side of a request.

Every message passes at once and unchanged, save one case: an error answer that may deserve a page is held until it is
known to be the framework's own bare answer.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from asgi_rota_sentry import faults
from asgi_rota_sentry.pages import Answer, ErrorPages
from asgi_rota_sentry.types import Message, Send

MOST_HELD = 64 * 1024

Headers = Sequence[tuple[bytes, bytes]]


class Listener(Protocol):
    """Who follows the response: the journey of its request."""

    def on_start(self, status: int, headers: Headers) -> None:
        """The response is about to begin."""

    def on_end(self) -> None:
        """The last byte is out."""

    def page(self, status: int, headers: Headers) -> Answer:
        """The page in place of an answer with this status and these headers."""

    def is_decided(self) -> bool:
        """Whether it is known by now which event stands for a failure."""


class Reply:
    """Passes on what the application sends, notes how far it has come, and puts pages in place of bare errors.

    `pages` is None where no page is ever served (a websocket).
    """

    started = False
    ended = False
    client_gone = False
    is_holding = False
    _body = b""
    _trailers = False

    def __init__(self, send: Send, pages: ErrorPages | None, method: str, listener: Listener) -> None:
        self._send = send
        self._pages = pages
        self._method = method
        self._listener = listener

    async def send(self, message: Message) -> None:
        """The `send` that the application gets."""
        __tracebackhide__ = True
        kind = message.get("type")
        if self.is_holding:
            await self._while_holding(message)
            return
        if kind == "http.response.start" and not self.started:
            status = message.get("status", 200)
            if (status == 404 or status >= 500) and self._may_replace(message):
                self.is_holding = True
                self._held: list[Message] = [message]
                return
            self.started = True
            self._trailers = bool(message.get("trailers"))
            self._listener.on_start(status, message.get("headers") or ())
        try:
            await self._send(message)
        except OSError:
            self.client_gone = True
            raise
        if kind == "http.response.start" or self.ended:
            return
        if _is_last(message, kind, trailers=self._trailers):
            self.ended = True
            self._listener.on_end()

    async def conclude(self, *, failed: bool) -> None:
        """Answer what is still open when the application has returned or raised."""
        if self.is_holding:
            start = self._held[0]
            complete = not self._held[-1].get("more_body", False) and len(self._held) > 1
            if (complete or (failed and not self._body)) and self._is_bare():
                await self._replace(start.get("status", 500) if complete else 500, start.get("headers") or ())
            else:
                await self._release()
        elif failed and not self.started and self._pages is not None and self._pages.may_replace(500, [], self._method):
            await self._replace(500, ())

    async def _while_holding(self, message: Message) -> None:
        if message.get("type") != "http.response.body":
            await self._release()
            await self.send(message)
            return
        self._held.append(message)
        self._body += message.get("body") or b""
        status = self._held[0].get("status", 200)
        if message.get("more_body", False):
            if len(self._body) > MOST_HELD or not self._may_replace(self._held[0]):
                await self._release()
        elif not self._is_bare():
            await self._release()
        elif status < 500 or self._listener.is_decided():
            await self._replace(status, self._held[0].get("headers") or ())

    async def _release(self) -> None:
        """Send what was held, as it was."""
        held = self._held
        self._let_go()
        for message in held:
            await self.send(message)

    def _let_go(self) -> None:
        """From here on every message passes."""
        self.is_holding = False
        self._pages = None
        self._held = []

    async def _replace(self, status: int, headers: Any) -> None:
        """Send the page in place of the application's answer."""
        try:
            answer = self._listener.page(status, list(headers))
        except Exception:
            faults.report("making an error page")
            await self._release()
            return
        self._let_go()
        await self.send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await self.send({"type": "http.response.body", "body": answer.body, "more_body": False})

    def _may_replace(self, message: Message) -> bool:
        if self._pages is None or message.get("trailers"):
            return False
        status = message.get("status", 200)
        try:
            return self._pages.may_replace(status, list(message.get("headers") or ()), self._method, self._body)
        except Exception:
            faults.report("looking at an error answer")
            return False

    def _is_bare(self) -> bool:
        start = self._held[0]
        if self._pages is None:
            return False
        try:
            headers = list(start.get("headers") or ())
            return self._pages.is_bare(start.get("status", 200), headers, self._body, self._method)
        except Exception:
            faults.report("looking at an error answer")
            return False


def _is_last(message: Message, kind: Any, *, trailers: bool) -> bool:
    if kind == "http.response.body":
        return not message.get("more_body", False) and not trailers
    if kind == "http.response.trailers":
        return not message.get("more_trailers", False)
    if kind == "http.response.zerocopysend":
        return not message.get("more_body", False)
    return kind in ("http.response.pathsend", "websocket.close")
