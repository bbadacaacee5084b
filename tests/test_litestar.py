"""What Litestar answers itself is an event, also where the SDK was initialised after the application had been made."""

from collections.abc import Callable
from typing import Any

import litestar
import pytest
from litestar.exceptions import HTTPException, NotFoundException
from sentry_sdk.integrations.litestar import LitestarIntegration

from asgi_rota_sentry import RotaSentryMiddleware, counters
from tests.conftest import Get, MemoryTransport
from tests.wire import Wire, http, websocket

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

Sentry = Callable[..., MemoryTransport]


class OwnError(Exception):
    """One that the application has an answer of its own for."""


RAISED = {
    "fails": ValueError("broken"),
    "unavailable": HTTPException("Come back", status_code=503),
    "absent": NotFoundException(),
    "own": OwnError("of the rota"),
}


def make() -> Any:
    """An application that fails in each of these ways."""

    @litestar.get("/{way:str}")
    async def view(request: litestar.Request[Any, Any, Any]) -> litestar.Response[str]:
        way = request.path_params["way"]
        if way in RAISED:
            raise RAISED[way]
        return litestar.Response(way, status_code=503)

    @litestar.websocket("/{way:str}")
    async def socket(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        way = socket.path_params["way"]
        if way == "fails":
            await socket.accept()
        raise RAISED[way]

    def answer(_: Any, exc: OwnError) -> litestar.Response[str]:
        return litestar.Response("Our fault", status_code=500)

    return litestar.Litestar([view, socket], exception_handlers={OwnError: answer}, logging_config=None)


@pytest.fixture(params=[True, False], ids=["made after", "made before"])
def start(request: pytest.FixtureRequest, sentry: Sentry) -> Callable[..., tuple[Any, MemoryTransport]]:
    """The SDK with its integration, and the wrapped application that was made after or before that."""

    def start(*, status_codes: Any = range(500, 600), **settings: Any) -> tuple[Any, MemoryTransport]:
        integration = LitestarIntegration(failed_request_status_codes=status_codes)
        app = None if request.param else make()
        server = sentry({"integrations": [integration]}, **settings)
        return RotaSentryMiddleware(app or make()), server

    return start


@pytest.mark.parametrize("pages", ["bare", "never"])
async def test_an_unhandled_exception_is_one_event(start: Any, fetch: Get, pages: str) -> None:
    """Each time that it is raised; the page has the event's ID, and the span has failed."""
    app, server = start(pages=pages, traces_sample_rate=1.0)
    for _ in range(2):
        server.envelopes.clear()
        before = counters.counts().get("errors", 0)
        answer = await fetch(app, "/fails")
        (event,) = server.events
        assert event["exception"]["values"][-1]["type"] == "ValueError"
        assert event["exception"]["values"][-1]["mechanism"]["handled"] is False
        assert (answer.status_code, event["transaction"]) == (500, "/{way}")
        assert answer.headers.get("x-sentry-event-id") == (event["event_id"] if pages == "bare" else None)
        assert counters.counts()["errors"] == before + 1


async def test_so_is_one_that_has_an_answer_of_the_application_s_own(start: Any, fetch: Get) -> None:
    """As the SDK has it: what is answered below 500, and an answer without an exception, is none."""
    app, server = start()
    statuses = [(await fetch(app, f"/{way}")).status_code for way in ("own", "unavailable", "absent", "returned")]
    assert statuses == [500, 503, 404, 503]
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["OwnError", "HTTPException"]


async def test_the_statuses_that_the_integration_was_told_count(start: Any, fetch: Get) -> None:
    """An exception that stands for another answer is no event; one that is no answer always is."""
    app, server = start(status_codes={500})
    for way in ("unavailable", "fails"):
        await fetch(app, f"/{way}")
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["ValueError"]


@pytest.mark.parametrize("way", ["fails", "own"], ids=["accepted", "refused"])
async def test_a_websocket_that_fails_is_one_event(start: Any, way: str) -> None:
    """Litestar closes it with a code of its own."""
    app, server = start()
    wire = Wire([{"type": "websocket.connect"}])
    await app(websocket(path=f"/{way}"), wire.receive, wire.send)
    assert wire.sent[-1] == {"type": "websocket.close", "code": 4500, "reason": "Internal Server Error"}
    assert len(server.events) == 1


async def test_an_exception_around_the_request_is_none_of_its_own(start: Any) -> None:
    """Whoever calls the application may be handling one."""
    app, server = start()

    try:
        raise LookupError("before")
    except LookupError:
        await app(http(path="/returned"), Wire([{"type": "http.request"}]).receive, Wire().send)
    assert server.events == []
