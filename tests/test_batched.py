"""No streamed span leaves with a secret in it, whatever the user's hook does and wherever the scrubbing takes place."""

import enum
import json
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk._span_batcher import SpanBatcher

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from asgi_rota_sentry.sdk import batched
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from asgi_rota_sentry.start import sentry_options
from tests.conftest import MemoryTransport, flush_whole
from tests.wire import http

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("lifecycle", ["stream"])]

Sentry = Callable[..., MemoryTransport]
SECRET = "password=hunter2hunter2"


@pytest.fixture(params=["by the batcher", "by the hook"])
def seam(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where spans are scrubbed: where the batcher takes them, or, with an SDK that has no such place, in our hook."""
    if request.param == "by the hook":
        monkeypatch.setattr(batched, "_BATCHER", "a_name_that_no_client_has")
    return str(request.param)


async def app(scope: Any, receive: Any, send: Any) -> None:
    attributes = {"note": scope["path"], "list": [SECRET], "db.password": "hunter2hunter2"}
    with sentry_sdk.traces.start_span(name="a query", attributes=attributes) as span:
        span.set_attribute("amount", scope.get("amount", 1))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def call(wrapped: Any, **fields: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Take it."""

    await wrapped(http(**fields), receive, send)


def spans_of(server: MemoryTransport) -> list[dict[str, Any]]:
    """All but those of what ran on: on a slow machine any request may have such."""
    found = [span for batch in server.items("span") for span in batch["items"]]
    for span in found:
        span["attributes"] = {name: attribute["value"] for name, attribute in span["attributes"].items()}
    return [span for span in found if span["attributes"].get("sentry.op") != "task.background"]


async def test_a_secret_in_a_span_goes(sentry: Sentry, seam: str) -> None:
    """Each time, from names, texts and lists; what is clean stays as it is."""
    server = sentry()
    for _ in range(3):
        await call(RotaSentryMiddleware(app), path="/shifts/")
    spans = spans_of(server)
    assert [span["is_segment"] for span in spans] == [False, True] * 3
    assert "hunter2" not in json.dumps(spans)
    queries = [span for span in spans if not span["is_segment"]]
    assert [(span["name"], span["attributes"]["note"]) for span in queries] == [("a query", "/shifts/")] * 3
    assert {span["attributes"]["db.password"] for span in queries} == {"[Filtered]"}


async def test_what_the_users_hook_adds_is_scrubbed(sentry: Sentry, seam: str) -> None:
    """The hook sees each span once, as the SDK would show it, and changes its name and its attributes."""
    seen = []

    def before_send_span(span: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
        seen.append((span["name"], span["attributes"]["list"] if not span["is_segment"] else None, hint))
        return {**span, "name": f"{span['name']} {SECRET}", "attributes": {"mine": "told", "token": "hunter2hunter2"}}

    server = sentry({"before_send_span": before_send_span})
    for _ in range(3):
        await call(RotaSentryMiddleware(app), path="/shifts/")
    spans = spans_of(server)
    assert seen == [("a query", [SECRET], {}), ("/shifts/", None, {})] * 3
    assert {span["name"] for span in spans} == {"a query password=[Filtered]", "/shifts/ password=[Filtered]"}
    assert [span["attributes"] for span in spans] == [{"mine": "told", "token": "[Filtered]"}] * 6


@pytest.mark.parametrize("outcome", ["raises", "returns nothing", "returns nonsense"])
async def test_a_hook_that_fails_lets_no_secret_leave(sentry: Sentry, seam: str, outcome: str) -> None:
    """The span is sent as it was before the hook, as by the SDK, but scrubbed."""

    def before_send_span(span: dict[str, Any], hint: dict[str, Any]) -> Any:
        span["attributes"]["half"] = "done"
        if outcome == "raises":
            raise RuntimeError
        return None if outcome == "returns nothing" else {"attributes": {}}

    server = sentry({"before_send_span": before_send_span})
    for _ in range(2):
        await call(RotaSentryMiddleware(app), path="/shifts/")
    spans = spans_of(server)
    assert [span["name"] for span in spans] == ["a query", "/shifts/"] * 2
    assert {span["attributes"].get("note") for span in spans if not span["is_segment"]} == {"/shifts/"}
    assert [told for told in ("hunter2", "half") if told in json.dumps(spans)] == []


async def test_an_attribute_that_was_clean_is_searched_when_it_changes(sentry: Sentry, seam: str) -> None:
    """Also where only the type does: an integer that is a card's number equals the float before it."""
    server = sentry()
    card = 4111111111111111

    async def paid(scope: Any, receive: Any, send: Any) -> None:
        with sentry_sdk.traces.start_span(name="a query", attributes={"note": scope["path"]}) as span:
            span.set_attribute("amount", scope["amount"])

    for path, amount in (("/shifts/", float(card)), ("/shifts/", card), (f"/shifts/{SECRET}", 1), ("/shifts/", True)):
        await call(RotaSentryMiddleware(paid), path=path, amount=amount)
    # The SDK sends the traces that wait in no order.
    spans = sorted(spans_of(server), key=lambda span: float(span["start_timestamp"]))
    found = [(span["attributes"]["note"], span["attributes"]["amount"]) for span in spans if not span["is_segment"]]
    assert found == [
        ("/shifts/", float(card)),
        ("/shifts/", "[Filtered]"),
        ("/shifts/password=[Filtered]", 1),
        ("/shifts/", True),
    ]


async def test_a_secret_goes_wherever_else_it_stands(sentry: Sentry, seam: str) -> None:
    """Also from an attribute that was clean until it was known to be one."""
    server = sentry()

    async def told_twice(scope: Any, receive: Any, send: Any) -> None:
        for token in ("", "Zk3uT9vXw2Yb7Qm4Rt"):
            attributes = {"heading": "of Zk3uT9vXw2Yb7Qm4Rt", "api_token": token}
            with sentry_sdk.traces.start_span(name="a query", attributes=attributes):
                """Nothing to do."""
        await app(scope, receive, send)

    await call(RotaSentryMiddleware(told_twice))
    first, second = spans_of(server)[:2]
    assert first["attributes"]["heading"] == "of Zk3uT9vXw2Yb7Qm4Rt"
    assert second["attributes"]["heading"] == "of [Filtered]"


async def named(scope: Any, receive: Any, send: Any) -> None:
    """Calls its segment what nobody may know."""
    segment = sentry_sdk.traces.get_current_span()
    segment.name = f"shift {SECRET}"
    segment.set_attribute("sentry.segment.name.source", "custom")
    if scope["path"] == "/told/":
        sentry_sdk.capture_message("on the way")
    await app(scope, receive, send)


async def test_the_trace_does_not_tell_the_secret_in_a_segments_name(sentry: Sentry, seam: str) -> None:
    """The name of a segment goes out with its trace, in the header of the envelope."""
    server = sentry()
    await call(RotaSentryMiddleware(named))
    assert "hunter2" not in json.dumps(spans_of(server))
    told = [envelope.headers["trace"] for envelope in server.envelopes if "trace" in envelope.headers]
    assert [trace["transaction"] for trace in told] == ["shift password=[Filtered]"]


async def test_nor_does_a_trace_that_an_event_has_told_of_before(sentry: Sentry) -> None:
    """What the trace says of its segment is settled with the first that asks for it."""
    server = sentry()
    await call(RotaSentryMiddleware(named), path="/told/")
    assert len(spans_of(server)) == 2
    told = [envelope.headers["trace"] for envelope in server.envelopes if "trace" in envelope.headers]
    assert [trace["transaction"] for trace in told] == ["shift password=[Filtered]"] * 2


async def test_a_client_of_the_users_own_is_scrubbed(sentry: Sentry, seam: str) -> None:
    """`sentry_sdk.init` with our options: from the first span on, before any request came by."""
    sentry()  # leaves things as they were, afterwards
    server = MemoryTransport()
    settings = Settings(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, profiles_sample_rate=0.0)
    own: dict[str, Any] = (
        {"transport": server, "trace_lifecycle": "stream"} if HAS_TRANSACTIONS else {"transport": server}
    )
    sentry_sdk.init(**sentry_options(settings, **own))
    flush_whole()
    with sentry_sdk.traces.start_span(name="before", attributes={"note": SECRET}):
        """Nothing to do."""
    for _ in range(2):
        await call(RotaSentryMiddleware(app))
    spans = spans_of(server)
    assert len(spans) == 5
    assert "hunter2" not in json.dumps(spans)


@pytest.mark.skipif(HAS_TRANSACTIONS, reason="spans of 2.x have no links")
async def test_a_secret_in_a_link_goes(sentry: Sentry) -> None:
    """With the IDs of what is linked left as they are."""
    server = sentry()
    link = {"trace_id": "a" * 32, "span_id": "b" * 16, "attributes": {"password": "hunter2hunter2", "kind": "told"}}
    with sentry_sdk.traces.start_span(name="linked", links=[link]):
        """Nothing to do."""
    with sentry_sdk.traces.start_span(name="linked", links=[link]):
        """Nothing to do."""
    told = spans_of(server)[-1]["links"][0]
    assert (told["trace_id"], told["span_id"]) == (link["trace_id"], link["span_id"])
    assert {name: attribute["value"] for name, attribute in told["attributes"].items()} == {
        "password": "[Filtered]",
        "kind": "told",
    }


async def test_spans_are_sent_in_the_order_in_which_their_requests_ended(sentry: Sentry) -> None:
    """Also when the batcher sends many of them at a time."""
    server = sentry()
    wrapped = RotaSentryMiddleware(app)
    for number in range(50):
        await call(wrapped, path=f"/{number}/")
    segments = [span["name"] for span in spans_of(server) if span["is_segment"]]
    assert segments == [f"/{number}/" for number in range(50)]


class Size(enum.IntEnum):
    """An integer that is more than one."""

    LARGE = 3


VALUES: list[Any] = [
    *("a", "", 7, -1, True, False, 0.5, float("inf"), Size.LARGE, None, object(), {"a": 1}, ("a",)),
    *([], ["a"], ["a", "b"], [1], [True, False], [1, "a"], [["a"]]),
]


async def test_a_span_is_sent_as_the_sdk_has_it(sentry: Sentry) -> None:
    """Whatever its attributes are, in the same order, and thought to be as large."""
    sentry()
    batcher: Any = sentry_sdk.get_client().span_batcher
    own = type(batcher)
    assert batcher._to_transport_format is not own._to_transport_format
    links: Any = {"links": [{"trace_id": "a", "attributes": {"b": 1}}, {"trace_id": "c"}]}
    for attributes in [{}, *({"value": value, "after": "z"} for value in VALUES)]:
        for more in ({}, links):
            span = {"name": "x", "attributes": attributes, "_segment_span": object(), "end_timestamp": 1.0, **more}
            assert repr(batcher._to_transport_format(span)) == repr(own._to_transport_format(span))
            assert batcher._estimate_size(span) == own._estimate_size(span)


@pytest.mark.parametrize("told", [lambda span: 2, lambda span: span["span_id"] and 2], ids=["more", "asks for more"])
async def test_where_the_sdk_sends_another_form_it_is_sent(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch, told: Callable[[Any], Any]
) -> None:
    """A later one may: its batcher is private."""
    own = SpanBatcher._to_transport_format
    form = staticmethod(lambda span: {**own(span), "form": told(span)})
    monkeypatch.setattr(SpanBatcher, "_to_transport_format", form)
    server = sentry()
    await call(RotaSentryMiddleware(app))
    sentry_sdk.flush()
    assert {span.get("form") for batch in server.items("span") for span in batch["items"]} == {2}
