"""What nobody expects in the SDK's scopes, or in the ASGI scope: an application puts it there, and nothing is lost."""

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.metering import METERINGS
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
NAME = "Ada Lovelace-King"


class Unwritable:
    """What has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def _set(key: str, value: Any) -> Callable[[Any], None]:
    def put(scope: Any) -> None:
        scope[key] = value

    return put


ODD: dict[str, Callable[[Any], None]] = {
    "a user that is a text": lambda _: sentry_sdk.set_user("ada"),  # type: ignore[arg-type]
    "a user that is a list": lambda _: sentry_sdk.set_user([["id", 7, 8]]),  # type: ignore[arg-type]
    "an address that is a mapping": lambda _: sentry_sdk.set_user({"id": "7", "ip_address": {}}),
    "a name that is a list": lambda _: sentry_sdk.get_current_scope().set_transaction_name(["x"], "custom"),  # type: ignore[arg-type]
    "a name that is an ID": lambda _: sentry_sdk.get_current_scope().set_transaction_name(uuid.UUID(int=4)),  # type: ignore[arg-type]
    "a prefix that is a date": _set("root_path", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
    "a path that is none": _set("path", None),
    "a route that is a number": _set("route", 7),
    "a session that is a text": _set("session", "s"),
}
# What no SDK sends as a streamed span: it asks the user for its keys, and writes the name into the envelope's head.
NOT_STREAMED = {"a user that is a text", "a user that is a list", "a name that is a list", "a name that is an ID"}


@pytest.mark.parametrize("odd", ODD)
async def test_what_is_odd_costs_nothing(
    sentry: Sentry, lifecycle: str, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One event with the story, one span, the counts; and nothing that would be a fault of ours."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ODD[odd](scope)
        raise ValueError("no")

    await Wire().run(RotaSentryMiddleware(app), http(path="/shifts/"))
    METERINGS.settle()
    assert "A fault" not in caplog.text
    if lifecycle == "static" or odd not in NOT_STREAMED:
        assert len(server.spans) == 1
        (event,) = server.events
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
        assert crumbs[0].startswith("GET ")
        assert crumbs[-1] == "ValueError: no"


async def test_a_request_that_cannot_be_described_has_a_span_all_the_same(
    sentry: Sentry, caplog: pytest.LogCaptureFixture
) -> None:
    """Under a name that tells nothing, for what must not leave may stand in its own."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_user({"id": Unwritable()})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await Wire().run(RotaSentryMiddleware(app), http(path=f"/people/{NAME}/"))
    assert [span["name"] for span in server.spans] == ["(unknown)"]
    assert caplog.text.count("A fault while describing a request") == 1


@pytest.mark.parametrize("part", ["contexts", "request", "tags", "breadcrumbs", "extra", "exception"])
async def test_a_name_stays_withheld_whatever_became_of_the_event(sentry: Sentry, part: str) -> None:
    """An event processor of the application's may put anything into it."""
    server = sentry(send_default_pii=False)

    class Odd:
        def __init__(self) -> None:
            self.name = NAME

        def __repr__(self) -> str:
            return f"<{self.name}>"

    def replace(event: Any, hint: Any) -> Any:
        event[part] = {"values": [Odd(), NAME, {"stacktrace": NAME, "message": NAME}]} if part != "contexts" else [NAME]
        return event

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = {"id": "7", "username": NAME}
        sentry_sdk.get_isolation_scope().add_event_processor(replace)
        raise ValueError("no")

    await Wire().run(RotaSentryMiddleware(app), http(path=f"/people/{NAME}/"))
    told = json.dumps([item.payload.json for envelope in server.envelopes for item in envelope.items])
    assert "ValueError" in told or part == "exception"
    assert NAME not in told


@pytest.mark.parametrize("part", ["breadcrumbs", "contexts", "exception", "extra", "request", "tags", "user"])
async def test_an_event_processor_that_comes_after_ours_may_add_anything(sentry: Sentry, part: str) -> None:
    """As it may where the SDK's own middleware is around the application: what is no plain data becomes text."""
    server = sentry()
    odd = {"when": datetime.datetime.now(datetime.UTC), "who": uuid.uuid4(), "what": object(), "raw": b"raw"}

    def add(event: Any, hint: Any) -> Any:
        if part == "breadcrumbs":
            event["breadcrumbs"]["values"].append({"timestamp": odd["when"], "message": "added", "data": odd})
        elif part == "exception":
            event["exception"]["values"][0]["mechanism"]["data"] = odd
        else:
            event.setdefault(part, {})["odd"] = odd
        return event

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.get_current_scope().add_event_processor(add)
        raise ValueError("no")

    await Wire().run(RotaSentryMiddleware(app), http(path="/shifts/"))
    (event,) = server.events
    assert str(odd["who"]) in json.dumps(event[part])
