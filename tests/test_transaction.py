"""The transaction of one request as it is sent by sentry-sdk 2.x: nothing in it depends on which way it took."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote_plus

import anyio
import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import Get, MemoryTransport

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not HAS_TRANSACTIONS, reason="sentry-sdk 3.x has no transactions"),
]

Sentry = Callable[..., MemoryTransport]


@pytest.fixture
def lifecycle() -> str:
    """Transactions only."""
    return "static"


class Shift:
    """An object of the application's own."""

    def __repr__(self) -> str:
        return "<Shift 17>"


class Word(str):
    """A text that is more than one."""

    __slots__ = ()


def cycle() -> dict[str, Any]:
    found: dict[str, Any] = {"day": "Monday"}
    found["again"] = found
    return found


VALUES: dict[str, Any] = {
    "plain": {"day": "Monday", "hours": 8, "paid": True, "rate": 12.5, "note": None, "wards": ["A", ["B"]], "none": {}},
    "an object": {"shift": Shift()},
    "objects in lists": {"shifts": [Shift(), {"shift": Shift()}]},
    "a tuple": {"pair": (1, "two", None)},
    "no numbers": {"nan": float("nan"), "inf": float("inf")},
    "bytes": {"raw": b"\xff raw"},
    "a set": {"set": {"one"}},
    "a subclass of a text": {"word": Word("Monday")},
    "a time": {
        "at": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "there": datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1))),
    },
    "names that are no texts": {7: "seven", None: "none"},
    "a long text": {"text": "Monday " * 5_000},
    "what is deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": "h"}}}}}}},
    "what is broad": {"hours": list(range(50))},
    "what contains itself": cycle(),
    "half a character": {"text": "\ud83d"},
}


