"""The frameworks' own default answers are recognised; whatever an application wrote itself is not."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest

from asgi_rota_sentry.pages import ErrorPages
from asgi_rota_sentry.pages.bare import STATUSES
from asgi_rota_sentry.settings import Settings

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PAGES = ErrorPages(Settings())
Sent = tuple[int, list[tuple[bytes, bytes]], list[bytes]]


async def ask(app: Any, path: str, accept: str = "*/*", method: str = "GET") -> Sent:
    """The status, headers and parts of the body that an ASGI app sends, whether it raises or not."""
    sent: list[dict[str, Any]] = []
    asked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if asked.is_set():
            await asyncio.sleep(10)
        asked.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.com"), (b"accept", accept.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    with contextlib.suppress(ZeroDivisionError):
        await app(scope, receive, send)
    return sent[0]["status"], list(sent[0]["headers"]), [message.get("body", b"") for message in sent[1:]]


@contextlib.asynccontextmanager
async def started(app: Any) -> AsyncIterator[Any]:
    """The app with its lifespan begun and, at the end, properly ended."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.create_task(app(scope, to_app.get, from_app.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    await asyncio.wait_for(from_app.get(), 5)
    yield app
    to_app.put_nowait({"type": "lifespan.shutdown"})
    await asyncio.wait_for(life, 5)


def replaced(sent: Sent, method: str = "GET", pages: ErrorPages = PAGES) -> bool:
    """What the middleware makes of an answer: asked at its start, with each part of its body, and at its end."""
    status, headers, parts = sent
    beginning = b""
    for part in [b"", *parts]:
        beginning += part
        if not pages.may_replace(status, headers, method, beginning):
            return False
    return pages.is_bare(status, headers, beginning, method)


def starlette_app(cause: Callable[[int], Exception]) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    async def fail(request: Request) -> None:
        raise cause(int(request.path_params["status"]))

    async def boom(request: Request) -> None:
        raise ZeroDivisionError

    return Starlette(routes=[Route("/fail/{status}", fail), Route("/boom", boom)])


@pytest.mark.parametrize("status", STATUSES)
def test_starlette(status: int) -> None:
    """Starlette's text for any status, its answer to an unknown path and to an exception are bare, for HEAD too."""
    from starlette.exceptions import HTTPException

    app = starlette_app(HTTPException)
    for path, method in [
        (f"/fail/{status}", "GET"),
        (f"/fail/{status}", "HEAD"),
        ("/nowhere", "GET"),
        ("/boom", "GET"),
    ]:
        assert replaced(asyncio.run(ask(app, path, method=method)), method)


def test_starlette_own_detail() -> None:
    """A detail that the application wrote is its own answer."""
    from starlette.exceptions import HTTPException

    app = starlette_app(lambda status: HTTPException(status, "No such shift"))
    assert not replaced(asyncio.run(ask(app, "/fail/404")))


def test_starlette_debug_page() -> None:
    """The traceback page of debug mode is left alone."""
    app = starlette_app(Exception)
    app.debug = True
    sent = asyncio.run(ask(app, "/boom", HTML))
    assert sent[0] == 500
    assert not replaced(sent)


@pytest.mark.parametrize("status", STATUSES)
def test_fastapi(status: int) -> None:
    """FastAPI's JSON for any status, to an unknown path and to an exception are bare; own details are not."""
    from fastapi import FastAPI, HTTPException

    app = FastAPI()

    @app.get("/fail")
    async def fail() -> None:
        raise HTTPException(status)

    @app.get("/own")
    async def own() -> None:
        raise HTTPException(status, "No such shift")

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    assert all(replaced(asyncio.run(ask(app, path))) for path in ("/fail", "/nowhere", "/boom"))
    assert not replaced(asyncio.run(ask(app, "/own")))


@pytest.mark.parametrize("status", STATUSES)
def test_litestar(status: int) -> None:
    """Litestar's JSON is bare under each media type that a handler may declare; own details are not."""
    from litestar import Litestar, get
    from litestar.enums import MediaType
    from litestar.exceptions import HTTPException

    def failing(path: str, media_type: MediaType) -> Any:
        @get(path, media_type=media_type, sync_to_thread=False)
        def fail() -> str:
            raise HTTPException(status_code=status)

        return fail

    @get("/own", sync_to_thread=False)
    def own() -> str:
        raise HTTPException("No such shift", status_code=status)

    @get("/boom", sync_to_thread=False)
    def boom() -> str:
        raise ZeroDivisionError

    handlers = [failing(f"/{kind.name}", kind) for kind in (MediaType.JSON, MediaType.TEXT, MediaType.HTML)]

    async def run() -> list[Sent]:
        async with started(Litestar([*handlers, own, boom], logging_config=None)) as app:
            return [await ask(app, path) for path in ("/JSON", "/TEXT", "/HTML", "/boom", "/nowhere", "/own")]

    *bare, own_answer = asyncio.run(run())
    assert [replaced(sent) for sent in bare] == [True] * 5
    assert replaced(own_answer) is (status == 500)  # of a 500, Litestar itself hides the detail


