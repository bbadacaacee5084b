"""Where a request's time went: by kind, each moment once, and the query that was made again and again."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import sentry_sdk
from django.core.cache import caches
from hypothesis import given, settings
from hypothesis import strategies as st
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware, breakdown
from asgi_rota_sentry.breakdown import Child
from asgi_rota_sentry.sdk import children
from asgi_rota_sentry.statements import parametrised
from tests.conftest import Get, MemoryTransport
from tests.django_site import site

Sentry = Callable[..., MemoryTransport]


def told(server: MemoryTransport) -> tuple[dict[str, Any], bool]:
    """The breakdown of the one request, and whether it has the tag; in one form for both lifecycles."""
    (span,) = server.spans
    payload = span["payload"]
    if "attributes" not in payload:
        return payload["contexts"]["breakdown"], payload.get("tags", {}).get("n_plus_one") == "true"
    values = {name: attribute["value"] for name, attribute in payload["attributes"].items()}
    found = {name.removeprefix("breakdown."): value for name, value in values.items() if name.startswith("breakdown.")}
    return found, values.get("n_plus_one") == "true"


def seconds(server: MemoryTransport) -> float:
    """How long the request's span lasted."""
    payload = server.spans[0]["payload"]
    begun, ended = payload["start_timestamp"], payload.get("end_timestamp") or payload.get("timestamp")
    if isinstance(begun, str):
        from datetime import datetime

        return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()
    return float(ended - begun)


def start(op: str, name: str) -> Any:
    if sentry_sdk.get_client().options.get("trace_lifecycle") == "stream" or not hasattr(
        sentry_sdk, "start_transaction"
    ):
        return sentry_sdk.traces.start_span(name=name, attributes={"sentry.op": op})
    return sentry_sdk.start_span(op=op, name=name)


def of(*spans: tuple[str, float, float, str, str]) -> dict[str, float]:
    """Milliseconds of a request of ten seconds: (op, start, end, ID, parent)."""
    found = breakdown.of([Child(op, "SELECT 1", *times, own, above) for op, *times, own, above in spans], 0, 10)
    return {kind: round(ms) for kind, ms in found.ms.items()}


def test_each_moment_is_told_once() -> None:
    """What is inside of another span is the inner one's; what runs together shares; what is outside is cut off."""
    assert of() == {"rest": 10_000}
    nested = of(("template.render", 1, 5, "t", "root"), ("db", 2, 3, "q", "t"), ("function", 3, 4, "f", "t"))
    assert nested == {"template": 2_000, "db": 1_000, "rest": 7_000}
    together = of(("http.client", 0, 4, "a", "root"), ("http.client", 0, 4, "b", "root"), ("db", 2, 4, "c", "root"))
    assert together == {"http": 3_333, "db": 667, "rest": 6_000}
    assert of(("db.redis", -5, 1, "a", "root"), ("cache.get", 9, 12, "b", "root"), ("db", 11, 12, "c", "root")) == {
        "db": 1_000,
        "cache": 1_000,
        "rest": 8_000,
    }


def test_what_is_outside_of_the_request_is_not_counted() -> None:
    """What began after it, or had ended before it; and a clock that was set back makes no time of less than nothing."""
    bounds = [(-2, -1), (-1, 1), (2, 3), (9, 12), (10, 11), (11, 12)]
    queries = [Child("db", "SELECT 1", *times, str(times), "root") for times in bounds]
    assert breakdown.of(queries, 0, 10).counts == {"db": 3}
    assert breakdown.of(queries[-1:], 0, 10) == breakdown.of([], 0, 10) == ({"rest": 10_000}, {}, None, 0)
    assert breakdown.of([], 10, 5).ms == breakdown.of(queries, 13, 5).ms == {"rest": 0}


def test_what_is_inside_of_all_middlewares_is_the_application() -> None:
    """Starlette has no span for the endpoint; Django has one, and the innermost middleware its own time."""
    around = [("middleware.x", 1, 9, "a", "root"), ("middleware.x", 2, 8, "b", "a")]
    assert of(*around, ("middleware.x.send", 7, 8, "s", "b")) == {"middleware": 2_000, "rest": 8_000}
    assert of(*around, ("view.render", 3, 7, "v", "b")) == {"middleware": 4_000, "rest": 6_000}


