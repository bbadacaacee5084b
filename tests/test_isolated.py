"""Nothing of one request is ever seen in another's events, whatever runs at the same time."""

import asyncio
import contextvars
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import sentry_sdk
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import Identity, RotaSentryMiddleware
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]


async def test_a_request_in_a_context_left_behind_begins_anew(sentry: Sentry) -> None:
    """A pipelined request, or one after paused reading, starts in a copy of an earlier request's context."""
    server = sentry()
    left_behind: list[contextvars.Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            sentry_sdk.set_tag("leaked", "yes")
            sentry_sdk.get_isolation_scope().set_user({"id": "first"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        left_behind.append(contextvars.copy_context())
        raise ValueError(scope["path"])

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            left_behind.append(contextvars.copy_context())

    wrapped = RotaSentryMiddleware(app)

    async def request(path: str) -> None:
        with pytest.raises(ValueError, match=path):
            await wrapped(http(path=path), receive, send)

    await request("/first")
    for context in list(left_behind):
        async with anyio.create_task_group() as tasks:
            context.run(tasks.start_soon, request, "/later")
    first, *later = server.events
    assert first["tags"]["leaked"] == "yes"
    assert [event["tags"]["http.url"] for event in later] == ["/later"] * 2
    assert ["leaked" in event["tags"] for event in later] == [False, False]
    assert [event.get("user") for event in later] == [None, None]
    assert [event["request"]["url"] for event in later] == ["http://rota.example/later"] * 2
    assert len({event["contexts"]["trace"]["trace_id"] for event in server.events}) == 3
    assert len(server.spans) == 3


def test_requests_in_contexts_without_scopes(sentry: Sentry) -> None:
    """Where a server starts requests in bare contexts, what is set around one is not in another, nor is its trace."""
    server = sentry(exclude_paths=("/health",))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_tag("inside", scope["path"])
        sentry_sdk.capture_message(scope["path"])

    async def request(path: str) -> None:
        await RotaSentryMiddleware(app)(http(path=path), Wire().receive, Wire().send)
        sentry_sdk.set_tag("around", path)
        sentry_sdk.capture_message("around")

    for path in ("/one", "/two", "/health", "/health"):
        contextvars.Context().run(asyncio.run, request(path))
    inside, around = server.events[::2], server.events[1::2]
    assert [event["tags"]["inside"] for event in inside] == ["/one", "/two", "/health", "/health"]
    assert [event["tags"] for event in around] == [{"around": event["message"]} for event in inside]
    assert not any("around" in event["tags"] for event in inside)
    assert len({event["contexts"]["trace"]["trace_id"] for event in inside}) == 4


@pytest.mark.parametrize("begun", ["in the first request", "without a request"])
async def test_a_span_is_of_its_own_request_whoever_sends_the_answer(sentry: Sentry, begun: str) -> None:
    """A task that answers several requests was begun in one of them, or in none; nor do its own marks count."""
    server = sentry()
    give, take = anyio.create_memory_object_stream[Any](10)

    async def answer_together() -> None:
        async for answer, scope, receive, send, done in take:
            with sentry_sdk.new_scope() as own:
                own.set_user({"id": "nobody"})
                own.set_tag("tenant", "of the worker")
                own.set_attribute("tenant", "of the worker")
                await answer(scope, receive, send)
            done.set()

    class Together(PlainTextResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await give.send((super().__call__, scope, receive, send, done := anyio.Event()))
            await done.wait()

    async def view(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "ada" and begun == "in the first request":
            tasks.start_soon(answer_together)
        sentry_sdk.get_isolation_scope().set_user({"id": name})
        sentry_sdk.set_tag("tenant", name)
        sentry_sdk.get_isolation_scope().set_attribute("tenant", name)
        return Together("ok")

    app = RotaSentryMiddleware(Starlette(routes=[Route("/{name}", view)]))
    async with anyio.create_task_group() as tasks:
        if begun == "without a request":
            contextvars.Context().run(tasks.start_soon, answer_together)
        for name in ("ada", "bob"):
            await Wire([{"type": "http.request"}]).run(app, http(path=f"/{name}"))
        tasks.cancel_scope.cancel()
    give.close()
    take.close()
    for name, span in zip(("ada", "bob"), server.spans, strict=True):
        assert (span["tags"]["http.url"], span["user"]["id"]) == (f"/{name}", name)
        payload = span["payload"]
        tenants = payload["tags"]["tenant"] if "tags" in payload else payload["attributes"]["tenant"]["value"]
        assert tenants == name
        assert payload.get("request", {"url": name})["url"].endswith(name)


AT_ONCE = 5_000
OWN: contextvars.ContextVar[str] = contextvars.ContextVar("own", default="nobody")


def _mark(request: Request) -> str:
    """Leave the request's number wherever an application may leave something."""
    number = str(request.path_params["number"])
    sentry_sdk.set_tag("mine", number)
    sentry_sdk.set_user({"id": number})
    sentry_sdk.set_context("mine", {"number": number})
    sentry_sdk.add_breadcrumb(category="mine", message=number)
    OWN.set(number)
    return number


def _tell(number: str, where: str) -> None:
    """Make an event of every tenth request, every other one an error that is raised."""
    assert OWN.get() == number
    if int(number) % 20 == 0:
        raise LookupError(number)
    if int(number) % 10 == 0:
        sentry_sdk.capture_message(f"{where} {number}", level="error")


async def _rest() -> None:
    await anyio.sleep(random.random() / 50)


def in_a_sync_view(request: Request) -> Response:
    number = _mark(request)
    _tell(number, "sync")
    return PlainTextResponse(number)


async def in_an_async_view(request: Request) -> Response:
    number = _mark(request)
    await _rest()
    _tell(number, "async")
    return PlainTextResponse(number)


async def in_a_thread(request: Request) -> Response:
    number = _mark(request)
    await _rest()
    await anyio.to_thread.run_sync(_tell, number, "thread")
    return PlainTextResponse(number)


async def in_a_task_group(request: Request) -> Response:
    number = _mark(request)

    async def work() -> None:
        await _rest()
        _tell(number, "task")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(_rest)
    return PlainTextResponse(number)


async def in_the_background(request: Request) -> Response:
    number = _mark(request)
    await _rest()
    return PlainTextResponse(number, background=BackgroundTask(_tell, number, "background"))


VIEWS = (in_a_sync_view, in_an_async_view, in_a_thread, in_a_task_group, in_the_background)


def _identify(scope: Any) -> Identity:
    return Identity(id=scope["path"].rpartition("/")[2], role=f"role {scope['path'].rpartition('/')[2]}")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_thousands_of_requests_at_once_never_mix(sentry: Sentry, anyio_backend: str) -> None:
    """Each event has the user, the tags, the breadcrumbs and the trace of its own request, and of no other."""
    server = sentry(traces_sample_rate=0.01, errors_per_minute=0)
    app = RotaSentryMiddleware(
        Starlette(routes=[Route(f"/{view.__name__}/{{number:int}}", view) for view in VIEWS]), identify=_identify
    )
    answers: dict[int, bytes] = {}

    async def request(number: int) -> None:
        headers = [(b"host", b"rota.example")]
        if _continues(number):
            headers.append((b"sentry-trace", f"{number:032x}-{number:016x}".encode()))
        wire = Wire([{"type": "http.request"}])
        path = f"/{VIEWS[number // 10 % 5].__name__}/{number}"
        with suppress(LookupError, ExceptionGroup):
            await app(http(path=path, headers=headers), wire.receive, wire.send)
        answers[number] = wire.sent[-1]["body"]
        assert OWN.get() in ("nobody", str(number))

    async with asyncio.TaskGroup() as tasks:
        for number in range(1, AT_ONCE + 1):
            tasks.create_task(request(number))
    events = server.events
    assert len(answers) == AT_ONCE
    assert all(body == str(number).encode() for number, body in answers.items() if number % 10)
    numbers = [_number_of(event) for event in events]
    assert sorted(numbers) == list(range(10, AT_ONCE + 1, 10))
    assert _mixed(events) == []
    assert len({event["contexts"]["trace"]["trace_id"] for event in events}) == len(events)


def _continues(number: int) -> bool:
    """Whether the request comes with a trace; the others begin one, with scopes that wait to be looked at."""
    return number % 30 == 0


def _number_of(event: dict[str, Any]) -> int:
    values = (event.get("exception") or {}).get("values") or []
    texts = [event.get("message") or "", *(value["value"] for value in values if value["type"] == "LookupError")]
    return int(texts[-1].rpartition(" ")[2])


def _mixed(events: list[dict[str, Any]]) -> list[Any]:
    """The events that know something of another request."""
    found = []
    for event in events:
        number = str(_number_of(event))
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "mine"]
        paths = {crumb["data"]["url"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "request"}
        known = (
            event["tags"]["mine"],
            event["tags"]["user.role"].removeprefix("role "),
            event["user"]["id"],
            event["contexts"]["mine"]["number"],
            *crumbs,
            *(path.rpartition("/")[2] for path in paths),
            event["request"]["url"].rpartition("/")[2],
            event["tags"]["http.url"].rpartition("/")[2],
            *([str(int(event["contexts"]["trace"]["trace_id"], 16))] if _continues(int(number)) else []),
        )
        if set(known) != {number}:
            found.append((number, known))
    return found
