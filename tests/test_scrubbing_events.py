"""The real thing: error events of a Starlette and a Django application with a secret in every field."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.scrubbing_events import PLACES, secret

COLLECTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "personal data": {"pii": True},
    "data_collection": {"data_collection": {"user_info": True}},
    "everything": {
        "data_collection": {
            "user_info": True,
            "cookies": {"mode": "denylist", "terms": []},
            "http_headers": {"request": {"mode": "denylist", "terms": []}},
            "url_query_params": {"mode": "denylist", "terms": []},
            "stack_frame_variables": True,
        }
    },
}
LIFECYCLES = [{}, {"trace_lifecycle": "stream"}] if HAS_TRANSACTIONS else [{}]


@cache
def sent(framework: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The items that an application, in a process of its own, sent with each collection in each lifecycle."""
    options = {
        (name, str(lifecycle)): {**collection, **lifecycle}
        for name, collection in COLLECTIONS.items()
        for lifecycle in LIFECYCLES
    }
    command = [sys.executable, "-m", "tests.scrubbing_events", framework, json.dumps(list(options.values()))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(options, json.loads(done.stdout), strict=True))


def sent_with(framework: str, collection: str, lifecycle: dict[str, str]) -> list[dict[str, Any]]:
    """The items that it sent with these."""
    return sent(framework)[collection, str(lifecycle)]


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=str)
@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("framework", ["starlette", "django"])
def test_nothing_that_leaves_holds_a_secret(framework, collection, lifecycle):
    """Errors, transactions, streamed spans, logs and metrics lose every secret, whatever the SDK is told to collect."""
    items = sent_with(framework, collection, lifecycle)
    kinds = {item["type"] for item in items}
    text = json.dumps(items)
    assert [place for place in PLACES if secret(place) in text] == []
    assert {"event", "span" if lifecycle or not HAS_TRANSACTIONS else "transaction", "log", "trace_metric"} <= kinds


@pytest.mark.parametrize("framework", ["starlette", "django"])
def test_what_is_needed_to_find_the_fault_stays(framework):
    """The rest of the event reads as before: the place, the reason, the request, the user, what was no secret."""
    items = sent_with(framework, "everything", {})
    event = [item["payload"] for item in items if item["type"] == "event"][-1]
    error = event["exception"]["values"][-1]
    frame = [frame for frame in error["stacktrace"]["frames"] if frame["function"] == "fail"][-1]
    assert error["value"] == "bad token=[Filtered] for 7"
    assert frame["context_line"].strip().startswith("raise ValueError(f\"bad token={secret('exception')} for ")
    assert frame["vars"]["client"] == "<Client user='ada' password='[Filtered]'>"
    assert frame["vars"]["config"]["db"][0]["url"] == "'postgres://rota:[Filtered]@db/rota'"
    assert frame["vars"]["form"]["day"] == "'mon'"
    assert event["request"]["url"] == "http://rota.example/reset/[Filtered]"
    assert "page=2" in str(event["request"]["query_string"])
    assert event["user"]["id"] == "SCW1001"
    assert event["contexts"]["billing"] == {"iban": "[Filtered]", "plan": "basic", "type": "billing"} or event[
        "contexts"
    ]["billing"] == {"iban": "[Filtered]", "plan": "basic"}
    messages = [crumb.get("message") for crumb in event["breadcrumbs"]["values"]]
    assert "GET https://x.example/?token=[Filtered]&page=2" in messages
    assert len(event["contexts"]["trace"]["trace_id"]) == 32
