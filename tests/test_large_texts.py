"""A text of megabytes in an error: its beginning is told, in little time, and no half of a secret with it."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.scrubbing import LONGEST, Scrubber
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
ROW = '{"shift": 12, "hours": "abc", "who": "Anna Schmidt", "note": "late again, see mail of 3 March"}, '
UPLOAD = ROW * 20_000
MOST_SECONDS = 1.0
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def _fails_with(text: str) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        held = {"text": text}
        raise ValueError(held["text"])

    return app


async def test_the_beginning_of_a_large_text_is_told_in_little_time(sentry: Sentry) -> None:
    """Of the exception's own text and of the frames' variables, with what it had before; the breadcrumb is short."""
    server = sentry()
    began = time.process_time()
    await Wire().run(RotaSentryMiddleware(_fails_with(UPLOAD)), http())
    spent = time.process_time() - began
    (event,) = server.events
    (value,) = event["exception"]["values"]
    assert value["value"].startswith(ROW)
    assert value["value"].endswith("...")
    assert LONGEST - 100 < len(value["value"]) <= LONGEST
    assert event["_meta"]["exception"]["values"]["0"]["value"][""]["len"] == len(UPLOAD)
    assert len(event["breadcrumbs"]["values"][-1]["message"]) <= 320
    assert len(json.dumps(event)) < 1_000_000
    assert spent < MOST_SECONDS


async def test_many_large_texts_are_cut_short(sentry: Sentry) -> None:
    """The texts of one event together are bounded, too: those beyond keep a thousand characters."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_context("upload", {f"part {number}": f"{number} {UPLOAD[:60_000]}" for number in range(40)})
        raise ValueError("no")

    await Wire().run(RotaSentryMiddleware(app), http())
    parts = server.events[0]["contexts"]["upload"]
    assert len(parts) == 40
    assert max(map(len, parts.values())) > 50_000
    assert sum(map(len, parts.values())) < 1_200_000
    assert all(text.startswith(f"{number} {ROW}") for number, text in enumerate(parts.values()))


SECRETS = {
    "a token": JWT,
    "a password": '"password": "the quick brown fox jumps over it"',
    "a key": "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 40 + "-----END PRIVATE KEY-----",
    "a header": f"Authorization: Bearer {JWT}",
}


@pytest.mark.parametrize("longest", [300, LONGEST])
@pytest.mark.parametrize("kind", SECRETS)
def test_no_half_of_a_secret_is_left(kind: str, longest: int) -> None:
    """Wherever the cut falls: it is searched beyond it, and a word that it would part goes as a whole."""
    secret = SECRETS[kind]
    whole = Scrubber()
    scrubber = Scrubber(longest=longest)
    for before in range(
        longest - len(secret) - 5, longest + 5, max(1, len(secret) // (40 if longest < LONGEST else 6))
    ):
        text = ("lorem ipsum " * longest)[: max(0, before)] + " " + secret + " dolor" * 2_000
        told = scrubber.payload({"extra": {"text": text}})["extra"]["text"]
        shown = whole.text(text)
        assert told.endswith("...")
        assert shown.startswith(told.removesuffix("...").removesuffix("[Filtered]"))


def test_a_large_text_under_a_telling_name_goes() -> None:
    """It is not looked through for whether it may stay."""
    scrubbed = Scrubber(longest=LONGEST).payload({"extra": {"password": UPLOAD, "token": "1 " + UPLOAD}})
    assert scrubbed["extra"] == {"password": "[Filtered]", "token": "[Filtered]"}


async def test_the_breadcrumb_of_an_exception_has_no_half_of_a_secret(sentry: Sentry) -> None:
    """It is cut before it is scrubbed."""
    server = sentry()
    for before in range(170, 310, 3):
        text = ("lorem ipsum " * 40)[:before] + " " + JWT + " dolor"
        await Wire().run(RotaSentryMiddleware(_fails_with(text)), http())
    crumbs = [event["breadcrumbs"]["values"][-1]["message"] for event in server.events]
    assert "eyJ" not in "".join(crumbs)


async def test_the_sdk_s_own_bound_holds(sentry: Sentry) -> None:
    """Who has set `max_value_length` gets texts of that length, be it more or less than ours."""
    for longest in (100, 100_000):
        server = sentry(options={"max_value_length": longest})
        await Wire().run(RotaSentryMiddleware(_fails_with("so long " * 50_000)), http())
        assert len(server.events[0]["exception"]["values"][0]["value"]) == longest


def test_feedback_is_not_cut() -> None:
    """What somebody wrote is told as they wrote it."""
    event = {"type": "feedback", "contexts": {"feedback": {"message": UPLOAD}}}
    assert Scrubber(longest=LONGEST).payload(event) == event
