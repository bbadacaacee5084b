"""Small applications that do all that ASGI allows, and what it does not: the table of `test_invisible.py`.

Each is told by its function's name. The decorators say with which scope and incoming messages it is served, and
`answers_bare` marks those that get an error page in place of their answer, unless pages are off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from starlette.websockets import WebSocketDisconnect

from tests.wire import SET_INSIDE, App, Ended, Message, Wire, http, websocket


@dataclass(frozen=True)
class Case:
    """An application and how it is served; `answers_bare` where a page takes the place of its answer."""

    app: App
    scope: Message
    incoming: tuple[Message, ...] = ()
    answers_bare: bool = False
    gone_at: int = -1
    cancelled_at: int = -1

    def wire(self) -> Wire:
        """A new server for it."""
        return Wire(self.incoming, gone_at=self.gone_at, cancelled_at=self.cancelled_at)


CASES: dict[str, Case] = {}
BODY = ({"type": "http.request", "body": b"one", "more_body": True}, {"type": "http.request", "body": b"two"})
OK = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1"), (b"a", b"2"), (b"B", b"3")]}
BARE = {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
BARE_BODY = {"type": "http.response.body", "body": b"Internal Server Error"}
MISSING = {**BARE, "status": 404}
LAST = {"type": "http.response.body", "body": b"last"}
TALK = ({"type": "websocket.receive", "text": "one"}, {"type": "websocket.receive", "bytes": b"2"})
CONNECT = {"type": "websocket.connect"}
GONE = {"type": "websocket.disconnect", "code": 1001}


def case(scope: Message | None = None, *incoming: Message, **fields: Any) -> Callable[[App], App]:
    """Put the application into the table."""

    def add(app: App) -> App:
        CASES[getattr(app, "__name__", type(app).__name__)] = Case(app, scope or http(), incoming, **fields)
        return app

    return add


@case()
async def plain(scope: Any, receive: Any, send: Any) -> str:
    """An answer in one piece; the same scope, task and context; a result."""
    scope["wire"].note((scope is scope["itself"], anyio.get_current_task().id == scope["task"]))
    SET_INSIDE.set("yes")
    await send(OK)
    scope["wire"].note("started")
    await send(LAST)
    return "result"


@case()
async def chunked(scope: Any, receive: Any, send: Any) -> None:
    """Many pieces, some empty, with work between them."""
    await send(OK)
    for number in range(5):
        scope["wire"].note(number)
        await send({"type": "http.response.body", "body": b"x" * number, "more_body": True})
        await checkpoint()
    await send({"type": "http.response.body"})


@case(http(headers=[(b"accept", b"text/event-stream")]))
async def server_sent_events(scope: Any, receive: Any, send: Any) -> None:
    """A stream without a length that ends when the client goes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for number in range(3):
        await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@case(http("POST", headers=[(b"content-length", b"6")]), *BODY)
async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Each piece of the body comes back before the next is read."""
    await send(OK)
    more = True
    while more:
        message = await receive()
        scope["wire"].note(message)
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


@case(http("POST", headers=[(b"transfer-encoding", b"chunked")]), {"type": "http.request"}, {"type": "http.disconnect"})
async def reads_to_the_disconnect(scope: Any, receive: Any, send: Any) -> None:
    """A body message without a body, then the client's leaving."""
    scope["wire"].note([await receive(), await receive()])


@case(http(), {"type": "http.request"}, {"type": "http.disconnect"})
async def streams_until_the_client_leaves(scope: Any, receive: Any, send: Any) -> None:
    """One task listens for the client's leaving and cancels the other, as frameworks do for an endless stream."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            scope["wire"].note(await receive())
            tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        await anyio.sleep_forever()


@case(http("POST", headers=[(b"content-length", b"6")]), BODY[0])
async def cancelled_while_it_reads(scope: Any, receive: Any, send: Any) -> None:
    """The server stops while the rest of a body is awaited."""
    await receive()
    scope["wire"].stop()
    try:
        await receive()
    finally:
        scope["wire"].note("cleaned up")


@case(http("POST", headers=[(b"content-length", b"6")]), *BODY)
async def two_tasks(scope: Any, receive: Any, send: Any) -> None:
    """Reading and sending in tasks of the application's own."""

    has_read = anyio.Event()

    async def read() -> None:
        scope["wire"].note(await receive())
        has_read.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await has_read.wait()
        await send(OK)
    await send(LAST)


