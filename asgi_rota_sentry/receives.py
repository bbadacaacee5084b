"""What may stand in the way of the application's `receive`: each notes what passes, and changes nothing."""

from collections.abc import Callable

from asgi_rota_sentry import faults
from asgi_rota_sentry.request_body import Body
from asgi_rota_sentry.types import Message, Receive


class BodyReceive:
    """A `receive` that keeps what passes, as far as its bound goes."""

    __slots__ = ("_body", "_receive")

    def __init__(self, receive: Receive, body: Body) -> None:
        self._receive = receive
        self._body = body

    async def __call__(self) -> Message:
        message = await self._receive()
        try:
            if message.get("type") == "http.request":
                self._body.note(message)
        except Exception:
            faults.report("noting a part of the body")
        return message


class SocketReceive:
    """A websocket's `receive` that tells when the client has closed it."""

    __slots__ = ("_on_close", "_receive")

    def __init__(self, receive: Receive, on_close: Callable[[int], None]) -> None:
        self._receive = receive
        self._on_close = on_close

    async def __call__(self) -> Message:
        message = await self._receive()
        try:
            if message.get("type") == "websocket.disconnect":
                self._on_close(message.get("code", 1005))  # 1005: the client gave none
        except Exception:
            faults.report("noting the end of a websocket")
        return message
