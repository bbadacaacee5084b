"""Feedback is kept until the server took it, and listed after that: the outbox's file and the command line."""

import csv
import io
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from asgi_rota_sentry.cli import main
from asgi_rota_sentry.feedback import Feedback
from asgi_rota_sentry.outbox import Outbox, health
from asgi_rota_sentry.outbox.feedback import FeedbackStore
from tests.conftest import Get
from tests.ingest import Ingest, ingest, unused_port
from tests.waiting import wait_until

pytestmark = pytest.mark.anyio

PATH = "/api/error-feedback/"
EVENT = "0123456789abcdef0123456789abcdef"
Listed = Callable[..., list[dict[str, Any]]]


async def never(scope: Any, receive: Any, send: Any) -> None:
    """An application that nothing may reach."""
    raise AssertionError("the application was called")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "outbox.sqlite3"


@pytest.fixture
def start(path: Path) -> Callable[..., RotaSentryMiddleware]:
    """Start the SDK with an outbox and put the middleware around an application that must not be called."""

    def begin(**fields: Any) -> RotaSentryMiddleware:
        settings = Settings(**{"outbox_path": str(path), "feedback_rate": "", "feedback_event_rate": "", **fields})
        init(settings, default_integrations=False, auto_enabling_integrations=False)
        return RotaSentryMiddleware(never, settings)

    return begin


@pytest.fixture
def server() -> Iterator[Ingest]:
    with ingest() as state:
        yield state