@pytest.mark.parametrize("status", [404, 500, 501, 502, 503, 504, 505])
def test_quart(status: int) -> None:
    """The pages of Quart, which are Werkzeug's, are bare; with a description of the application's own they are not."""
    from quart import Quart, abort

    app = Quart(__name__)

    @app.get("/fail")
    async def fail() -> None:
        abort(status)

    @app.get("/own")
    async def own() -> None:
        abort(status, "No such shift")

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    assert all(replaced(asyncio.run(ask(app, path))) for path in ("/fail", "/nowhere", "/boom"))
    assert not replaced(asyncio.run(ask(app, "/own")))


@pytest.mark.parametrize("accept", ["*/*", "application/xml", "text/plain"])
@pytest.mark.parametrize("status", STATUSES)
def test_falcon(status: int, accept: str) -> None:
    """Falcon's JSON, XML and empty answers are bare, for HEAD (which has no body) too; own titles are not."""
    import falcon
    import falcon.asgi

    class Fail:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise falcon.HTTPError(status)

        on_head = on_get

    class Own:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise falcon.HTTPError(status, title="No such shift")

    class Boom:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise ZeroDivisionError

    app = falcon.asgi.App()
    app.add_route("/fail", Fail())
    app.add_route("/own", Own())
    app.add_route("/boom", Boom())
    assert all(replaced(asyncio.run(ask(app, path, accept))) for path in ("/fail", "/nowhere", "/boom"))
    assert replaced(asyncio.run(ask(app, "/fail", accept, "HEAD")), "HEAD")
    assert replaced(asyncio.run(ask(app, "/own", accept))) is (accept == "text/plain")  # there it is empty


@pytest.mark.parametrize("status", STATUSES)
def test_blacksheep(status: int) -> None:
    """BlackSheep's texts are bare; what a handler returns is not."""
    from blacksheep import Application, Content, Response
    from blacksheep.exceptions import HTTPException
    from blacksheep.server.routing import Router

    app = Application(router=Router())

    @app.router.get("/fail")
    async def fail() -> None:
        raise HTTPException(status)

    @app.router.get("/own")
    async def own() -> Response:
        return Response(status, content=Content(b"text/plain", b"No such shift"))

    @app.router.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    async def run() -> list[Sent]:
        await app.start()
        try:
            return [await ask(app, path) for path in ("/fail", "/nowhere", "/boom", "/own")]
        finally:
            await app.stop()

    *bare, own_answer = asyncio.run(run())
    assert [replaced(sent) for sent in bare] == [True] * 3
    assert not replaced(own_answer)


