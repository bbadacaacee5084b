"""The outgoing side of a request.

Every message passes at once and unchanged, save one case: an error answer that may deserve a page is held until it is
known to be the framework's own bare answer.
"""

from typing import Any, Protocol

from asgi_rota_sentry import expected, faults
from asgi_rota_sentry.held import Headers, HeldAnswer, Verdict, is_to_be_held
from asgi_rota_sentry.pages import Answer, ErrorPages
from asgi_rota_sentry.types import Message, Receive, Send

# The messages that answer a request, and the HTTP status that stands for each: 0 where the message tells it; else that
# of a websocket's handshake (RFC 6455, section 4.1; closed before it was accepted: 403, as the ASGI specification has
# it).
_STARTS = {
    "http.response.start": 0,
    "websocket.http.response.start": 0,
    "websocket.accept": 101,
    "websocket.close": 403,
}

_LEAVINGS = frozenset({"http.disconnect", "websocket.disconnect"})


class Listener(Protocol):
    """Who follows the response: the journey of its request."""

    @property
    def method(self) -> str:
        """The request's."""

    def on_error(self) -> None:
        """The application answers with an error; it may be handling the exception just now."""

    def on_start(self, status: int, message: Message) -> None:
        """The response is about to begin, with this message."""

    def on_end(self, message: Message) -> None:
        """The last byte is out, with this message."""

    def page(self, status: int, headers: Headers, *, closes: bool = False) -> Answer:
        """The page in place of an answer with this status and these headers, after which the server closes or not."""

    def is_decided(self) -> bool:
        """Whether it is known by now which event stands for a failure."""