def test_what_outlives_the_span_that_it_is_inside_of_is_inside_of_the_next_one() -> None:
    """A middleware's own span ends when it returns a stream; what is around that only waits for the stream."""
    around = [("middleware.x", 1, 9, "a", "root"), ("middleware.own", 2, 4, "b", "a"), ("middleware.x", 3, 9, "c", "b")]
    assert of(*around, ("db", 5, 8, "q", "c")) == {"middleware": 2_000, "db": 3_000, "rest": 5_000}
    late = ("db", 5, 8, "q", "b")
    assert of(around[0], around[1], late) == {"middleware": 3_000, "db": 3_000, "rest": 4_000}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["db", "middleware.django", "template.render", "cache.get", "http.client", "view.render", ""]
            ),
            st.floats(-2, 12),
            st.floats(0, 8),
            st.integers(0, 9),
        ),
        max_size=12,
    )
)
def test_the_kinds_and_the_rest_add_up_to_the_whole(given_spans: list[tuple[str, float, float, int]]) -> None:
    """However the spans nest, overlap and outlive their parents."""
    spans = [
        Child(op, "SELECT 1", begin, begin + length, str(place), str(above))
        for place, (op, begin, length, above) in enumerate(given_spans)
    ]
    found = breakdown.of(spans, 0.0, 10.0)
    assert sum(found.ms.values()) == pytest.approx(10_000)
    assert min(found.ms.values()) >= 0


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT *\n  FROM t1 WHERE id = 17 AND x=-2.5", "SELECT * FROM t1 WHERE id = ? AND x=?"),
        ("SELECT 'it''s', 'a\\'b' FROM t", "SELECT ?, ? FROM t"),
        ("WHERE a = $1 AND b = :p1 AND c = %s", "WHERE a = $1 AND b = :p1 AND c = %s"),
        ("WHERE id IN (1, 2, 3) OR id IN (%s, %s)", "WHERE id IN (...) OR id IN (...)"),
        ("SELECT 'cut o", "SELECT ?"),
        ("x" * 1_995 + " 'secret'", "x" * 1_995 + " ?"),
        ("x" * 1_991 + " 'secret\\'s'", "x" * 1_991 + " ?"),
    ],
)
def test_a_statement_is_told_without_its_values(statement: str, expected: str) -> None:
    """So that the same query is known as the same, and nobody's name is in it."""
    assert parametrised(statement) == expected


def test_a_starlette_request_tells_where_its_time_went(sentry: Sentry, fetch: Get) -> None:
    """In every lifecycle: kinds, counts and the repeated query, literals left out; not what came after the answer."""
    server = sentry(options={"integrations": [StarletteIntegration(middleware_spans=True)]})

    async def view(request: Request) -> Response:
        with start("db", "connect"):
            """Not a query."""
        for number in range(12):
            with start("db", f"SELECT * FROM shift WHERE worker = 'Jane {number}' AND id = {number}"):
                await anyio.sleep(0.001)
        with start("template.render", "rota.html"), start("cache.get", "rota"):
            await anyio.sleep(0.002)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        return PlainTextResponse("fine", background=BackgroundTask(after))

    async def call() -> None:
        with start("http.client", "GET /"):
            await anyio.sleep(0.002)

    async def after() -> None:
        with start("db", "SELECT 'too late'"):
            await anyio.sleep(0.001)

    async def around(request: Request, call_next: Any) -> Response:
        with start("middleware.starlette", "own"):
            return await call_next(request)

    app = Starlette(routes=[Route("/", view)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=around)])
    asyncio.run(fetch(RotaSentryMiddleware(app), "/"))
    found, has_tag = told(server)
    counts = {name: value for name, value in found.items() if name.endswith("count")}
    assert counts.pop("middleware.count") >= 1
    assert counts == {"db.count": 12, "template.count": 1, "cache.count": 1, "http.count": 2, "n_plus_one.count": 12}
    assert found["n_plus_one.query"] == "SELECT * FROM shift WHERE worker = ? AND id = ?"
    assert has_tag
    # A sleep lasts at least as long as it is told to, a clock's tick aside.
    assert found["db.ms"] >= 11
    assert found["cache.ms"] >= 1.5
    assert found["template.ms"] < found["cache.ms"]
    total = sum(value for name, value in found.items() if name.endswith(".ms"))
    assert total == pytest.approx(seconds(server) * 1000, abs=0.1)


