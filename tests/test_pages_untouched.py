"""An application's own answers pass the middleware message for message, byte for byte."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message

from asgi_rota_sentry import RotaSentryMiddleware, Settings

OWN_PAGE = "<!doctype html><title>No such shift</title><h1>No such shift</h1>" + "<p>Look in another week.</p>" * 20
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
Exchange = tuple[list[Message], str | None]


async def drops() -> AsyncIterator[bytes]:
    for part in (b"Not ", b"Found", b" here"):
        yield part


async def events() -> AsyncIterator[bytes]:
    yield b"data: 1\n\n"


async def breaks() -> AsyncIterator[bytes]:
    yield b"Internal"
    raise ZeroDivisionError


async def large() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"x" * 4096


OWN: dict[str, Callable[[], Response]] = {
    "html": lambda: HTMLResponse(OWN_PAGE, 404),
    "html-500": lambda: HTMLResponse(OWN_PAGE, 500, {"set-cookie": "a=1"}),
    "json": lambda: JSONResponse({"detail": "No such shift"}, 404),
    "json-503": lambda: JSONResponse({"error": {"code": 7}}, 503, {"retry-after": "30"}),
    "problem": lambda: JSONResponse({"title": "Not Found"}, 404, media_type="application/problem+json"),
    "text": lambda: PlainTextResponse("No such shift", 404),
    "text-like": lambda: PlainTextResponse("Not Found.", 404),
    "bytes": lambda: Response(bytes(range(256)), 500, media_type="application/octet-stream"),
    "zipped": lambda: Response(gzip.compress(b"Not Found", mtime=0), 404, {"content-encoding": "gzip"}, "text/plain"),
    "file": lambda: FileResponse(Path(__file__), 404),
    "stream": lambda: StreamingResponse(drops(), 404, media_type="text/plain"),
    "stream-large": lambda: StreamingResponse(large(), 500, media_type="text/plain"),
    "stream-breaks": lambda: StreamingResponse(breaks(), 500, media_type="text/plain"),
    "stream-events": lambda: StreamingResponse(events(), 500, media_type="text/event-stream"),
    "forbidden": lambda: PlainTextResponse("Forbidden", 403),
    "gone": lambda: Response(b"", 410),
    "unauthorised": lambda: PlainTextResponse("Unauthorized", 401, {"www-authenticate": "Basic"}),
    "not-modified": lambda: Response(status_code=304, headers={"etag": '"1"'}),
    "no-content": lambda: Response(status_code=204),
    "missing-word-in-200": lambda: PlainTextResponse("Not Found", 200),
}


def application(**options: Any) -> Starlette:
    async def own(request: Request) -> Response:
        return OWN[request.path_params["name"]]()

    return Starlette(routes=[Route("/{name}", own, methods=["GET", "POST"])], **options)


def exchange(app: Any, path: str, method: str) -> Exchange:
    """What the app sends, message by message, and what it raises."""
    seen: list[Message] = []

    async def run() -> str | None:
        asked = asyncio.Event()

        async def receive() -> Message:
            if asked.is_set():
                await asyncio.sleep(10)
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            seen.append(dict(message))

        headers = [(b"host", b"rota.example"), (b"accept", BROWSER.encode()), (b"accept-encoding", b"gzip")]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        try:
            await app(scope, receive, send)
        except Exception as fault:
            return repr(fault)
        return None

    raised = asyncio.run(run())
    return seen, raised


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("name", OWN)
def test_own_answers(name: str, method: str) -> None:
    """Wrapped and bare send the same messages and raise the same."""
    bare = exchange(application(), f"/{name}", method)
    assert exchange(RotaSentryMiddleware(application(), Settings()), f"/{name}", method) == bare
    assert bare[0][0]["type"] == "http.response.start"


@pytest.mark.parametrize("name", ["html", "html-500", "json", "text", "file"])
def test_own_answers_compressed(name: str) -> None:
    """So they do under a middleware that compresses."""
    zipping = {"middleware": [Middleware(GZipMiddleware, minimum_size=1)]}
    bare = exchange(application(**zipping), f"/{name}", "GET")
    assert exchange(RotaSentryMiddleware(application(**zipping), Settings()), f"/{name}", "GET") == bare


@pytest.mark.parametrize("name", OWN)
def test_never(name: str) -> None:
    """With pages="never" nothing is replaced, a framework's own answers included."""
    never = Settings(pages="never")
    for path in (f"/{name}", "/no/such/page"):
        wrapped = RotaSentryMiddleware(application(), never)
        assert exchange(wrapped, path, "GET") == exchange(application(), path, "GET")


def test_a_handler_of_the_application() -> None:
    """A page that the application's own exception handlers make is its own, whether it fails or is missing."""

    async def missing(request: Request, exc: Exception) -> Response:
        return HTMLResponse(OWN_PAGE, 404)

    async def broken(request: Request, exc: Exception) -> Response:
        return HTMLResponse(OWN_PAGE, 500)

    async def boom(request: Request) -> Response:
        raise ZeroDivisionError

    def app() -> Starlette:
        return Starlette(routes=[Route("/boom", boom)], exception_handlers={404: missing, 500: broken})

    for path in ("/boom", "/nowhere"):
        assert exchange(RotaSentryMiddleware(app(), Settings()), path, "GET") == exchange(app(), path, "GET")
