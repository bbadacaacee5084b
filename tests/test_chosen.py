"""The segment of a sampled request is what the SDK's own would be, though less is done to make and to end it."""

from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk import chosen
from tests.conftest import MemoryTransport
from tests.test_batched import call, spans_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("lifecycle", ["stream"])]

Sentry = Callable[..., MemoryTransport]
_OF_EACH = ("sentry.segment.id", "breakdown.rest.ms", "thread.id", "thread.name")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells something on every scope, the same name on two of them, and a user where that is asked for."""
    sentry_sdk.get_global_scope().set_attribute("told", "by the process")
    sentry_sdk.get_isolation_scope().set_attribute("told", "by the request")
    sentry_sdk.get_isolation_scope().set_attribute("of.request", ["a", "b"])
    sentry_sdk.get_current_scope().set_attribute("of.here", 1.5)
    sentry_sdk.get_current_scope().set_attribute("http.method", "not told")
    if scope["path"] == "/mine/":
        sentry_sdk.set_user({"id": "7", "username": "ada"})
    sentry_sdk.get_current_scope()._server_segment_span.set_attribute("own", True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def _segments(sentry: Sentry, options: dict[str, Any]) -> list[dict[str, Any]]:
    server = sentry(options)
    for path in ("/first/", "/shifts/", "/mine/"):
        await call(RotaSentryMiddleware(app), path=path)
    spans = spans_of(server)
    for span in spans:
        assert span["attributes"]["sentry.segment.id"] == span.pop("span_id")
        assert span.pop("start_timestamp") <= span.pop("end_timestamp")
        assert len(span.pop("trace_id")) == 32
        span["attributes"] = {key: value for key, value in span["attributes"].items() if key not in _OF_EACH}
    return spans


@pytest.mark.parametrize("part", ["whole", "begun by the SDK", "ended by the SDK"])
async def test_a_segment_is_what_the_sdks_own_is(sentry: Sentry, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The same name, status, flags and attributes, those of the scopes among them, the innermost first."""
    ours = await _segments(sentry, {})
    if part != "ended by the SDK":
        monkeypatch.setattr(chosen, "_is_known", False)
    if part != "begun by the SDK":
        monkeypatch.setattr(chosen, "end", lambda *_: False)
    assert await _segments(sentry, {}) == ours
    told = ours[1]["attributes"]
    assert (told["told"], told["of.request"], told["of.here"]) == ("by the request", ["a", "b"], 1.5)
    assert (told["http.method"], told["own"]) == ("GET", True)
    assert [span["attributes"].get("user.id") for span in ours] == [None, None, "7"]


async def test_what_a_hook_changes_is_the_next_segments_own(sentry: Sentry) -> None:
    """What is the same for all segments is not shared between them."""
    seen = []

    def before_send_span(span: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
        seen.append(list(span["attributes"]["process.command_args"]))
        span["attributes"]["process.command_args"].append("mine")
        span["attributes"]["sentry.sdk.integrations"].clear()
        return span

    spans = await _segments(sentry, {"before_send_span": before_send_span})
    assert len(seen) == 3
    assert all("mine" not in arguments for arguments in seen)
    assert all(span["attributes"]["sentry.sdk.integrations"] == [] for span in spans)


async def test_a_segment_stays_on_its_scope_until_the_request_is_left(sentry: Sentry) -> None:
    """What begins after the last byte hangs under its background; nothing of it is there when the request is over."""
    server = sentry()
    scopes: list[Any] = []

    async def runs_on(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(sentry_sdk.get_current_scope())
        with sentry_sdk.traces.start_span(name="around"):
            await app(scope, receive, send)
            with sentry_sdk.traces.start_span(name="inside"):
                """Nothing to do."""
        with sentry_sdk.traces.start_span(name="afterwards"):
            """Nothing to do."""

    for _ in range(2):
        await call(RotaSentryMiddleware(runs_on))
    assert [(scope._span, scope._server_segment_span) for scope in scopes] == [(None, None)] * 2
    spans = spans_of(server)
    below = {span["payload"]["span_id"]: span["parent_span_id"] for span in server.all_spans}
    for ended, inside, around, afterwards in (spans[:4], spans[4:]):
        assert [span["is_segment"] for span in (ended, inside, around, afterwards)] == [True, False, False, False]
        assert around["parent_span_id"] == around["attributes"]["sentry.segment.id"] == ended["span_id"]
        for span in (inside, afterwards):
            assert span["parent_span_id"] == span["attributes"]["sentry.segment.id"]
            assert below[span["parent_span_id"]] == ended["span_id"]
