"""A server made of lists: it gives an application what is to come in, and notes all that happens, in its order."""

import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

Message = dict[str, Any]
App = Callable[..., Awaitable[Any]]

#: What an application sets must be seen outside of it, as it is where nothing is around it.
SET_INSIDE: ContextVar[str] = ContextVar("set_inside", default="")


class Ended(BaseException):
    """Raised by an application in place of SystemExit or KeyboardInterrupt, which a test runner takes personally."""


class Wire:
    """One request or connection: `log` has what the application was given and what it did.

    Each send takes two moments, so that an application that does not wait for it is found out. `gone_at` is the number
    of the send at which the client is gone (the first is 0), `cancelled_at` the one during which the server cancels.
    """

    def __init__(self, incoming: Iterable[Message] = (), *, gone_at: int = -1, cancelled_at: int = -1) -> None:
        self.incoming = [dict(message) for message in incoming]
        self.log: list[Any] = []
        self._gone_at = gone_at
        self._cancelled_at = cancelled_at
        self._sends = 0
        self._cancel_scope = anyio.CancelScope()

    async def receive(self) -> Message:
        """What comes in next; nothing more comes after the last."""
        self.log.append("receive")
        await checkpoint()
        if not self.incoming:
            await anyio.sleep_forever()
        return self.incoming.pop(0)

    async def send(self, message: Any) -> None:
        """Take one message."""
        number, self._sends = self._sends, self._sends + 1
        self.log.append(("send", _frozen(message)))
        await checkpoint()
        if number == self._gone_at:
            raise OSError("the client is gone")
        if number == self._cancelled_at:
            await self.cancel()
        self.log.append("sent")

    def note(self, what: Any) -> None:
        """Let the application say how far it has come."""
        self.log.append(("app", what))

    async def cancel(self) -> None:
        """Cancel the request, as a server does that shuts down."""
        self.stop()
        await checkpoint()

    def stop(self) -> None:
        """Have the request cancelled wherever it waits next."""
        self._cancel_scope.cancel()

    @property
    def sent(self) -> list[Any]:
        """The messages that were sent."""
        return [entry[1] for entry in self.log if isinstance(entry, tuple) and entry[0] == "send"]

    async def run(self, app: App, scope: Message) -> "Wire":
        """Serve one request of the application; whatever it raises ends up in the log."""
        SET_INSIDE.set("")
        scope = {**deepcopy(scope), "wire": self}
        scope["itself"] = scope
        task = anyio.get_current_task().id
        scope["task"] = task
        with anyio.fail_after(10), self._cancel_scope:
            try:
                self.log.append(("returned", await app(scope, self.receive, self.send)))
            except BaseException as exc:
                self.log.append(("raised", *_described(exc)))
                if isinstance(exc, anyio.get_cancelled_exc_class()):
                    raise
        self.log.append(("set inside", SET_INSIDE.get()))
        self.log.append(("scope has", sorted(scope)))
        return self


def _frozen(message: Any) -> Any:
    """A copy as it is now, for an application may use its message again; the headers as a server would read them."""
    if not isinstance(message, dict):
        return message
    headers = message.get("headers")
    return dict(message) if headers is None else {**message, "headers": list(headers)}


def _described(exc: BaseException) -> tuple[Any, ...]:
    """The exception with its chain, its notes and the frames of the application."""
    frames = traceback.extract_tb(exc.__traceback__)
    layers = ("asgi_rota_sentry", "sentry_sdk")
    ours = [
        frame.name for frame in frames if not any(name in frame.filename for name in layers) and frame.name != "run"
    ]
    cause = _described(exc.__cause__) if exc.__cause__ is not None else None
    context = _described(exc.__context__) if exc.__context__ is not None else None
    members = [_described(member) for member in exc.exceptions] if isinstance(exc, BaseExceptionGroup) else None
    notes = getattr(exc, "__notes__", None)
    text = "" if isinstance(exc, anyio.get_cancelled_exc_class()) else str(exc)  # it names the scope's address
    return type(exc).__name__, text, ours, cause, context, exc.__suppress_context__, members, notes


def http(method: str = "GET", path: str = "/", **fields: Any) -> Message:
    """The scope of a plain HTTP request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"rota.example")],
        "client": ("198.51.100.7", 1234),
        "server": ("rota.example", 80),
        **fields,
    }


def websocket(path: str = "/", **fields: Any) -> Message:
    """The scope of a websocket."""
    scope = http(path=path, **fields)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": ["rota"]}