def told(transport: MemoryTransport) -> dict[str, Any]:
    """The one transaction, without what differs from request to request."""
    (payload,) = transport.items("transaction")
    trace = payload["contexts"]["trace"]
    for name in ("trace_id", "span_id", "data"):
        trace.pop(name)
    payload["contexts"].pop("breakdown")
    gone = ("event_id", "timestamp", "start_timestamp")
    return {name: value for name, value in payload.items() if name not in gone}


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("what", VALUES)
async def test_it_says_what_the_sdk_s_serializer_would_say(sentry: Sentry, fetch: Get, what: str) -> None:
    """Whatever the application adds (contexts, extras, tags) is told as the SDK tells it; plain data too."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        sentry_sdk.set_context("own", VALUES[what])
        sentry_sdk.set_extra("own", VALUES[what])
        sentry_sdk.set_tag("own", next(iter(VALUES[what].values())))
        await answer(send)

    found = []
    # With a limit to the length of texts, however high, each event takes the SDK's own way.
    for options in ({}, {"max_value_length": 10_000_000}):
        server = sentry(options=options)
        await fetch(RotaSentryMiddleware(app), "/shifts/17/?day=Monday")
        found.append(told(server))
    assert found[0] == found[1]
    assert "own" in found[0]["contexts"]


async def test_a_hook_changes_nothing_but_its_own_transaction(sentry: Sentry, fetch: Get) -> None:
    """What `before_send_transaction` writes into an event is in that one only, in whichever part it writes."""
    kept: dict[str, Any] = {"inner": {"day": "Monday"}}

    def spoil(node: Any) -> None:
        for value in list(node.values() if isinstance(node, dict) else node):
            if isinstance(value, dict | list):
                spoil(value)
        if isinstance(node, dict):
            node["spoilt"] = True
        else:
            node.append("spoilt")

    def hook(event: dict[str, Any], _hint: Any) -> dict[str, Any]:
        assert "spoilt" not in json.dumps(event)
        spoil(event)
        return event

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        sentry_sdk.set_context("own", kept)
        await answer(send)

    server = sentry(options={"before_send_transaction": hook})
    wrapped = RotaSentryMiddleware(app)
    for _ in range(3):
        await fetch(wrapped, "/")
    assert len(server.items("transaction")) == 3
    assert kept == {"inner": {"day": "Monday"}}


@pytest.mark.parametrize("name", ["Zoë Müller", 'Jo "Zed" O\'Neil', "山田 太郎", "back\\slash", "half \udc80"])
async def test_a_name_in_any_script_is_withheld(sentry: Sentry, fetch: Get, name: str) -> None:
    """A person's name does not leave in a transaction's tags, contexts, extras or spans, whatever letters it has.

    Nor does it in the query string, where a form has sent it.
    """

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["user"] = {"id": "SCW1001", "username": name}
        sentry_sdk.set_tag("own", f"shift of {name}")
        sentry_sdk.set_context("own", {"people": [{"name": name}, {name: 1}]})
        sentry_sdk.set_extra("own", name)
        with sentry_sdk.start_span(op="mail", name=f"to {name}"):
            pass
        await answer(send)

    server = sentry()
    sent = quote_plus(name, errors="surrogatepass")
    await fetch(RotaSentryMiddleware(app), f"/?of={sent}")
    (payload,) = server.items("transaction")
    assert name not in repr(payload)
    assert payload["request"]["query_string"] == "of=[Filtered]"
    assert payload["tags"]["own"] == "shift of [Filtered]"
    assert payload["contexts"]["own"]["people"] == [{"name": "[Filtered]"}, {"[Filtered]": 1}]
    assert payload["spans"][0]["description"] == "to [Filtered]"


@pytest.mark.parametrize("place", ["contexts", "extra", "fingerprint", "request", "spans", "tags", "transaction"])
async def test_a_name_that_stands_in_one_place_alone_is_withheld(sentry: Sentry, fetch: Get, place: str) -> None:
    """A transaction in which nothing tells of its person is not looked through, and each part of it may."""
    name = "Zoë Müller"

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["user"] = {"id": "SCW1001", "username": name}
        isolation = sentry_sdk.get_isolation_scope()
        if place == "contexts":
            isolation.set_context("own", {"of": name})
        elif place == "extra":
            isolation.set_extra("of", name)
        elif place == "fingerprint":
            isolation.fingerprint = [name]
        elif place == "spans":
            with sentry_sdk.start_span(op="mail", name=name):
                pass
        elif place == "tags":
            isolation.set_tag("of", name)
        elif place == "transaction":
            sentry_sdk.get_current_scope().set_transaction_name(f"shift of {name}")
        await answer(send)

    server = sentry()
    await fetch(RotaSentryMiddleware(app), "/", params={"of": name} if place == "request" else None)
    (payload,) = server.items("transaction")
    assert "[Filtered]" in repr(payload[place])
    assert not any(part in repr(payload) for part in ("Zoë", "Müller", "M%C3%BCller"))


async def test_without_spans_all_of_the_time_is_the_rest(sentry: Sentry, fetch: Get) -> None:
    """The breakdown of a request in which nothing was traced is its duration, in milliseconds, and nothing else."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await anyio.sleep(0.02)
        await answer(send)

    server = sentry()
    await fetch(RotaSentryMiddleware(app), "/")
    (payload,) = server.items("transaction")
    begun, ended = (datetime.fromisoformat(payload[name]) for name in ("start_timestamp", "timestamp"))
    milliseconds = (ended - begun).total_seconds() * 1000
    assert milliseconds >= 20
    assert payload["contexts"]["breakdown"] == {"rest.ms": pytest.approx(milliseconds, abs=0.002)}


async def test_another_instrumenter_makes_the_transactions(sentry: Sentry, fetch: Get) -> None:
    """As OpenTelemetry does: none is begun, and none is counted as lost; the incoming trace goes on."""
    server = sentry(options={"instrumenter": "otel"})
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(sentry_sdk.get_traceparent() or "")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    trace = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"
    wrapped = RotaSentryMiddleware(app)
    await fetch(wrapped, "/")
    await fetch(wrapped, "/", headers={"sentry-trace": f"{trace}-1234567890abcdef-1"})
    assert told[1].startswith(trace)
    assert (server.spans, server.lost) == ([], [])
