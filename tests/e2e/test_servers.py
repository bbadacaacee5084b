"""The examples' story over real sockets, under each ASGI server; nothing but the errors that there were is reported."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asgi_rota_sentry.outbox import Outbox
from asgi_rota_sentry.sdk.envelopes import item_json
from examples.kept import KeptEnvelopes
from examples.server import ROOT
from examples.story import EXPECTED_VISITS, drive, event_faults, page_faults
from tests.e2e.asgi_servers import SERVERS, AsgiServer, Served, served

_SETTINGS = {
    "SENTRY_DSN": "",
    "SENTRY_TRACES_SAMPLE_RATE": "1",
    "SENTRY_SEND_DEFAULT_PII": "true",
    "ROTA_SENTRY_SLOW_REQUEST_SECONDS": "60",  # else a busy machine makes one event more
}
_PATIENCE = 20.0

pytestmark = pytest.mark.e2e


def _each() -> Iterator[Any]:
    for server in SERVERS:
        for example in ("starlette", "django"):
            if example == "starlette" or not server.runs_trio:  # Django needs asyncio
                yield pytest.param(server, example, id=f"{server.name}-{example}")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Django's database with the demo data; the story creates no shift, so that one serves all."""
    file = tmp_path_factory.mktemp("django") / "rota.sqlite3"
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0", "--settings=examples.django_asgi.settings"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "ROTA_EXAMPLE_DATABASE": str(file)}, check=True)
    return file


@pytest.mark.parametrize(("server", "example"), list(_each()))
def test_the_story(server: AsgiServer, example: str, database: Path, tmp_path: Path) -> None:
    """The pages, the event that the 500 page names with who and how, one event an error, none for who leaves."""
    outbox = tmp_path / "outbox.sqlite3"
    environ = {**_SETTINGS, "ROTA_SENTRY_OUTBOX": str(outbox), "ROTA_EXAMPLE_DATABASE": str(database)}
    errors = ["/shifts/create/", "/stream/"]
    with served(server, f"tests.e2e.endless_{example}:application", tmp_path, **environ) as running:
        _leave_a_stream(running, server)
        story = drive(running.url, http2=server.http2)
        _wait_for_errors(outbox, 1)
        _read_a_stream_that_fails(running, server, outbox)
        if example == "starlette":
            _talk(running, server, outbox)
            errors.append("/live/")
        event = KeptEnvelopes(str(outbox)).wait_for_event(str(story.event_id), _PATIENCE)
        if server.logs_late:
            _wait_for_log(running, "The rota could not be read to its end")
        assert running.stop() in server.exits, running.output()[-3000:]
    assert page_faults(story) == []
    assert event is not None
    assert event_faults(story, event) == []
    assert Counter(each["tags"]["http.url"] for each in _payloads(outbox, "event")) == Counter(errors)
    assert not Counter(EXPECTED_VISITS) - Counter(_request_of(each) for each in _payloads(outbox, "transaction"))


_GRACE = {
    "uvicorn": " --timeout-graceful-shutdown 1",
    "hypercorn": " --graceful-timeout 1",
    "granian": " --workers-kill-timeout 1",
    "daphne": "",
}


@pytest.mark.parametrize("server", SERVERS, ids=[server.name for server in SERVERS])
def test_a_server_that_stops_makes_no_event_of_what_it_cuts(server: AsgiServer, tmp_path: Path) -> None:
    """It is told to stop while a client reads an endless stream: that is cancelled, and nobody's fault."""
    outbox = tmp_path / "outbox.sqlite3"
    environ = {**_SETTINGS, "ROTA_SENTRY_OUTBOX": str(outbox)}
    impatient = replace(server, options=server.options + _GRACE[server.module])
    with (
        served(impatient, "tests.e2e.endless_starlette:application", tmp_path, **environ) as running,
        _client(server, timeout=_PATIENCE) as client,
        client.stream("GET", f"{running.url}/endless/") as response,
    ):
        assert next(response.iter_text()).startswith("still there")
        running.stop()
        output = running.output()
    # Granian may kill its worker before anything was kept.
    is_killed = server.module == "granian" and not outbox.exists()
    events = [] if is_killed else _payloads(outbox, "event")
    # Of itself a server may report what it likes: hypercorn's HTTP/2 trips over its own task group.
    assert [event for event in events if "request" in event] == [], output[-3000:]


def _client(server: AsgiServer, **given: Any) -> httpx.Client:
    return httpx.Client(http1=not server.http2, http2=server.http2, trust_env=False, **given)


def _leave_a_stream(running: Served, server: AsgiServer) -> None:
    """The visitor closes the connection in the midst of a stream, and the application learns of it."""
    with _client(server, timeout=_PATIENCE) as client, client.stream("GET", f"{running.url}/endless/") as response:
        assert response.status_code == 200
        assert response.http_version == ("HTTP/2" if server.http2 else "HTTP/1.1")
        assert next(response.iter_text()).startswith("still there")
    deadline = time.monotonic() + _PATIENCE
    while httpx.get(f"{running.url}/cut/", trust_env=False).text != "1":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _read_a_stream_that_fails(running: Served, server: AsgiServer, outbox: Path) -> None:
    """What was sent before the failure arrives, nothing is put after it, and the stream has no good end."""
    with (
        _client(server, timeout=_PATIENCE) as client,
        client.stream("GET", f"{running.url}/stream/?fail=1") as response,
    ):
        assert response.status_code == 200
        received, parts = "", response.iter_text()
        while received.count("\n") < 2:
            received += next(parts)
        assert received.splitlines() == ["Monday 8 h scw1001", "Tuesday 6 h scw1002"]
        _wait_for_errors(outbox, 2)
        if server.tells_failure:
            with pytest.raises(httpx.TransportError):
                next(parts)


def _talk(running: Served, server: AsgiServer, outbox: Path) -> None:
    """A websocket that ends well, and one whose application fails."""
    with connect(f"{running.websocket_url}/live/", proxy=None) as socket:
        socket.send("2")
        assert json.loads(socket.recv(_PATIENCE)) == {"id": 2, "day": "Tuesday", "hours": 6, "worker": "scw1002"}
        socket.send("99999")
        assert json.loads(socket.recv(_PATIENCE)) is None
    with connect(f"{running.websocket_url}/live/", proxy=None) as socket:
        socket.send("abc")
        _wait_for_errors(outbox, 3)
        if server.tells_failure:
            with pytest.raises(ConnectionClosed):
                socket.recv(_PATIENCE)


def _payloads(outbox: Path, kind: str) -> list[dict[str, Any]]:
    """What was kept of one kind, by item type: an error, or any other event, is an `event`."""
    store = Outbox(str(outbox), create=False)
    kept = [store.get(listed.number) for listed in store.entries()]
    return [item_json(item) for each in kept if each for item in each.envelope().items if item.type == kind]


def _wait_for_errors(outbox: Path, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while len(_payloads(outbox, "event")) < count:
        assert time.monotonic() < deadline, f"there are not {count} errors: {_payloads(outbox, 'event')}"
        time.sleep(0.1)


def _wait_for_log(running: Served, text: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while text not in running.output():
        assert time.monotonic() < deadline, running.output()[-3000:]
        time.sleep(0.1)


def _request_of(transaction: dict[str, Any]) -> tuple[str, str, int]:
    """Method, path and status by a transaction's tags."""
    tags = transaction["tags"]
    return tags["http.method"], tags["http.url"], int(tags["http.status_code"])