def test_aiohttp() -> None:
    """aiohttp's texts and its HTML for an exception are bare, read from its own server."""
    import httpx
    from aiohttp import web

    kinds = [kind for kind in vars(web).values() if isinstance(kind, type) and issubclass(kind, web.HTTPException)]
    failures = {kind.status_code: kind for kind in kinds if kind.status_code in STATUSES}

    async def fail(request: web.Request) -> web.Response:
        raise failures[int(request.match_info["status"])]

    async def boom(request: web.Request) -> web.Response:
        raise ZeroDivisionError

    async def run() -> list[Sent]:
        app = web.Application()
        app.add_routes([web.get("/fail/{status}", fail), web.get("/boom", boom)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found = []
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
                for path in ["/nowhere", "/boom", *(f"/fail/{status}" for status in failures)]:
                    for accept in ("*/*", HTML):
                        answer = await client.get(path, headers={"accept": accept, "accept-encoding": "identity"})
                        found.append((answer.status_code, answer.headers.raw, [answer.content]))
        finally:
            await runner.cleanup()
        return found

    answers = asyncio.run(run())
    assert {404, 500, 502, 503} <= {status for status, _, _ in answers}
    assert all(replaced(sent) for sent in answers)


DJANGO = """
import asyncio, json, sys
import django
from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseNotFound, JsonResponse
from django.urls import path

def boom(request): raise ZeroDivisionError
def missing(request): raise Http404("secret")
def own(request): return HttpResponseNotFound("<h1>No such shift</h1>")
def own_json(request): return JsonResponse({"detail": "No such shift"}, status=404)
def nothing(request): return HttpResponse(status=503)

urlpatterns = [path(name, view) for name, view in
    (("boom", boom), ("missing", missing), ("own", own), ("json", own_json), ("nothing", nothing))]
settings.configure(DEBUG=sys.argv[1] == "debug", ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SECRET_KEY="x",
    LOGGING_CONFIG=None, MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
django.setup()
from django.core.asgi import get_asgi_application
from tests.test_pages_bare import ask

app = get_asgi_application()
for name in ("nowhere", "missing", "boom", "nothing", "own", "json"):
    status, headers, parts = asyncio.run(ask(app, "/" + name, "text/html"))
    print(json.dumps([name, status, [(k.decode(), v.decode()) for k, v in headers], b"".join(parts).decode()]))
"""


@pytest.mark.parametrize("mode", ["debug", "production"])
def test_django(mode: str) -> None:
    """Django's two pages and an empty answer are bare; own answers and the technical pages of DEBUG are not."""
    done = subprocess.run([sys.executable, "-c", DJANGO, mode], capture_output=True, text=True, check=True, timeout=60)
    found = {}
    for line in done.stdout.splitlines():
        name, status, headers, body = json.loads(line)
        raw = [(key.encode(), value.encode()) for key, value in headers]
        found[name] = replaced((status, raw, [body.encode()]))
    pages = mode == "production"
    assert found == {
        "nowhere": pages,
        "missing": pages,
        "boom": pages,
        "nothing": True,
        "own": False,
        "json": False,
    }


TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 401, 403, 405, 410, 418, 422, 426, 429, 101])
def test_other_statuses_are_left_alone(status: int) -> None:
    """Only 404 and 5xx are ever replaced, even with an empty body and with pages="always"."""
    phrase = HTTPStatus(status).phrase.encode()
    for pages in (PAGES, ErrorPages(Settings(pages="always"))):
        assert not replaced((status, TEXT, [phrase]), pages=pages)
        assert not replaced((status, [], [b""]), pages=pages)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (TEXT, b"Not Found\n"),
        (TEXT, b"not found"),
        (TEXT, b"Not Foun"),
        ([(b"content-type", b"text/html")], b"Not Found"),
        ([(b"content-type", b"text/plain; charset=utf-16")], b"Not Found"),
        ([], b"Not Found"),
        ([*TEXT, (b"content-encoding", b"gzip")], b"Not Found"),
        ([*TEXT, (b"content-length", b"10")], b"Not Found"),
        ([*TEXT, (b"content-length", b"-9")], b"Not Found"),
        ([*TEXT, (b"content-length", "9²".encode())], b"Not Found"),
        ([*TEXT, (b"trailer", b"Server-Timing")], b"Not Found"),
        ([(b"content-type", b"text/event-stream")], b""),
        ([(b"content-type", b"application/json")], b'{"detail": "Not Found"}'),
        ([(b"content-type", b"application/problem+json")], b'{"title":"Not Found"}'),
        ([(b"content-type", b"application/octet-stream")], b"\x00\xff"),
    ],
)
def test_nearly_bare_is_not_bare(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """An answer that differs from a default in its body, type, length or encoding is the application's own."""
    assert not replaced((404, headers, [body]))


def test_a_stream_is_let_go_at_once() -> None:
    """A streamed answer is held only as long as it may still become bare, not until it is complete."""
    assert not PAGES.may_replace(404, TEXT, method="CONNECT")
    assert PAGES.may_replace(404, TEXT, beginning=b"Not F")
    assert not PAGES.may_replace(404, TEXT, beginning=b"Not F00")
    assert not PAGES.may_replace(404, [(b"content-length", b"5000")])


def test_empty_answer_to_head() -> None:
    """An answer to HEAD without a body is bare by its length, not because it has no body."""
    own_page = [(b"content-type", b"text/html"), (b"content-length", b"5000")]
    streamed_page = [(b"content-type", b"text/html")]
    assert not replaced((404, own_page, [b""]), "HEAD")
    assert not replaced((404, streamed_page, [b""]), "HEAD")
    assert replaced((404, [*TEXT, (b"content-length", b"9")], [b""]), "HEAD")
    assert replaced((404, [(b"content-length", b"0")], [b""]), "HEAD")
    assert replaced((404, [], [b""]), "HEAD")


def test_a_status_without_a_phrase() -> None:
    """An empty answer with a 5xx of somebody's own invention is bare; one with a text is not."""
    assert replaced((520, [], [b""]))
    assert not replaced((520, TEXT, [b"Server Error"]))


def test_always_and_never() -> None:
    """pages="always" replaces an application's own page, but no stream; "never" replaces nothing."""
    own = (404, [(b"content-type", b"text/html")], [b"<h1>No such shift</h1>"])
    stream = (500, [(b"Content-Type", b"text/event-stream")], [b"data: 1\n\n"])
    always, never = ErrorPages(Settings(pages="always")), ErrorPages(Settings(pages="never"))
    assert replaced(own, pages=always)
    assert not replaced(stream, pages=always)
    assert not replaced((404, TEXT, [b"Not Found"]), pages=never)
    assert not never.is_bare(404, TEXT, b"Not Found")
