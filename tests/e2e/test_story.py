"""The story of `examples/story.py`, told through real servers: uvicorn in front, Spotlight or Bugsink behind."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from examples.rota import PEOPLE
from examples.server import ROOT, Server, running
from examples.story import EXPECTED_VISITS, Story, drive, event_faults, page_faults
from tests.e2e.bugsink import Bugsink
from tests.e2e.spotlight import Spotlight

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("example", ["starlette", "django"])]


def _environ(dsn: str, folder: Path, *, pii: bool = True) -> dict[str, str]:
    return {
        "SENTRY_DSN": dsn,
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "SENTRY_SEND_DEFAULT_PII": str(pii),
        "ROTA_SENTRY_DEBUG": "",
        "ROTA_SENTRY_OUTBOX": str(folder / "outbox.sqlite3"),
    }


def _live(server: Server) -> Story:
    """The story, with its pages already checked: without an event ID there is nothing to look for."""
    story = drive(server.url)
    assert page_faults(story) == []
    return story


def test_spotlight_holds_the_error_and_one_transaction_per_request(
    spotlight_server: Spotlight, example: str, tmp_path: Path
) -> None:
    """One error event with user, role, preferences and what led to it; exactly one transaction per request."""
    with running(example, **_environ(spotlight_server.dsn, tmp_path)) as server:
        story = _live(server)
        event = spotlight_server.wait_for_event(str(story.event_id))
        spotlight_server.wait_for_count("transaction", len(EXPECTED_VISITS))
    assert event_faults(story, event) == []
    assert event["user"]["username"] == PEOPLE["manager"].username
    assert event["user"]["email"] == PEOPLE["manager"].email
    assert len(spotlight_server.payloads("event")) == 1  # the 404 is expected, the ValueError comes once
    seen = Counter(_request_of(transaction) for transaction in spotlight_server.payloads("transaction"))
    assert seen == Counter(EXPECTED_VISITS)


def test_spotlight_gets_no_personal_data_unless_allowed(
    spotlight_server: Spotlight, example: str, tmp_path: Path
) -> None:
    """By default ID and role leave the process, name, e-mail and the form's session do not."""
    with running(example, **_environ(spotlight_server.dsn, tmp_path, pii=False)) as server:
        story = _live(server)
        event = spotlight_server.wait_for_event(str(story.event_id))
        spotlight_server.wait_for_count("transaction", len(EXPECTED_VISITS))
    assert event_faults(story, event) == []
    sent = repr([item.payload for item in spotlight_server.items()])
    assert PEOPLE["manager"].id in sent
    assert PEOPLE["manager"].email not in sent
    assert "127.0.0.1'" not in repr(event["user"])


def test_bugsink_stores_the_error(bugsink_server: Bugsink, example: str, tmp_path: Path) -> None:
    """What support finds under the page's event ID is the whole story."""
    with running(example, **_environ(bugsink_server.dsn, tmp_path)) as server:
        story = _live(server)
        event = bugsink_server.wait_for_event(str(story.event_id))
    assert event_faults(story, event) == []
    assert bugsink_server.event_ids().count(str(story.event_id)) == 1


def test_the_demonstration_sends_to_a_server(spotlight_server: Spotlight, example: str) -> None:
    """With a DSN the demonstration sends there, says so without the DSN's password, and ends well."""
    environ = {**os.environ, "SENTRY_DSN": spotlight_server.dsn.replace("@", ":hidden@")}
    command = [sys.executable, "-m", "examples.demo", example]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{spotlight_server.dsn.replace('@', ':[Filtered]@')} took the event" in done.stdout
    (event,) = spotlight_server.payloads("event")
    assert event["event_id"] in done.stdout


def _request_of(transaction: dict[str, Any]) -> tuple[str, str, int]:
    """Method, path and status by a transaction's tags."""
    tags = transaction["tags"]
    return tags["http.method"], tags["http.url"], int(tags["http.status_code"])
