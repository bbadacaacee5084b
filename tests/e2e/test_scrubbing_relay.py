"""Sentry's own scrubbing, that of Relay, finds no secret left in what leaves the process."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sentry_relay.processing import StoreNormalizer, convert_datascrubbing_config, pii_strip_event

from tests.scrubbing_events import PLACES, secret
from tests.test_scrubbing_events import COLLECTIONS, sent_with

pytestmark = pytest.mark.e2e

CONFIG = convert_datascrubbing_config(
    {"scrubData": True, "scrubDefaults": True, "scrubIpAddresses": False, "sensitiveFields": [], "excludeFields": []}
)
FILTERED = "[Filtered]"


def removals(event: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What Relay removes: the rule, the path, and the value as it was."""
    before = {key: value for key, value in event.items() if key != "_meta"}
    meta = pii_strip_event(CONFIG, before).get("_meta", {})

    def walk(node: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
        for key, inner in node.items():
            if key == "":
                yield from ((remark[0], path, value) for remark in inner.get("rem", ()))
            else:
                child = (
                    value[int(key)] if isinstance(value, list) else value.get(key) if isinstance(value, dict) else value
                )
                yield from walk(inner, child, f"{path}.{key}")

    yield from walk(meta, before, "")


def is_word_only(value: Any) -> bool:
    """Whether the value holds but a word that Relay's rule for passwords goes by, and no secret any more.

    Relay removes every text with `password` or `auth` in it. What we leave of such a text is our mark, a name (the
    first of a header's pair) or nothing but words.
    """
    text = json.dumps(value)
    return FILTERED in text or text.strip("\"'b").replace("-", "").isalpha()


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("framework", ["starlette", "django"])
def test_relay_finds_nothing_left(framework, collection):
    """With Relay's default rules; those for values (cards, keys, URLs, …) do not fire at all."""
    items = sent_with(framework, collection, {})
    events = [item["payload"] for item in items if item["type"] in ("event", "transaction")]
    assert events
    for event in events:
        found = list(removals(event))
        by_value = [entry for entry in found if entry[0] not in ("@password:filter", "@bearer:filter")]
        assert by_value == []
        assert [entry for entry in found if not is_word_only(entry[2])] == []


def test_relay_would_have_found_them():
    """The check is no empty one: in the same fields, unscrubbed, Relay finds secrets by name and by value."""
    event = {
        "event_id": "9600511ca32e4f38b45bc139dc755f83",
        "extra": {
            "db": {"password": secret("local")},
            "card": "4111 1111 1111 1111",
            "url": "https://a:fk-1@x.example/",
        },
    }
    assert {rule.split(":")[0] for rule, _, _ in removals(event)} == {"@password", "@creditcard", "@urlauth"}


@pytest.mark.parametrize("framework", ["starlette", "django"])
def test_relay_accepts_the_event(framework):
    """Normalising the scrubbed event reports no error, in `_meta` or elsewhere, and brings no secret back."""
    for item in sent_with(framework, "everything", {}):
        if item["type"] in ("event", "transaction"):
            normalized = StoreNormalizer(protocol_version="7", valid_platforms=["python"]).normalize_event(
                item["payload"]
            )
            assert normalized.get("errors", []) == []
            assert [place for place in PLACES if secret(place) in json.dumps(normalized)] == []
