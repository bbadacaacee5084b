"""What is told of a request in Sentry's attributes, beside what the SDK's own ASGI middleware tells; what is collected.

Whatever the option `data_collection` forbids is in no event and no span.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import pytest
import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from asgi_rota_sentry.sdk.layer import layer
from tests.conftest import MemoryTransport
from tests.wire import http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
_TOLD = ("http.request.", "http.query", "http.response.", "url.", "client.", "user_agent.", "user.", "sentry.is_")
_QUOTED = ("http.query", "url.full")

HEADERS = [
    (b"host", b"rota.example:8443"),
    (b"user-agent", b"Browser/1.0"),
    (b"accept", b"text/html"),
    (b"accept", b"text/plain"),
    (b"x-team", b"north"),
    (b"cookie", b"theme=dark; sidebar=wide"),
]
REQUESTS: dict[str, dict[str, Any]] = {
    "a page": {},
    "a query": {"query_string": b"week=2026-03&view=team&name=J%20D"},
    "below a mount": {"root_path": "/rota", "path": "/shifts/"},
    "this machine": {"client": ("127.0.0.1", 5000)},
    "this machine's name": {"headers": [(b"host", b"rota.localhost:8000")]},
    "this machine's address": {"headers": [(b"host", b"[::1]:8000")], "client": ("::1", 5000)},
    "no headers": {"headers": []},
    "no client": {"client": None},
}
TERMS = {"mode": "allowlist", "terms": ["week", "team", "theme", "accept"]}
COLLECTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "personal data": {"send_default_pii": True} if HAS_TRANSACTIONS else {"data_collection": {"user_info": True}},
    "some": {
        "data_collection": {
            "user_info": False,
            "http_headers": {"request": TERMS},
            "url_query_params": TERMS,
            "cookies": TERMS,
        }
    },
    "none": {
        "data_collection": {
            "user_info": True,
            "http_headers": {"request": {"mode": "off"}},
            "url_query_params": {"mode": "off"},
            "cookies": {"mode": "off"},
            "http_bodies": [],
        }
    },
}


def scope_of(**fields: Any) -> dict[str, Any]:
    given = {"path": "/shifts/", "headers": HEADERS, "scheme": "https", "server": ("10.0.0.5", 8000)}
    return dict(http(**{"client": ("198.51.100.7", 4000), **given, **fields}))


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    with sentry_sdk.traces.start_span(name="query") if _streams() else sentry_sdk.start_span(name="query"):
        if scope["path"] == "/fails/":
            sentry_sdk.capture_message("noted")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def _streams() -> bool:
    return not HAS_TRANSACTIONS or sentry_sdk.get_client().options.get("trace_lifecycle") == "stream"


async def call(wrapped: Any, scope: dict[str, Any], body: bytes = b"") -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        """Take it."""

    await wrapped(scope, receive, send)


def attributes_of(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes by name; a list of one as that one, for the scrubber replaces it as a whole; URLs unquoted."""
    values = {name: attribute["value"] for name, attribute in span["attributes"].items() if name.startswith(_TOLD)}
    found = {name: value[0] if isinstance(value, list) else value for name, value in values.items()}
    return {name: unquote_plus(value) if name in _QUOTED else value for name, value in found.items()}


def spans_of(server: MemoryTransport) -> list[dict[str, Any]]:
    return [span for batch in server.items("span") for span in batch["items"]]


@pytest.mark.parametrize("lifecycle", ["stream"])
@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("request_of", REQUESTS)
async def test_a_streamed_span_tells_what_the_sdks_own_tells(sentry: Sentry, request_of: str, collection: str) -> None:
    """The same attributes with the same values."""
    theirs = sentry(COLLECTIONS[collection])
    await call(SentryAsgiMiddleware(app), scope_of(**REQUESTS[request_of]))
    wanted = next(attributes_of(span) for span in spans_of(theirs) if span["is_segment"])
    ours = sentry(COLLECTIONS[collection])
    await call(RotaSentryMiddleware(app), scope_of(**REQUESTS[request_of]))
    found = next(attributes_of(span) for span in spans_of(ours) if span["is_segment"])
    assert {name: found.get(name) for name in wanted} == wanted
    assert set(found) - set(wanted) <= {"user.role", "user.id"}


@pytest.mark.parametrize("lifecycle", ["stream"])
async def test_every_streamed_span_knows_the_browser_and_whether_it_was_local(sentry: Sentry) -> None:
    """Also those that the application itself begins."""
    server = sentry()
    await call(RotaSentryMiddleware(app), scope_of())
    child = next(attributes_of(span) for span in spans_of(server) if not span["is_segment"])
    assert child == {"sentry.is_localhost": False, "user_agent.original": "Browser/1.0"}


