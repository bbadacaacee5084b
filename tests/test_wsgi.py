"""A WSGI application in an adapter is a part of the request: the SDK's WSGI layer makes nothing of its own of it."""

from collections.abc import Callable, Iterable
from typing import Any

import flask
import pytest
import sentry_sdk
from asgiref.wsgi import WsgiToAsgi
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.routing import Mount

from asgi_rota_sentry import RotaSentryMiddleware, counters
from tests.conftest import Get, MemoryTransport

# asgiref's adapter runs on asyncio only.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

Sentry = Callable[..., MemoryTransport]


def make() -> flask.Flask:
    """A Flask application with a view that answers, one that tells the trace, and one that fails."""
    app = flask.Flask("rota")

    @app.get("/shifts/<int:shift>")
    def shift(shift: int) -> str:
        sentry_sdk.set_tag("shift", shift)
        return str(shift)

    @app.get("/trace")
    def trace() -> str:
        return sentry_sdk.get_traceparent() or ""

    @app.get("/fails/<way>")
    def fails(way: str) -> str:
        raise ValueError(way)

    return app


def signed_in(app: Any) -> Any:
    """The application with a user in its scope."""

    async def around(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = SimpleUser("ada")
        await app(scope, receive, send)

    return around


@pytest.fixture(params=["", "/v1"], ids=["alone", "mounted"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Where the Flask application is mounted."""
    return str(request.param)


@pytest.fixture
def app(prefix: str) -> RotaSentryMiddleware:
    """The Flask application as an ASGI one, wrapped."""
    inner = WsgiToAsgi(make())
    return RotaSentryMiddleware(Starlette(routes=[Mount(prefix, inner)]) if prefix else inner)


def start(sentry: Sentry, **settings: Any) -> MemoryTransport:
    """The SDK with its integration for Flask."""
    return sentry({"integrations": [FlaskIntegration()]}, **settings)


async def test_a_request_has_one_span(sentry: Sentry, fetch: Get, app: Any, prefix: str) -> None:
    """It is named by Flask's route with the mount prefix, and what the view tells others is of its trace."""
    server = start(sentry)
    await fetch(app, f"{prefix}/shifts/7")
    asked = (await fetch(app, f"{prefix}/trace", headers={"sentry-trace": f"{'a' * 32}-{'b' * 16}-1"})).text
    await fetch(app, f"{prefix}/nothing")
    first, second, third = server.spans
    assert (first["name"], first["source"]) == (f"{prefix}/shifts/{{shift}}", "route")
    assert (second["name"], second["trace_id"], asked[:33]) == (f"{prefix}/trace", "a" * 32, f"{'a' * 32}-")
    assert third["name"] == "GET 404"
    assert first["trace_id"] != third["trace_id"]


async def test_an_error_is_one_event_of_the_request(sentry: Sentry, fetch: Get, app: Any, prefix: str) -> None:
    """With its user, its name and its trace; and with nothing that another request has set."""
    server = start(sentry, send_default_pii=True)
    await fetch(signed_in(app), f"{prefix}/shifts/7")
    answer = await fetch(signed_in(app), f"{prefix}/fails/badly")
    (event,) = server.events
    assert event["exception"]["values"][-1]["value"] == "badly"
    assert event["exception"]["values"][-1]["mechanism"]["handled"] is False
    assert (answer.status_code, answer.headers["x-sentry-event-id"]) == (500, event["event_id"])
    assert event["user"]["username"] == "ada"
    assert event["transaction"] == f"{prefix}/fails/{{way}}"
    assert event["contexts"]["trace"]["trace_id"] == server.spans[-1]["trace_id"]
    assert "shift" not in event.get("tags", {})
    assert server.spans[-1]["failed"]


async def test_a_session_is_counted_once(sentry: Sentry, fetch: Get, app: Any, prefix: str) -> None:
    """The layer of the SDK's would count a second one."""
    server = start(sentry)
    for _ in range(3):
        await fetch(app, f"{prefix}/shifts/7")
    sentry_sdk.flush()
    counted = server.items("sessions")
    assert sum(each.get("exited", 0) for batch in counted for each in batch["aggregates"]) == 3


async def test_an_excluded_path_has_no_span(sentry: Sentry, fetch: Get, app: Any, prefix: str) -> None:
    """Nor one of the SDK's layer; its errors are told."""
    server = start(sentry, exclude_paths=["/*"])
    await fetch(RotaSentryMiddleware(app.app), f"{prefix}/shifts/7")
    await fetch(RotaSentryMiddleware(app.app), f"{prefix}/fails/badly")
    assert server.spans == []
    assert [event["exception"]["values"][-1]["value"] for event in server.events] == ["badly"]


@pytest.mark.parametrize("is_early", [True, False], ids=["when called", "when read"])
async def test_what_the_application_raises_is_one_event(sentry: Sentry, fetch: Get, is_early: bool) -> None:
    """Where no framework answers it, the adapter raises it to us."""
    server = sentry()

    def parts() -> Iterable[bytes]:
        raise ValueError("broken")
        yield b""

    def fails(environ: Any, start_response: Any) -> Iterable[bytes]:
        if is_early:
            raise ValueError("broken")
        start_response("200 OK", [])
        return parts()

    before = counters.counts().get("errors", 0)
    await fetch(RotaSentryMiddleware(WsgiToAsgi(SentryWsgiMiddleware(fails))), "/")
    (event,) = server.events
    assert event["exception"]["values"][-1]["mechanism"]["handled"] is False
    assert [span["failed"] for span in server.spans] == [True]
    assert counters.counts()["errors"] == before + 1


async def test_without_a_request_of_ours_the_layer_is_as_it_was(sentry: Sentry) -> None:
    """A WSGI server has its transactions."""
    server = start(sentry)
    assert make().test_client().get("/shifts/7").text == "7"
    assert [span["name"] for span in server.spans] in (["shift"], ["/shifts/<int:shift>"])  # of 2.x and of 3.x
