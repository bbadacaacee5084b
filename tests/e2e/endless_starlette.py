"""The Starlette example with `/endless/` and `/cut/`; `app` is the same without the middleware."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from examples.starlette.asgi import app, application
from tests.e2e.endless import cut, lines

__all__ = ["app", "application"]


async def endless(request: Request) -> StreamingResponse:
    """A stream that the visitor leaves."""
    return StreamingResponse(lines(), media_type="text/plain")


async def counted(request: Request) -> PlainTextResponse:
    """How many streams were cut."""
    return PlainTextResponse(str(cut()))


app.routes.extend([Route("/endless/", endless), Route("/cut/", counted)])