class Reply:
    """Passes on what the application sends, notes how far it has come, and puts pages in place of bare errors.

    It `ends` when the last message is about to be sent, and has `ended` when it was.

    `take` is where the application's `receive` takes its messages from: the server's own `receive`, until it is set.
    `pages` is None where no page is ever served (a websocket). The listener hears of the response's start once it is
    followed, and of its end if it also `follows_end`, or the client has left.
    """

    __slots__ = (
        "_listener",
        "_pages",
        "_send",
        "_trailers",
        "client_gone",
        "client_left",
        "ended",
        "ends",
        "follows_end",
        "held",
        "is_followed",
        "socket_left",
        "started",
        "take",
    )

    def __init__(self, receive: Receive, send: Send, pages: ErrorPages | None, listener: Listener) -> None:
        self.started = self.ends = self.ended = self.is_followed = self.follows_end = self._trailers = False
        #: Whether a message could not be sent; and whether the server said that nobody waits for the answer any more,
        #: or that the websocket is closed.
        self.client_gone = self.client_left = self.socket_left = False
        #: The answer that is held back, as long as one is.
        self.held: HeldAnswer | None = None
        self.take = receive
        self._send = send
        self._pages = pages
        self._listener = listener

    async def receive(self) -> Message:
        """The `receive` that the application gets.

        What it waits for may come only when the client has the answer (its leaving, most of all): none is held then.
        """
        __tracebackhide__ = True
        if self.held is not None:
            await self.conclude(failed=False)
        message = await self.take()
        try:
            is_disconnect = message.get("type") in _LEAVINGS
        except Exception:
            return message  # no message at all: for the application to refuse
        if is_disconnect:
            self.socket_left = message["type"] != "http.disconnect"
            self.client_left = not self.socket_left
        return message

    async def send(self, message: Message) -> None:
        """The `send` that the application gets."""
        __tracebackhide__ = True
        if self.held is not None:
            await self._while_holding(self.held, message)
            return
        try:
            kind = message.get("type")
            begins = not self.started and kind in _STARTS
        except Exception:
            kind, begins = "", False  # no message at all: for the server to refuse
        if begins:
            if self._begin(message, kind):
                return
            self.started = True
        if kind == "http.response.body":  # as nearly all
            is_last = not (message.get("more_body", False) or self._trailers)
        else:
            is_last = kind != "http.response.start" and self._is_last(message, kind)
        if is_last:
            self.ends = True  # a server may begin the next request in the midst of the sending
        send = self._send  # by itself: what is no method is looked up at a fifth of the price
        try:
            await send(message)
        except (OSError, RuntimeError) as exc:
            self._lose(exc)
            raise
        if is_last:
            self.ended = True
            if self.is_followed and (self.follows_end or self.client_left):
                self._listener.on_end(message)

    def _is_last(self, message: Message, kind: Any) -> bool:
        """Whether nothing follows this message; with a close the application may answer an exception."""
        if kind == "websocket.close":
            if self.is_followed:
                self._listener.on_error()
            return True
        if kind in ("http.response.zerocopysend", "websocket.http.response.body"):
            return not message.get("more_body", False)
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        return bool(kind == "http.response.pathsend")

    def _lose(self, exc: OSError | RuntimeError) -> None:
        """The client is gone, and this exception says no more than that; a `RuntimeError` may say anything."""
        try:
            if isinstance(exc, OSError) or self._is_refused(exc):
                self.client_gone = True
                expected.mark_unsent(exc)
        except Exception:
            faults.report("noting a client that left")

    def _is_refused(self, exc: RuntimeError) -> bool:
        """Whether it only says that the client has closed the websocket, and the application has not done so before."""
        return not self.ended and (self.socket_left or expected.is_of_closed_socket(exc))

    def _begin(self, message: Message, kind: Any) -> bool:
        """Note what the response begins with; whether it is to be held."""
        try:
            status = _STARTS[kind] or message.get("status", 200)
            if status >= 500 or status == 404:
                if status >= 500 and self.is_followed:
                    self._listener.on_error()
                if self._pages is not None and self._hold(message, self._pages):
                    return True
            if "trailers" in message:
                self._trailers = bool(message["trailers"])
            if self.is_followed:
                self._listener.on_start(status, message)
        except Exception:
            faults.report("looking at an answer")
        return False

    def _hold(self, start: Message, pages: ErrorPages) -> bool:
        """Hold the answer that starts like this back, if it may be bare; whether it is held."""
        method = self._listener.method
        if not is_to_be_held(start, pages, method):
            return False
        self.held = HeldAnswer(start, pages, method)
        return True

    async def conclude(self, *, failed: bool) -> None:
        """Answer what is still open when the application has returned or raised."""
        held, status = self.held, self._status_of_page(failed=failed)
        if status:
            is_complete = held is not None and held.is_complete
            await self._replace(status, () if held is None else held.headers, closes=failed and not is_complete)
        elif held is not None:
            await self._release()

    def _status_of_page(self, *, failed: bool) -> int:
        """The status of the page that the request ends with; 0 for none."""
        if self._pages is None:
            return 0
        try:
            held = self.held
            if held is None:
                return 500 if failed and not self.started and self._pages.may_answer(self._listener.method) else 0
            if held.is_complete:
                return held.status
            return 500 if failed and held.is_empty else 0
        except Exception:
            faults.report("looking at an answer")
        return 0

    async def _while_holding(self, held: HeldAnswer, message: Message) -> None:
        __tracebackhide__ = True
        held.add(message)
        try:
            verdict = held.judge()
            # Of a failure the page tells the event: it waits until there is one.
            is_due = verdict is Verdict.BARE and (held.status < 500 or self._listener.is_decided())
        except Exception:
            faults.report("looking at an answer")
            verdict, is_due = Verdict.OWN, False
        if is_due:
            await self._replace(held.status, held.headers)
        elif verdict not in (Verdict.OPEN, Verdict.BARE):
            await self._release()

    async def _release(self) -> None:
        """Send what was held, as it was."""
        held = self._let_go()
        for message in held.messages if held is not None else ():
            await self.send(message)

    def _let_go(self) -> HeldAnswer | None:
        """From here on every message passes; returns what was held."""
        held, self.held = self.held, None
        self._pages = None
        return held

    async def _replace(self, status: int, headers: Headers, *, closes: bool = False) -> None:
        """Send the page in place of the application's answer.

        After it the server `closes` the connection where it would have answered itself, for the application raised: so
        does uvicorn, which sees the exception, and a client that had not been told would lose its next request.
        """
        try:
            answer = self._listener.page(status, list(headers), closes=closes)
            start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
            body = {"type": "http.response.body", "body": answer.body, "more_body": False}
        except Exception:
            faults.report("making an error page")
            await self._release()
            return
        self._let_go()
        await self.send(start)
        await self.send(body)