@pytest.fixture
def listed(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Listed:
    """What `asgi-rota-sentry feedback --json` says."""
    monkeypatch.delenv("SENTRY_DSN", raising=False)

    def run(*more: str) -> list[dict[str, Any]]:
        assert main(["feedback", "--json", "--outbox", str(path), *more]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    return run


Start = Callable[..., RotaSentryMiddleware]


@pytest.mark.parametrize("fields", [{}, {"dsn": "http://key@127.0.0.1:9/1", "debug": True}], ids=["no DSN", "debug"])
async def test_without_a_dsn_and_in_debug_mode_it_is_kept_here(
    start: Start, fetch: Get, path: Path, listed: Listed, fields: dict[str, Any]
) -> None:
    """The item waits in the outbox to be looked at, and the list has it."""
    answer = await fetch(start(**fields), PATH, "POST", json={"message": "It broke.", "event_id": EVENT})
    sentry_sdk.flush()
    (kept,) = Outbox(path).entries(kinds=["feedback"])
    assert (kept.state, kept.event_id, kept.title) == ("local", answer.json()["id"], "It broke.")
    (row,) = listed()
    assert (row["id"], row["state"], row["delivered"]) == (answer.json()["id"], "local", False)
    assert (row["event_id"], row["event"], row["message"]) == (EVENT, "unknown", "It broke.")


@pytest.mark.parametrize("user_report", [False, True])
async def test_it_waits_until_the_server_took_it_and_is_listed_as_delivered(
    start: Start, fetch: Get, path: Path, listed: Listed, user_report: bool
) -> None:
    """Written while the server is away; once the server is back, the item leaves the outbox and the list says so."""
    port = unused_port()
    app = start(dsn=f"http://key@127.0.0.1:{port}/1", feedback_user_report=user_report)
    for number in range(2):
        await fetch(app, PATH, "POST", json={"message": f"It broke {number}.", "event_id": EVENT})
    wait_until(lambda: [row["state"] for row in listed()] == ["queued", "queued"])
    transport: Any = sentry_sdk.get_client().transport
    with ingest(port):
        transport._sender.pace.resume_at = 0.0
        transport._sender.start()
        wait_until(lambda: [row["state"] for row in listed()] == ["delivered", "delivered"], 30)
    assert all(row["delivered"] and row["delivered_at"] >= row["written_at"] for row in listed())
    assert Outbox(path).entries(kinds=["feedback"]) == []


async def test_it_is_on_disk_before_the_visitor_is_thanked(start: Start, fetch: Get, path: Path) -> None:
    """Another process finds it at once, whatever becomes of this one."""
    await fetch(start(), PATH, "POST", json={"message": "It broke."})
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT message FROM feedback").fetchall() == [("It broke.",)]
    connection.close()


async def test_what_was_discarded_is_listed_as_not_sent(start: Start, fetch: Get, path: Path, listed: Listed) -> None:
    """The list does not claim that a server has it."""
    await fetch(start(), PATH, "POST", json={"message": "It broke."})
    sentry_sdk.flush()
    Outbox(path).discard()
    assert [(row["state"], row["delivered"]) for row in listed()] == [("not sent", False)]


async def test_an_event_that_waits_in_the_outbox_is_known(start: Start, fetch: Get, path: Path, listed: Listed) -> None:
    """After a restart the process's memory is gone, the outbox still knows the event."""
    app = start()
    event_id = sentry_sdk.capture_message("broken")
    sentry_sdk.flush()
    await fetch(app, PATH, "POST", json={"message": "It broke.", "event_id": event_id})
    assert [row["event"] for row in listed()] == ["known"]


async def test_another_transport_gets_it_too(fetch: Get, path: Path, listed: Listed, sentry: Any) -> None:
    """With a transport that is not the outbox's it is handed over, and the list says no more than that."""
    server = sentry(outbox_path=str(path))
    app = RotaSentryMiddleware(never, Settings(outbox_path=str(path)))
    await fetch(app, PATH, "POST", json={"message": "It broke."})
    assert len(server.items("feedback")) == 1
    assert [(row["state"], row["delivered"]) for row in listed()] == [("handed over", False)]


async def test_without_the_sdk_it_is_listed_as_not_sent(fetch: Get, path: Path, listed: Listed) -> None:
    """The file keeps it and the visitor is thanked; the list does not claim that anybody was given it."""
    app = RotaSentryMiddleware(never, Settings(outbox_path=str(path)))
    assert (await fetch(app, PATH, "POST", json={"message": "It broke."})).status_code == 202
    assert [(row["message"], row["state"]) for row in listed()] == [("It broke.", "not sent")]


async def test_the_users_own_scrub_settings_hold(fetch: Get, path: Path, listed: Listed, sentry: Any) -> None:
    """What may not leave in an event may not leave in feedback: on disk, to the hooks and to Sentry alike."""
    more = {"scrub_keys": "staff_code", "scrub_patterns": "BADGE-[0-9]{6}", "scrub_exempt": "passphrase"}
    server = sentry(outbox_path=str(path), **more)
    told: list[Feedback] = []
    app = RotaSentryMiddleware(never, Settings(outbox_path=str(path), **more), on_feedback=told.append)
    message = "BADGE-123456, staff_code: zebra77, passphrase: correct"
    await fetch(app, PATH, "POST", json={"message": message, "name": "BADGE-654321"})
    (kept,), (item,) = listed(), server.items("feedback")
    for found in (kept, item["contexts"]["feedback"], asdict(told[0])):
        assert found["message"] == "[Filtered], staff_code: [Filtered], passphrase: correct"
        assert found["name"] == "[Filtered]"


async def test_a_file_that_cannot_be_written_loses_nothing(
    fetch: Get, tmp_path: Path, sentry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The item still goes to the transport, the visitor is thanked, and the log says why the list lacks it."""
    server = sentry()
    (tmp_path / "file").write_text("no folder")
    app = RotaSentryMiddleware(never, Settings(outbox_path=str(tmp_path / "file" / "outbox.sqlite3")))
    answer = await fetch(app, PATH, "POST", json={"message": "It broke."})
    assert answer.status_code == 202
    assert len(server.items("feedback")) == 1
    assert any("keeping feedback in the outbox's file" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("fields", [{}, {"dsn": "http://key@127.0.0.1:9/1", "debug": True}], ids=["no DSN", "debug"])
async def test_what_is_neither_written_nor_sent_is_not_thanked_for(
    start: Start, fetch: Get, path: Path, listed: Listed, fields: dict[str, Any]
) -> None:
    """The file is all there is and cannot be written: the visitor is told so, and thanked once it is mended."""
    path.parent.write_text("in the way")
    app = start(**fields)
    for accept in ("*/*", "text/html"):
        answer = await fetch(app, PATH, "POST", json={"message": "It broke."}, headers={"accept": accept})
        assert answer.status_code == 503
        assert "could not be kept" in answer.text
    assert health().fault
    path.parent.unlink()
    await anyio.sleep(1.1)  # for so long a file that failed is not tried
    assert (await fetch(app, PATH, "POST", json={"message": "It broke."})).status_code == 202
    sentry_sdk.flush()
    assert [row["message"] for row in listed()] == ["It broke."]
    assert health().fault == ""


async def test_the_500_page_claims_no_record_that_there_is_not(fetch: Get, path: Path) -> None:
    """Without an outbox, or with a file that cannot be written, no report was made; else it is kept on this server."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    async def page(outbox_path: str) -> str:
        settings = Settings(outbox_path=outbox_path)
        init(settings, default_integrations=False, auto_enabling_integrations=False)
        answer = await fetch(RotaSentryMiddleware(broken, settings), "/", headers={"accept": "text/html"})
        sentry_sdk.get_client().close()
        return answer.text

    assert "Recorded on this server only" in await page(str(path))
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    for where in ("", str(path)):
        told = await page(where)
        assert "Recorded" not in told
        assert "No report was made" in told


async def test_the_clients_own_outbox_is_enough(fetch: Get, path: Path, start: Start) -> None:
    """A middleware that was given no outbox thanks for what the one of `init` has written, and for nothing else."""
    start()
    app = RotaSentryMiddleware(never, Settings(outbox_path=""))
    assert (await fetch(app, PATH, "POST", json={"message": "It broke."})).status_code == 202
    assert [kept.title for kept in Outbox(path).entries(kinds=["feedback"])] == ["It broke."]
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    assert (await fetch(app, PATH, "POST", json={"message": "It broke again."})).status_code == 503


async def test_no_more_than_the_settings_say_is_listed_for_ever(
    start: Start, fetch: Get, path: Path, listed: Listed
) -> None:
    """The oldest go when there are too many, and when they are too old."""
    app = start(feedback_max_entries=3)
    for number in range(5):
        await fetch(app, PATH, "POST", json={"message": f"{number}"})
    assert [row["message"] for row in listed()] == ["4", "3", "2"]
    store = FeedbackStore(path, entries=0, days=1)
    old = listed()[0] | {"id": "old", "written_at": time.time() - 90_000}
    store.add(old)
    assert "old" not in {row["id"] for row in listed()}
    store.close()


def test_a_file_of_the_version_before_is_brought_up_to_date(path: Path) -> None:
    """An outbox from before there was feedback keeps its envelopes and gets the table."""
    outbox = Outbox(path)
    outbox.note("here", 1)
    outbox.close()
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE feedback; PRAGMA user_version = 1;")
    connection.close()
    store = FeedbackStore(path)
    assert store.newest() == []
    store.close()
    assert Outbox(path).notes()["here"] == 1


def hostile() -> dict[str, Any]:
    return {
        "id": "1" * 32,
        "envelope_id": "1" * 32,
        "state": "kept",
        "written_at": 1_700_000_000.0,
        "event_id": EVENT,
        "event": "unknown",
        "message": '=HYPERLINK("http://evil","x")\n\x1b]0;owned\x07\x1b[2J\u202etxt.exe',
        "name": "@SUM(1+1)*cmd|' /C calc'!A0",
        "email": "-2+3@example.com",
        "url": "/x",
        "environment": "test",
        "release": "",
    }


def test_the_list_is_harmless_to_a_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever got into the file, no control character gets out of it; one line for each."""
    store = FeedbackStore(path)
    store.add(hostile() | {"written_at": time.time()})
    store.close()
    assert main(["feedback", "--outbox", str(path)]) == 0
    shown = capsys.readouterr().out
    assert not any(ord(character) < 32 and character != "\n" for character in shown)
    assert "\u202e" not in shown
    head, row = shown.splitlines()
    assert head.split() == ["TIME", "EVENT", "ID", "NAME", "MESSAGE", "STATE"]
    assert f"{EVENT} (unknown)" in row
    assert "\\x1b[2J" in row
    assert row.endswith("not sent")


def test_the_export_is_harmless_to_a_spreadsheet(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells that would be formulas are text; JSON has the text as it is, its control characters escaped."""
    store = FeedbackStore(path)
    store.add(hostile() | {"written_at": time.time()})
    store.close()
    assert main(["feedback", "--csv", "--outbox", str(path)]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["message"].startswith("'=HYPERLINK(")
    assert row["name"].startswith("'@SUM(")
    assert row["email"].startswith("'-2+3")
    assert row["url"] == "/x"
    assert main(["feedback", "--json", "--outbox", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert json.loads(shown)[0]["message"] == hostile()["message"]


async def test_newest_first_and_limited(start: Start, fetch: Get, listed: Listed) -> None:
    """The list begins with what was written last."""
    app = start()
    for number in range(3):
        await fetch(app, PATH, "POST", json={"message": f"{number}"})
    assert [row["message"] for row in listed("--limit", "2")] == ["2", "1"]
    assert len(listed("--limit", "0")) == 3


async def test_what_must_be_forgotten_is_gone_for_good(
    start: Start, fetch: Get, path: Path, listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person's words can be deleted, with what still waits of them to be sent."""
    app = start()
    ids = [(await fetch(app, PATH, "POST", json={"message": f"{n}"})).json()["id"] for n in range(2)]
    sentry_sdk.flush()
    assert main(["feedback", "--outbox", str(path), "--forget", ids[0]]) == 0
    assert main(["feedback", "--outbox", str(path), "--forget", ids[0]]) == 1
    capsys.readouterr()
    assert [row["id"] for row in listed()] == [ids[1]]
    assert [kept.event_id for kept in Outbox(path).entries(kinds=["feedback"])] == [ids[1]]


async def test_of_several_user_reports_on_one_event_only_the_one_is_forgotten(
    start: Start, fetch: Get, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them wait under the event's ID; the words of the others stay and are sent."""
    app = start(feedback_user_report=True)
    told = [
        {"message": "It broke.", "name": "Ada", "email": "ada@example.com"},
        {"message": "It broke.", "name": "Grace"},
        {"message": "For me, too."},
    ]
    answers = [await fetch(app, PATH, "POST", json={**each, "event_id": EVENT}) for each in told]
    ids = [answer.json()["id"] for answer in answers]
    sentry_sdk.flush()
    outbox = Outbox(path)

    def waiting() -> list[Any]:
        return [json.loads(outbox.get(kept.number).envelope().items[0].get_bytes()) for kept in outbox.entries()]  # type: ignore[union-attr]

    assert len(waiting()) == 3
    assert main(["feedback", "--outbox", str(path), "--forget", ids[0]]) == 0
    capsys.readouterr()
    assert [each["name"] for each in waiting()] == ["", "Grace"]
    assert main(["feedback", "--outbox", str(path), "--forget", ids[1], ids[2]]) == 0
    assert waiting() == []


def test_without_a_file_the_list_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking does not make a file."""
    assert main(["feedback", "--outbox", str(tmp_path / "none")]) == 1
    assert "There is no outbox" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_text_for_a_mail_says_that_an_event_is_unknown() -> None:
    """Whoever reads the mail need not look in vain."""
    told = Feedback(id="1" * 32, message="m", event_id=EVENT, event="unknown", written_at=1_700_000_000.0)
    assert f"Event ID: {EVENT} (not seen by the process that took the feedback)\n" in told.text
    assert "Written: 2023-11-14 22:13:20 UTC\n" in told.text