class Around:
    """A middleware with a span of its own, which is open while the answer is sent, and a little longer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with start("middleware.own", "tenant"):
            await anyio.sleep(0.02)
            await self.app(scope, receive, send)
            await anyio.sleep(0.02)


def test_what_is_around_the_answer_is_told_though_it_is_still_open(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """It counts until the last byte; in a transaction it is closed then, and what is inside of it has its parent."""
    server = sentry(options={"integrations": [StarletteIntegration(middleware_spans=False)]})

    async def view(request: Request) -> Response:
        with start("db", "SELECT 1"):
            await anyio.sleep(0.001)
        return PlainTextResponse("fine")

    app = Starlette(routes=[Route("/", view)], middleware=[Middleware(Around), Middleware(Around)])
    asyncio.run(fetch(RotaSentryMiddleware(app), "/"))
    found, _ = told(server)
    assert (found["middleware.count"], found["db.count"]) == (2, 1)
    assert found["middleware.ms"] >= 19
    total = sum(value for name, value in found.items() if name.endswith(".ms"))
    assert total == pytest.approx(seconds(server) * 1000, abs=0.1)
    if lifecycle == "static":
        payload = server.spans[0]["payload"]
        outer, inner, query = payload["spans"]
        parents = [span["parent_span_id"] for span in (outer, inner, query)]
        assert parents == [payload["contexts"]["trace"]["span_id"], outer["span_id"], inner["span_id"]]
        assert outer["timestamp"] == inner["timestamp"] == payload["timestamp"]
        assert not payload.get("_dropped_spans")


def test_a_stream_inside_of_starlette_s_middleware_is_told_alike_everywhere(sentry: Sentry, fetch: Get) -> None:
    """Each middleware is counted once, with no call that it hands through; the stream's queries take the time they do.

    A task that waits for the client to leave has a span that is open beside those of the stream.
    """
    server = sentry(options={"integrations": [StarletteIntegration(middleware_spans=True)]})

    async def view(request: Request) -> Response:
        async def lines() -> Any:
            for _ in range(3):
                with start("db", "SELECT 1"):
                    await anyio.sleep(0.01)
                yield b"line"

        return StreamingResponse(lines())

    async def around(request: Request, call_next: Any) -> Response:
        with start("middleware.own", "own"):
            await anyio.sleep(0.02)
            return await call_next(request)

    app = Starlette(routes=[Route("/", view)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=around)])
    asyncio.run(fetch(RotaSentryMiddleware(app), "/"))
    found, _ = told(server)
    # Starlette's own two, this one, and its span. A sleep lasts as long as it is told to, but for a clock's tick.
    assert (found["middleware.count"], found["db.count"]) == (4, 3)
    assert found["middleware.ms"] >= 19
    assert found["db.ms"] >= 28
    total = sum(value for name, value in found.items() if name.endswith(".ms"))
    assert total == pytest.approx(seconds(server) * 1000, abs=0.1)


def test_a_django_request_tells_where_its_time_went(sentry: Sentry, fetch: Get) -> None:
    """With SQLite, the template engine and the cache; the repeated query as Django sends it, with placeholders."""
    app = RotaSentryMiddleware(site())
    integration = DjangoIntegration(middleware_spans=True, cache_spans=True)
    server = sentry(options={"integrations": [integration]})
    with suppress(AttributeError):
        del caches["default"]  # one that was made for another test has no spans
    asyncio.run(fetch(app, "/many/11/"))
    found, has_tag = told(server)
    assert (found["db.count"], found["n_plus_one.count"], has_tag) == (11, 11, True)
    assert found["n_plus_one.query"].startswith("SELECT ")
    assert found["n_plus_one.query"].endswith('"id" = %s LIMIT ?')
    assert found["cache.count"] == 2
    assert found["template.count"] == 1
    assert found["middleware.count"] >= 3
    assert min(found[f"{kind}.ms"] for kind in ("db", "cache", "template", "middleware", "rest")) > 0
    server.envelopes.clear()
    asyncio.run(fetch(app, "/many/9/"))
    found, has_tag = told(server)
    assert (found["db.count"], has_tag) == (9, False)
    assert not any(name.startswith("n_plus_one") for name in found)


def test_the_repeated_query_is_scrubbed_and_the_user_s_hook_still_runs(sentry: Sentry, fetch: Get) -> None:
    """A secret in an identifier goes, as anywhere; `before_send_span` sees each span and the segment's breakdown."""
    seen: list[Any] = []

    def own(span: Any, hint: Any) -> Any:
        seen.append(span)
        return span

    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"[:36]
    stream = not hasattr(sentry_sdk, "start_transaction")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(10):
            with start("db", f'SELECT "{secret}" FROM t'):
                """Ask."""
        await PlainTextResponse("fine")(scope, receive, send)

    server = sentry()
    stream = stream or sentry_sdk.get_client().options.get("trace_lifecycle") == "stream"
    if stream:
        server = sentry(options={"before_send_span": own})
    asyncio.run(fetch(RotaSentryMiddleware(app), "/"))
    found, has_tag = told(server)
    assert has_tag
    assert found["n_plus_one.query"] == 'SELECT "[Filtered]" FROM t'
    assert len(seen) == (11 if stream else 0)


def test_a_request_that_makes_no_spans_or_very_many(sentry: Sentry, fetch: Get) -> None:
    """All is rest; of more than a thousand spans the others are counted. Nothing is left behind either way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(1_100 if scope["path"] == "/many" else 0):
            with start("db", "SELECT 1"):
                """Ask."""
        await PlainTextResponse("fine")(scope, receive, send)

    server = sentry()
    gc.collect()
    before = len(children._open)  # of other tests, which may have left a request open
    asyncio.run(fetch(RotaSentryMiddleware(app), "/none"))
    found, _ = told(server)
    assert list(found) == ["rest.ms"]
    server.envelopes.clear()
    asyncio.run(fetch(RotaSentryMiddleware(app), "/many"))
    found, _ = told(server)
    assert found["db.count"] + found["unseen.count"] == 1_100
    assert found["db.count"] <= 1_000
    gc.collect()
    assert len(children._open) <= before