@pytest.mark.skipif(not HAS_TRANSACTIONS, reason="3.x has no transactions; the same promise is tested above")
@pytest.mark.parametrize("lifecycle", ["static"])
async def test_a_transaction_tells_the_type_of_its_scope(sentry: Sentry) -> None:
    """The tag `asgi.type`, as the SDK's own."""
    server = sentry()
    await call(RotaSentryMiddleware(app), scope_of())
    assert server.spans[0]["tags"]["asgi.type"] == "http"


async def test_what_may_not_be_collected_is_in_nothing_that_leaves(sentry: Sentry) -> None:
    """Headers, cookies, parameters and the body, of an event and of the request's span."""
    server = sentry(COLLECTIONS["none"])
    await call(
        RotaSentryMiddleware(app),
        scope_of(
            path="/fails/",
            query_string=b"week=2026-03",
            method="POST",
            headers=[*HEADERS, (b"content-length", b"9"), (b"content-type", b"text/plain")],
        ),
        b"body text",
    )
    event = server.events[0]
    assert event["request"]["url"].endswith("/fails/")
    assert (event["request"]["headers"], event["request"]["cookies"]) == ({}, {})
    # A stack's variables are what `stack_frame_variables` is about.
    sent = json.dumps([{**event, "threads": None}, server.spans[0]["payload"]])
    assert [told for told in ("2026-03", "north", "text/html", "wide", "body text") if told in sent] == []


async def test_what_is_not_on_the_list_is_replaced(sentry: Sentry) -> None:
    """The names stay, and the values of those that are on it."""
    server = sentry({"data_collection": {**COLLECTIONS["some"]["data_collection"], "user_info": True}})
    await call(RotaSentryMiddleware(app), scope_of(path="/fails/", query_string=b"week=3&ward=a%20b&odd"))
    told = server.events[0]["request"]
    assert told["query_string"] == "week=3&ward=[Filtered]&odd=[Filtered]"
    assert told["cookies"] == {"theme": "dark", "sidebar": "[Filtered]"}
    assert told["headers"]["accept"] == "text/html, text/plain"
    assert {told["headers"][name] for name in ("host", "user-agent", "cookie")} == {"[Filtered]"}
    assert told["headers"]["x-team"] == "north"


async def app_without_a_layer(scope: Any, receive: Any, send: Any) -> None:
    """Answers in its request's scopes, as from a thread, where nothing tells whose they are."""
    token = layer.set(False)
    await app(scope, receive, send)
    layer.reset(token)


@pytest.mark.parametrize("answers", [app, app_without_a_layer])
@pytest.mark.parametrize("hooks", ["ours", "none"])
@pytest.mark.parametrize("lifecycle", ["stream"])
async def test_a_streamed_span_withholds_the_name_of_who_asked(sentry: Sentry, hooks: str, answers: Any) -> None:
    """No hook is told whose span it is; where there is one of ours, the layer tells, else it is taken out before."""
    server = sentry()
    if hooks == "none":
        options = {"trace_lifecycle": "stream"} if HAS_TRANSACTIONS else {"data_collection": {"user_info": False}}
        sentry_sdk.init(transport=server, traces_sample_rate=1.0, **options)
    scope = scope_of(path="/people/ada@example.com/", query_string=b"to=ada%40example.com")
    scope["user"] = {"id": "7", "email": "ada@example.com"}
    await call(RotaSentryMiddleware(answers), scope)
    sent = json.dumps([span for span in spans_of(server) if span["is_segment"]])
    assert [told for told in ("ada@", "ada%40") if told in sent] == []


@pytest.mark.parametrize("lifecycle", ["stream"])
async def test_a_secret_in_a_header_of_a_streamed_span_goes_each_time(sentry: Sentry) -> None:
    """By the header's name or by its value; what was found clean once is not looked at again, what was not is."""
    server = sentry()
    secret = [(b"authorization", b"Basic c2VjcmV0OnNlY3JldA=="), (b"x-note", b"password=hunter2hunter2")]
    for _ in range(3):
        await call(RotaSentryMiddleware(app), scope_of(headers=[*HEADERS, *secret]))
    segments = [span for span in spans_of(server) if span["is_segment"]]
    assert [attributes_of(span)["http.request.header.x-team"] for span in segments] == ["north"] * 3
    sent = json.dumps(segments)
    assert [told for told in ("hunter2", "c2VjcmV0", "wide") if told in sent] == []