@case(http("HEAD"))
async def head(scope: Any, receive: Any, send: Any) -> None:
    """No body."""
    await send({**OK, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body"})


@case()
async def no_headers(scope: Any, receive: Any, send: Any) -> None:
    """Headers are optional."""
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


@case()
async def headers_from_an_iterator(scope: Any, receive: Any, send: Any) -> None:
    """Any iterable is allowed, also one that can be read just once."""
    await send({"type": "http.response.start", "status": 200, "headers": iter([(b"set-cookie", b"session=1")])})
    await send(LAST)


@case()
async def error_headers_from_an_iterator(scope: Any, receive: Any, send: Any) -> None:
    """The same where an error answer is looked at."""
    await send({"type": "http.response.start", "status": 404, "headers": iter([(b"x", b"y")])})
    await send(LAST)


class _Once:
    """Pairs that can be read just once for each request."""

    def __deepcopy__(self, memo: Any) -> Any:
        return iter([(b"host", b"rota.example"), (b"cookie", b"session=1"), (b"content-length", b"3")])


@case(http(headers=_Once()))
async def scope_headers_from_an_iterator(scope: Any, receive: Any, send: Any) -> None:
    """The same for the request's."""
    scope["wire"].note(list(scope["headers"]))
    await send(OK)
    await send(LAST)


@case()
async def one_dict_for_all_messages(scope: Any, receive: Any, send: Any) -> None:
    """A message that is used again after it was sent, and an error answer at that."""
    message = {"type": "http.response.start", "status": 404, "headers": []}
    await send(message)
    message.clear()
    message.update(type="http.response.body", body=b"mine", more_body=True)
    await send(message)
    message.update(body=b" alone", more_body=False)
    await send(message)


@case()
async def extensions(scope: Any, receive: Any, send: Any) -> None:
    """What HTTP/2 and test clients add."""
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await send({"type": "http.response.debug", "info": {"template": "t"}})
    await send({"type": "http.response.push", "path": "/style.css", "headers": []})
    await send(OK)
    await send({"type": "http.response.pathsend", "path": "/dev/null"})


@case()
async def zero_copy(scope: Any, receive: Any, send: Any) -> None:
    """A body from a file."""
    await send(OK)
    await send({"type": "http.response.zerocopysend", "file": 3, "count": 7, "more_body": True})
    await send({"type": "http.response.zerocopysend", "file": 3})


@case()
async def trailers(scope: Any, receive: Any, send: Any) -> None:
    """Headers after the body."""
    await send({**OK, "trailers": True})
    await send(LAST)
    await send({"type": "http.response.trailers", "headers": [(b"x", b"1")], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": [(b"y", b"1")]})


@case()
async def trailers_of_an_error(scope: Any, receive: Any, send: Any) -> None:
    """Headers after the body of a 404."""
    await send({**MISSING, "trailers": True})
    await send({"type": "http.response.body", "body": b"Not Found"})
    await send({"type": "http.response.trailers", "headers": [(b"x", b"1")]})


@case()
async def file_of_an_error(scope: Any, receive: Any, send: Any) -> None:
    """A 404 whose body is a file, with a push before it."""
    await send(MISSING)
    await send({"type": "http.response.push", "path": "/style.css", "headers": []})
    await send({"type": "http.response.pathsend", "path": "/dev/null"})


@case()
async def own_errors(scope: Any, receive: Any, send: Any) -> None:
    """An error answer of the application's own, in pieces."""
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Internal ", "more_body": True})
    await send({"type": "http.response.body", "body": b"affairs", "more_body": False})


@case()
async def large_error(scope: Any, receive: Any, send: Any) -> None:
    """More than would ever be held."""
    await send({"type": "http.response.start", "status": 503})
    await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
    await send({"type": "http.response.body", "body": b"y"})


@case(answers_bare=True)
async def bare_404(scope: Any, receive: Any, send: Any) -> None:
    """What gets a page."""
    await send({**MISSING, "headers": [(b"content-length", b"9"), *MISSING["headers"]]})
    await send({"type": "http.response.body", "body": b"Not Found"})


@case(answers_bare=True)
async def bare_500_and_raise(scope: Any, receive: Any, send: Any) -> None:
    """What Starlette does."""
    try:
        int("abc")
    except ValueError:
        await send(BARE)
        await send(BARE_BODY)
        raise


@case(http(), {"type": "http.disconnect"}, answers_bare=True)
async def bare_500_and_wait_for_the_client(scope: Any, receive: Any, send: Any) -> None:
    """The client leaves only when it has the answer."""
    await send(BARE)
    await send(BARE_BODY)
    message = await receive()
    scope["wire"].note((message, len(scope["wire"].sent)))


@case(http(), {"type": "http.disconnect"})
async def half_a_bare_404_and_wait_for_the_client(scope: Any, receive: Any, send: Any) -> None:
    """What has come of the answer goes out as it is, and so does its rest."""
    await send(MISSING)
    scope["wire"].note(await receive())
    await send({"type": "http.response.body", "body": b"Not Found"})


@case(answers_bare=True)
async def bare_500_and_cancelled(scope: Any, receive: Any, send: Any) -> None:
    """What was sent before the cancellation reaches the client."""
    await send(BARE)
    await send(BARE_BODY)
    try:
        await scope["wire"].cancel()
    finally:
        scope["wire"].note("cleaned up")


@case()
async def error_start_alone(scope: Any, receive: Any, send: Any) -> None:
    """An error answer that never goes on."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"1234")]})


@case()
async def sends_nothing(scope: Any, receive: Any, send: Any) -> None:
    """No answer at all."""


@case()
async def start_alone(scope: Any, receive: Any, send: Any) -> None:
    """A start and no more."""
    await send(OK)


@case()
async def sends_after_the_end(scope: Any, receive: Any, send: Any) -> None:
    """More than there should be."""
    for message in (OK, LAST, LAST, OK, LAST):
        await send(message)


@case()
async def body_without_start(scope: Any, receive: Any, send: Any) -> None:
    """The wrong way round."""
    await send(LAST)
    await send(OK)


@case()
async def two_starts(scope: Any, receive: Any, send: Any) -> None:
    """Two statuses."""
    await send(OK)
    await send(MISSING)
    await send(LAST)


@case()
async def no_messages(scope: Any, receive: Any, send: Any) -> None:
    """Things that are no messages; the server will say so."""
    for thing in (None, 7, "text", [], {}, {"type": None}, {"type": ["x"]}, {"type": "x.y", "z": 1}):
        await send(thing)


@case()
async def no_message_in_an_error(scope: Any, receive: Any, send: Any) -> None:
    """As before, while an answer may be held."""
    await send({"type": "http.response.start", "status": 404})
    await send(7)
    await send({"type": "http.response.body"})


@case()
async def nonsense_in_the_start(scope: Any, receive: Any, send: Any) -> None:
    """A status and headers that are none."""
    await send({"type": "http.response.start", "status": "500", "headers": 5 * [None]})
    await send({"type": "http.response.body", "body": "text"})


@case()
async def nonsense_in_an_error(scope: Any, receive: Any, send: Any) -> None:
    """A held answer that turns out to be none."""
    await send({"type": "http.response.start", "status": 404})
    await send({"type": "http.response.body", "body": "text", "more_body": 3})


@case(answers_bare=True)
async def raises_before(scope: Any, receive: Any, send: Any) -> None:
    """An exception with a cause, a context and a note."""
    try:
        {}["missing"]
    except KeyError as inner:
        error = ValueError("before")
        error.add_note("a note")
        raise error from inner


@case()
async def raises_midway(scope: Any, receive: Any, send: Any) -> None:
    """After the start."""
    await send(OK)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    try:
        raise KeyError("inner")
    except KeyError:
        raise ValueError("midway") from None


@case()
async def raises_after(scope: Any, receive: Any, send: Any) -> None:
    """After the last byte, as a background task does."""
    await send(OK)
    await send(LAST)
    raise ValueError("after")


@case()
async def ends_the_process_midway(scope: Any, receive: Any, send: Any) -> None:
    """After the start: nothing is put after it."""
    await send(OK)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise Ended("the end")


@case(answers_bare=True)
async def raises_a_group(scope: Any, receive: Any, send: Any) -> None:
    """A task group's."""

    async def fail() -> None:
        raise ValueError("in a task")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)
        await anyio.sleep_forever()


@case()
async def raises_what_ends_the_process(scope: Any, receive: Any, send: Any) -> None:
    """No Exception, but a BaseException."""
    raise Ended("the end")


@case()
async def raises_a_mixed_group(scope: Any, receive: Any, send: Any) -> None:
    """Both in one."""
    raise BaseExceptionGroup("mixed", [ValueError("error"), Ended("the end")])


@case(gone_at=1)
async def client_leaves_midway(scope: Any, receive: Any, send: Any) -> None:
    """The server's OSError reaches the application, which cleans up."""
    await send(OK)
    try:
        await send(LAST)
    finally:
        scope["wire"].note("cleaned up")


@case(gone_at=0)
async def client_leaves_and_nobody_minds(scope: Any, receive: Any, send: Any) -> None:
    """An application may catch it and go on."""
    try:
        await send(OK)
    except OSError as exc:
        scope["wire"].note(str(exc))
    await send(LAST)


@case(cancelled_at=1)
async def cancelled(scope: Any, receive: Any, send: Any) -> None:
    """Cancellation arrives where the application waits, and can be put off for a while."""
    await send(OK)
    try:
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    finally:
        scope["wire"].note("cancelled")
        with anyio.CancelScope(shield=True):
            await checkpoint()
            scope["wire"].note("cleaned up")


@case({"type": "lifespan", "state": {}}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Startup and shutdown, with a state."""
    scope["wire"].note(await receive())
    scope["state"]["database"] = "open"
    await send({"type": "lifespan.startup.complete"})
    scope["wire"].note(await receive())
    scope["wire"].note(scope["state"])
    await send({"type": "lifespan.shutdown.complete"})


@case({"type": "lifespan"})
async def lifespan_not_supported(scope: Any, receive: Any, send: Any) -> None:
    """How a server learns that there is none."""
    raise ValueError("only http here")


@case({"type": "lifespan"}, {"type": "lifespan.startup"})
async def lifespan_fails(scope: Any, receive: Any, send: Any) -> None:
    """Told by a message, and by an exception."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
    raise RuntimeError("no database")


@case(http(state={"database": "open"}))
async def state(scope: Any, receive: Any, send: Any) -> None:
    """What lifespan left for the requests."""
    scope["state"]["seen"] = True
    scope["wire"].note(scope["state"])
    await send(OK)
    await send(LAST)


@case({"type": "other", "x": 1}, {"type": "other.event"})
async def other_protocol(scope: Any, receive: Any, send: Any) -> None:
    """A protocol that nobody knows."""
    await send(await receive())


@case(websocket(), CONNECT, *TALK, GONE)
async def talk(scope: Any, receive: Any, send: Any) -> None:
    """A conversation that the client ends."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "rota", "headers": iter([(b"x", b"1")])})
    while (message := await receive())["type"] == "websocket.receive":
        scope["wire"].note(message)
        await send({**message, "type": "websocket.send"})
    scope["wire"].note(message)


@case(websocket(), CONNECT)
async def hangs_up(scope: Any, receive: Any, send: Any) -> None:
    """The application closes, and sends once more."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
    await send({"type": "websocket.send", "text": "too late"})


@case(websocket(), CONNECT)
async def hangs_up_and_fails(scope: Any, receive: Any, send: Any) -> None:
    """The application fails when all is said."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})
    raise ValueError("after the close")


@case(websocket(), CONNECT)
async def ends_without_a_close(scope: Any, receive: Any, send: Any) -> None:
    """The application returns; the server closes in its place."""
    await receive()
    await send({"type": "websocket.accept"})


@case(websocket(), CONNECT, GONE)
async def client_leaves_before_the_answer(scope: Any, receive: Any, send: Any) -> None:
    """A handshake that nobody waits for any more."""
    scope["wire"].note([await receive(), await receive()])


@case(websocket(), CONNECT, GONE)
async def client_leaves_with_a_reason(scope: Any, receive: Any, send: Any) -> None:
    """The framework raises when the client has gone, and the application lets it pass."""
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    raise WebSocketDisconnect(message["code"], "going away")


@case(websocket(), CONNECT)
async def refuses(scope: Any, receive: Any, send: Any) -> None:
    """Closed before it was accepted."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})


@case(websocket(extensions={"websocket.http.response": {}}), CONNECT)
async def denies(scope: Any, receive: Any, send: Any) -> None:
    """Denied with an answer of the application's own."""
    await receive()
    await send({**MISSING, "type": "websocket.http.response.start"})
    await send({"type": "websocket.http.response.body", "body": b"Not ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"Found"})


@case(websocket(), CONNECT)
async def fails_before_it_accepts(scope: Any, receive: Any, send: Any) -> None:
    """The server answers with a 500 of its own."""
    raise ValueError("before the handshake")


@case(websocket(), CONNECT)
async def fails_in_the_conversation(scope: Any, receive: Any, send: Any) -> None:
    """The server closes with 1011 or not at all."""
    await send({"type": "websocket.accept"})
    raise ValueError("live")


@case(websocket(), CONNECT, gone_at=1)
async def client_leaves_the_conversation(scope: Any, receive: Any, send: Any) -> None:
    """A send into nothing."""
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello"})


@case(websocket(), CONNECT, cancelled_at=1)
async def server_stops_in_the_conversation(scope: Any, receive: Any, send: Any) -> None:
    """A server that shuts down cancels."""
    await send({"type": "websocket.accept"})
    try:
        await send({"type": "websocket.send", "text": "hello"})
    finally:
        scope["wire"].note("cleaned up")


@case(websocket(), CONNECT)
async def never_answers(scope: Any, receive: Any, send: Any) -> None:
    """The application returns without a word."""
    await receive()
