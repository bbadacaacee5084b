"""Django, wrapped, with views that fail in each way it has; prints what each made. Run by `test_exactly_once.py`."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import Context, Template
from django.urls import path

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from tests.conftest import MemoryTransport, is_cancelled
from tests.wire import Wire, http


def sync_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(int("abc"))


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(int("abc"))


def logging_view(request: HttpRequest) -> HttpResponse:
    try:
        int("abc")
    except ValueError:
        logging.getLogger("rota").exception("It failed")
        raise
    return HttpResponse()


async def group_view(request: HttpRequest) -> HttpResponse:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(async_view(request))
    return HttpResponse()


def template_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Template("{{ fails }}").render(Context({"fails": lambda: int("abc")})))


async def stream_view(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> Any:
        yield "one"
        yield str(int("abc"))

    return StreamingHttpResponse(lines())


async def slow_view(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(30)
    return HttpResponse("nobody waits for it")


async def endless_view(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> Any:
        while True:
            yield "one"
            await asyncio.sleep(0.01)

    return StreamingHttpResponse(lines())


def fine_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


def failing_middleware(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path == "/fine_view":
            int("abc")
        return get_response(request)

    return middleware


VIEWS = (sync_view, async_view, logging_view, group_view, template_view, stream_view, fine_view)
LEFT = (slow_view, endless_view)
urlpatterns = [path(view.__name__, view) for view in (*VIEWS, *LEFT)]


async def main() -> None:
    """Ask for each view once."""
    transport = MemoryTransport()
    options = {"trace_lifecycle": "stream"} if sys.argv[1] == "stream" else {}
    own = Settings(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, slow_request_seconds=60)
    init(own, transport=transport, **options)
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only for this test",
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[f"{__name__}.failing_middleware"],
        LOGGING_CONFIG=None,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    django.setup(set_prefix=False)
    logging.getLogger("django.request").addHandler(logging.NullHandler())
    logging.getLogger("rota").addHandler(logging.NullHandler())
    app = RotaSentryMiddleware(get_asgi_application())
    for view in VIEWS:
        transport.envelopes.clear()
        wire = Wire([{"type": "http.request"}])
        try:
            await app(http(path=f"/{view.__name__}"), wire.receive, wire.send)
        except ValueError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        events, spans = transport.events, transport.spans
        shown = [dict(message["headers"]).get(b"x-sentry-event-id") for message in wire.sent if "status" in message]
        # A stream has begun with its 200 before it fails.
        shown = [event["event_id"].encode() for event in events] if view is stream_view else shown
        is_shown = shown == [event["event_id"].encode() for event in events]
        found = f"{len(events)} event, {len(spans)} span, {'ID on the page' if is_shown else shown}"
        print(f"{view.__name__}: {found}")
    for view in LEFT:
        transport.envelopes.clear()
        wire = Wire([{"type": "http.request"}, {"type": "http.disconnect"}])
        await app(http(path=f"/{view.__name__}"), wire.receive, wire.send)
        found = [is_cancelled(span) for span in transport.spans]
        print(f"{view.__name__}: {len(transport.events)} events, cancelled {found}")


logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
asyncio.run(main())
