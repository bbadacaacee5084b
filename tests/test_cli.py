"""The command line, run as a user runs it."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope, Item, PayloadRef

from asgi_rota_sentry import Settings
from asgi_rota_sentry.cli import main
from asgi_rota_sentry.outbox import LOCAL, QUEUED, SET_ASIDE, Outbox, transport_for
from asgi_rota_sentry.outbox.feedback import COLUMNS, FeedbackStore
from asgi_rota_sentry.outbox.store import Packed
from tests.ingest import Ingest, ingest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "outbox.sqlite3"


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with a clean environment and the test's outbox; returns status, output and errors."""

    def execute(*arguments: str, **environment: str) -> tuple[int, str, str]:
        for name in list(os.environ):
            if name.startswith(("SENTRY_", "ROTA_SENTRY_")):
                monkeypatch.delenv(name)
        for name, value in {"ROTA_SENTRY_OUTBOX": str(path), **environment}.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = int(str(leaving.code))
        output = capsys.readouterr()
        return status, output.out, output.err

    return execute


@pytest.fixture
def story(path: Path) -> str:
    """One failed request, kept as the application keeps it without a DSN; the event ID of its error."""
    settings = Settings(outbox_path=str(path))
    sentry_sdk.init(
        transport=transport_for(settings), default_integrations=False, release="rota@1", traces_sample_rate=1
    )
    with sentry_sdk.isolation_scope() as scope:
        scope.set_user({"id": "SCW1001", "username": "scw1001", "role": "Manager"})
        scope.set_tag("user.role", "Manager")
        scope.set_context("preferences", {"theme": "dark", "language": "en"})
        scope.add_breadcrumb({"category": "request", "message": "GET /dashboard/ (200 OK)", "timestamp": 1.0})
        scope.add_breadcrumb({"category": "click", "message": 'User clicked "Create Shift"\x1b]0;owned\x07'})
        scope.add_breadcrumb(
            {"category": "httplib", "data": {"url": "http://b/", "http.method": "GET", "status_code": 200}}
        )
        scope.add_event_processor(_with_request)
        try:
            int("a\x1b[2Jb\u202ec")
        except ValueError:
            event_id = sentry_sdk.capture_exception()
    sentry_sdk.capture_message("all is well")
    sentry_sdk.flush()
    sentry_sdk.get_client().close()
    assert event_id
    return event_id


def _with_request(event: Any, _hint: Any) -> Any:
    event["request"] = {
        "method": "POST",
        "url": "http://rota/shifts/create/",
        "query_string": "a=1",
        "data": {"hours": "abc"},
    }
    return event


def test_events_lists_newest_first(run: Run, story: str) -> None:
    """A table of time, kind, title, user and event ID; nothing in it steers the terminal."""
    status, out, err = run("events")
    head, newest, older = out.splitlines()
    assert (status, err) == (0, "")
    assert head.split() == ["TIME", "KIND", "TITLE", "USER", "EVENT", "ID"]
    assert "message" in newest
    assert "all is well" in newest
    assert "ValueError: invalid literal for int() with base 10: 'a\\x1b[2Jb\\u202ec'" in older
    assert "SCW1001 (Manager)" in older
    assert older.endswith(story)
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len(run("events", "--limit", "1")[1].splitlines()) == 2


def test_events_as_json(run: Run, story: str) -> None:
    """For programs: a list of objects."""
    status, out, _ = run("events", "--json")
    newest, older = json.loads(out)
    assert status == 0
    assert (older["event_id"], older["kind"], older["state"], older["user"]) == (
        story,
        "error",
        LOCAL,
        "SCW1001 (Manager)",
    )
    assert newest["captured_at"] >= older["captured_at"]
    assert "payload" not in older
    assert [each["kind"] for each in json.loads(run("events", "--json", "--limit", "1")[1])] == ["message"]


def test_one_event_in_full(run: Run, story: str) -> None:
    """By the beginning of its ID: what went wrong, for whom, how they got there; as a person reads it."""
    status, out, _ = run("events", story[:6])
    assert status == 0
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("ValueError: invalid literal")
    assert f"Event ID     {story}" in lines
    assert 'int("a\\x1b[2Jb\\u202ec")' in lines  # the source line
    assert any(line.startswith('File "') and "test_cli.py" in line for line in lines)
    assert "role      Manager" in lines
    assert "user.role  Manager" in lines
    assert "preferences  theme=dark, language=en" in lines
    assert "POST http://rota/shifts/create/?a=1" in lines
    assert "data  hours=abc" in lines
    crumbs = [line[9:] for line in lines if "] " in line and line[2:3] == ":"]
    assert crumbs == [
        "[request] GET /dashboard/ (200 OK)",
        '[click]   User clicked "Create Shift"\\x1b]0;owned\\x07',
        "[httplib] GET http://b/ (200)",
    ]
    assert not {character for character in out if character != "\n" and not character.isprintable()}


def test_one_event_as_json(run: Run, story: str) -> None:
    """The whole event as the server would get it."""
    event = json.loads(run("events", story, "--json")[1])
    assert event["event_id"] == story
    assert event["exception"]["values"][0]["type"] == "ValueError"


def test_an_unknown_or_ambiguous_id_is_said_to_be_so(run: Run, story: str) -> None:
    """Exit status 1 and one sentence."""
    assert run("events", "ffff\x1b[0m") == (1, "", "Nothing kept has the ID ffff\\x1b[0m.\n")
    for empty in ("", "-"):
        for command in (["events"], ["outbox", "show"], ["outbox", "discard"]):
            assert run(*command, empty) == (1, "", "Expected an event ID, its beginning, or # and a number.\n")


def test_a_limit_is_a_whole_number(run: Run, story: str) -> None:
    """Whatever is none is refused, never taken for all; 0 is for all."""
    for command in ("events", "feedback"):
        for given in ("-1", "1.5", "few", "nan"):
            status, out, err = run(command, "--limit", given)
            assert (status, out) == (2, "")
            assert err.splitlines()[-1].endswith(f"--limit: {given!r}; expected a whole number, 0 for all")
    for given in ("0", "50", str(10**30)):
        assert len(run("events", "--limit", given)[1].splitlines()) == 3


def test_a_long_title_makes_no_line_endless(run: Run, path: Path) -> None:
    """Also where no terminal says how wide it is: one title is cut, and the lines beside it are not padded for it."""
    for message in ("short", "long " * 60):
        item = Item(PayloadRef(json={"event_id": "1" * 32, "message": message}), type="event")
        Outbox(path).add(Envelope({"event_id": "1" * 32}, [item]), LOCAL)
    lines = run("events")[1].splitlines()
    assert max(map(len, lines)) < 180
    assert "long long" in lines[1]
    assert "…" in lines[1]


@pytest.mark.parametrize("command", [["events"], ["outbox"], ["outbox", "list"], ["outbox", "send"]])
def test_no_file_is_no_traceback(run: Run, path: Path, command: list[str]) -> None:
    """Nothing was kept yet: one sentence, and no file is made by looking."""
    status, out, err = run(*command, SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert (status, out) == (1, "")
    assert err == f"There is no outbox at {path}; nothing was kept there yet.\n"
    assert not path.exists()


@pytest.mark.parametrize("command", [["events"], ["events", "abc"], ["outbox"], ["outbox", "discard", "--all"]])
def test_a_damaged_file_is_no_traceback(run: Run, path: Path, command: list[str]) -> None:
    """One sentence with the file's name; the file is left as it is."""
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    status, out, err = run(*command)
    assert (status, out) == (1, "")
    assert err == f"The outbox {path} cannot be used: file is not a database.\n"
    assert path.read_bytes() == b"no database" * 1000


def test_wrong_settings_are_told_all_at_once(run: Run) -> None:
    """Exit status 2 and a line for each fault."""
    status, out, err = run("events", SENTRY_TRACES_SAMPLE_RATE="2", ROTA_SENTRY_DEBUG="perhaps")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert "SENTRY_TRACES_SAMPLE_RATE is '2'; expected a number from 0 to 1." in err


def test_the_file_can_be_named(run: Run, story: str, path: Path) -> None:
    """`--outbox`, before or after the command, wins over the environment."""
    for arguments in (["--outbox", str(path), "events"], ["events", "--outbox", str(path)]):
        status, out, _ = run(*arguments, ROTA_SENTRY_OUTBOX="/nowhere/at/all")
        assert status == 0
        assert story in out


def test_the_state_of_the_outbox(run: Run, story: str, path: Path) -> None:
    """Counts by state and kind, the oldest, the size, the last error."""
    outbox = Outbox(path)
    number = outbox.find(story)[0].number
    outbox.set_aside(number, outbox.find(f"#{number}")[0].captured_at, story, "HTTP 400 \x1b[31mno")
    status, out, _ = run("outbox")
    assert status == 0
    assert "2 kept" in out.splitlines()[0]
    assert "1 local message" in out
    assert "1 set aside error" in out
    assert "Oldest: " in out
    assert "Last error: HTTP 400 \\x1b[31mno (0 s ago)" in out
    report = json.loads(run("outbox", "--json")[1])
    assert report["kinds"] == {"local message": 1, "set aside error": 1}
    assert (report["local"], report["set_aside"], report["dropped"]) == (1, 1, 0)
    listed = run("outbox", "list")[1].splitlines()
    assert listed[0].split()[:2] == ["NUMBER", "STATE"]
    assert len(listed) == 3


def test_show_prints_the_envelope_itself(path: Path, story: str) -> None:
    """Byte for byte as it would be sent, for other tools to read."""
    command = [sys.executable, "-m", "asgi_rota_sentry", "outbox", "show", story, "--outbox", str(path)]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    kept = Outbox(path).get(Outbox(path).find(story)[0].number)
    assert kept is not None
    assert shown == kept.envelope().serialize()


@pytest.fixture
def server() -> Iterator[Ingest]:
    with ingest() as state:
        yield state


@pytest.mark.parametrize("arguments", [("outbox", "--json", "list"), ("outbox", "list", "--json")])
def test_a_list_for_programs(run: Run, story: str, arguments: tuple[str, ...]) -> None:
    """Whether it is asked for before the action or after it."""
    status, out, _ = run(*arguments)
    assert status == 0
    assert story in {entry["event_id"] for entry in json.loads(out)}


@pytest.mark.parametrize("command", ["events", "outbox", "outbox list", "outbox show 1", "outbox send", "feedback"])
def test_no_outbox_by_choice_is_said_to_be_so(run: Run, command: str) -> None:
    """Where the variable is empty no file is looked for."""
    status, out, err = run(*command.split(), ROTA_SENTRY_OUTBOX="", SENTRY_DSN="http://key@127.0.0.1:1/1")
    assert (status, out, err) == (1, "", "ROTA_SENTRY_OUTBOX is empty: there is no outbox.\n")


def test_send_delivers_what_was_kept_without_a_dsn(run: Run, story: str, path: Path, server: Ingest) -> None:
    """With a DSN given later everything local goes out, once, oldest first."""
    environment = {"SENTRY_DSN": server.dsn, "ROTA_SENTRY_OUTBOX_SENDS_PER_SECOND": "100"}
    assert run("outbox", "send", **environment) == (0, "Sent 2; 0 left; 0 refused by the server for good.\n", "")
    assert server.event_ids()[0] == story
    assert run("outbox", "send", **environment) == (0, "Sent 0; 0 left; 0 refused by the server for good.\n", "")
    assert len(server.seen) == 2


def test_send_stops_when_the_server_is_away(run: Run, story: str, path: Path, server: Ingest) -> None:
    """Nothing is lost, the reason is told, and what the server refuses is set aside."""
    server.script = [(400, {}), (503, {})]
    status, out, err = run("outbox", "send", SENTRY_DSN=server.dsn)
    assert (status, out) == (1, "Sent 0; 1 left; 1 refused by the server for good.\n")
    assert err.startswith("HTTP 503")
    assert "\x1b" not in err
    assert {kept.state for kept in Outbox(path).entries()} == {QUEUED, SET_ASIDE}
    status, out, _ = run("outbox", "send", "--set-aside", SENTRY_DSN=server.dsn)
    assert (status, out) == (0, "Sent 2; 0 left; 0 refused by the server for good.\n")


def test_send_needs_a_dsn_and_no_debug_mode(run: Run, story: str, server: Ingest) -> None:
    """In debug mode nothing leaves the machine, here neither."""
    assert run("outbox", "send") == (2, "", "SENTRY_DSN is not set; it says where to send to.\n")
    status, _, err = run("outbox", "send", SENTRY_DSN=server.dsn, ROTA_SENTRY_DEBUG="1")
    assert (status, err) == (2, "ROTA_SENTRY_DEBUG is on: nothing is sent.\n")
    assert server.seen == []


def test_discard_wants_to_know_which(run: Run, story: str, path: Path) -> None:
    """By ID, by state, or all; an unknown ID discards nothing."""
    assert run("outbox", "discard") == (2, "", "Say which: IDs, --state or --all.\n")
    assert run("outbox", "discard", story, "ffff")[0] == 1
    assert run("outbox", "discard", story[:8])[1] == "Discarded 1.\n"
    assert run("outbox", "discard", "--state", "queued")[1] == "Discarded 0.\n"
    assert run("outbox", "discard", "--all")[1] == "Discarded 1.\n"
    assert run("events")[2] == "Nothing is kept.\n"


def test_export_and_import(run: Run, story: str, path: Path, tmp_path: Path) -> None:
    """What one machine exports another can look at and send; the file is its owner's alone; repeats are left out."""
    archive = tmp_path / "events.zip"
    assert run("outbox", "export", str(archive)) == (0, f"Wrote 2 to {archive}.\n", "")
    assert archive.stat().st_mode & 0o777 == 0o600
    assert run("outbox", "export", str(archive)) == (1, "", f"{archive} exists already.\n")
    elsewhere = str(tmp_path / "elsewhere" / "o.sqlite3")
    assert run("outbox", "import", str(archive), "--outbox", elsewhere)[1] == f"Read 2 from {archive}.\n"
    run("outbox", "discard", story, "--outbox", elsewhere)
    some = run("outbox", "import", str(archive), "--outbox", elsewhere)[1]
    assert some == f"Read 1 from {archive}; 1 were here already.\n"
    again = run("outbox", "import", str(archive), "--outbox", elsewhere)[1]
    assert again == f"Read 0 from {archive}; 2 were here already.\n"
    here, there = (json.loads(run("events", story, "--json", "--outbox", each)[1]) for each in (str(path), elsewhere))
    assert here == there
    times = [
        json.loads(run("events", "--json", "--outbox", each)[1])[1]["captured_at"] for each in (str(path), elsewhere)
    ]
    assert times[0] == pytest.approx(times[1], abs=3)


def test_import_takes_single_envelopes_and_refuses_the_rest(run: Run, story: str, path: Path, tmp_path: Path) -> None:
    """A file that holds none says so, in one line."""
    archive = tmp_path / "events.zip"
    run("outbox", "export", str(archive))
    with zipfile.ZipFile(archive) as opened:
        name = next(name for name in opened.namelist() if story in name)
        opened.extract(name, tmp_path)
    run("outbox", "discard", "--all")
    assert run("outbox", "import", str(tmp_path / name))[0] == 0
    assert story in run("events")[1]
    (tmp_path / "junk").write_bytes(b"\x1b junk")
    status, _, err = run("outbox", "import", str(tmp_path / "junk"))
    assert (status, err) == (
        1,
        f"{tmp_path / 'junk'} holds no envelopes: junk: The envelope's header is no JSON object.\n",
    )
    assert (
        run("outbox", "import", str(tmp_path / "none"))[2]
        == f"{tmp_path / 'none'} cannot be read: No such file or directory.\n"
    )


def test_a_second_import_counts_nothing_twice(run: Run, path: Path, tmp_path: Path) -> None:
    """Sessions and metrics have no event ID: they are known by their content, as often as it is there."""
    for sessions in (1, 1, 2):
        content = {"aggregates": [{"started": "2026-01-01T00:00:00Z", "exited": sessions}]}
        item = Item(PayloadRef(json=content), type="sessions")
        Outbox(path).add(Envelope({}, [item]), LOCAL)
    archive, elsewhere = tmp_path / "events.zip", str(tmp_path / "elsewhere" / "o.sqlite3")
    assert run("outbox", "export", str(archive))[0] == 0
    told = [run("outbox", "import", str(archive), "--outbox", elsewhere)[1] for _ in range(2)]
    assert told == [f"Read 3 from {archive}.\n", f"Read 0 from {archive}; 3 were here already.\n"]
    assert run("outbox", "import", str(archive))[1] == told[1]
    run("outbox", "discard", "#2")
    assert run("outbox", "import", str(archive))[1] == f"Read 1 from {archive}; 2 were here already.\n"


def test_an_archive_that_another_program_has_packed_is_read(run: Run, story: str, tmp_path: Path) -> None:
    """With folders in it, and without times."""
    archive, again = tmp_path / "events.zip", tmp_path / "again.zip"
    run("outbox", "export", str(archive))
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(again, "w") as packed:
        packed.writestr("kept/", b"")
        for name in given.namelist():
            packed.writestr(f"kept/{name}", given.read(name))
    data = bytearray(again.read_bytes())
    start = 0
    while (start := data.find(b"PK\x01\x02", start) + 1) > 0:  # each entry of the central directory
        data[start + 11 : start + 15] = bytes(4)  # its time and date
    again.write_bytes(data)
    elsewhere = str(tmp_path / "o.sqlite3")
    assert run("--outbox", elsewhere, "outbox", "import", str(again)) == (0, f"Read 2 from {again}.\n", "")
    assert story in run("--outbox", elsewhere, "events")[1]


def test_a_damaged_archive_is_no_traceback(run: Run, story: str, tmp_path: Path) -> None:
    """Whichever of its bytes are others: it is read, or said not to be; an entry may be very old, then."""
    assert story
    archive = tmp_path / "events.zip"
    run("outbox", "export", str(archive))
    whole = archive.read_bytes()
    draw = random.Random(7)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 3))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        archive.write_bytes(data)
        status, told, fault = run("--outbox", str(tmp_path / "o.sqlite3"), "outbox", "import", str(archive))
        is_read = told.startswith("Read ")
        assert status == (1 if fault else 0)
        assert is_read or fault.startswith((f"{archive} holds no envelopes: ", f"{archive} cannot be read: "))
        assert not (is_read and fault) or "did not stay: too old" in fault


def test_what_an_import_cannot_keep_is_told(run: Run, path: Path, tmp_path: Path) -> None:
    """An export from a server, read a week later: what is older than the outbox keeps is gone at once."""
    outbox, archive = Outbox(path), tmp_path / "events.zip"
    for days in (6, 1):
        envelope = Envelope({}, [Item(PayloadRef(json={"message": f"{days} days old"}), type="event")])
        outbox.add_packed([Packed.of(envelope, LOCAL, time.time() - days * 86_400)])
    run("outbox", "export", str(archive))
    status, told, fault = run(
        "--outbox", str(tmp_path / "o.sqlite3"), "outbox", "import", str(archive), ROTA_SENTRY_OUTBOX_MAX_DAYS="5"
    )
    assert (status, told) == (1, f"Read 2 from {archive}.\n")
    assert fault == "1 did not stay: too old or too many (ROTA_SENTRY_OUTBOX_MAX_DAYS, …_ENVELOPES, …_MIB).\n"
    assert [kept.title for kept in Outbox(tmp_path / "o.sqlite3").entries()] == ["1 days old"]


def test_damaged_bytes_cost_the_export_no_other_envelope(run: Run, story: str, path: Path, tmp_path: Path) -> None:
    """What cannot be unpacked is left out and named."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE envelope SET payload = x'0011' WHERE event_id != ?", (story,))
    archive = tmp_path / "events.zip"
    damaged = next(kept.number for kept in Outbox(path).entries() if kept.event_id != story)
    status, told, fault = run("outbox", "export", str(archive))
    assert (status, told) == (1, f"Wrote 1 to {archive}.\n")
    assert fault == f"Left out, for their bytes are damaged: #{damaged}.\n"
    with zipfile.ZipFile(archive) as opened:
        assert [story in name for name in opened.namelist()] == [True]


@pytest.mark.parametrize("odd", ["\udcff", "ü", "#ü"])
def test_an_id_that_is_no_text_is_no_traceback(run: Run, story: str, odd: str) -> None:
    """Whatever bytes a shell hands over (Python's surrogateescape)."""
    assert story
    told = "Nothing kept has the ID {}.\n".format(odd.replace("\udcff", "\\udcff"))
    for command in (["events", odd], ["outbox", "show", odd], ["outbox", "discard", odd]):
        assert run(*command) == (1, "", told)
    assert run("feedback", "--forget", odd) == (1, "Forgot 0.\n", "")


def test_an_export_that_fails_leaves_nothing(run: Run, tmp_path: Path) -> None:
    """A file that cannot be opened does not stand in the way of the next try."""
    archive = tmp_path / "events.zip"
    (tmp_path / "junk").write_bytes(b"no database" * 1000)
    for outbox in ("junk", "none"):
        assert run("outbox", "export", str(archive), "--outbox", str(tmp_path / outbox))[:2] == (1, "")
        assert not archive.exists()


def _shell(path: Path, command: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    line = f"{sys.executable} -m asgi_rota_sentry --outbox {path} {command}"
    return subprocess.run(line, shell=True, capture_output=True, check=False, env=os.environ | environment)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_a_character_that_the_output_lacks_is_written_as_an_escape(path: Path, encoding: str) -> None:
    """No character costs the list; a spreadsheet gets UTF-8 whatever the terminal takes."""
    event = Item(PayloadRef(json={"event_id": "1" * 32, "message": "Łódź"}), type="event")
    Outbox(path).add(Envelope({"event_id": "1" * 32}, [event]), LOCAL)
    row = dict.fromkeys(COLUMNS, "") | {"message": "Łódź", "written_at": time.time(), "event": "missing"}
    FeedbackStore(path).add(row)
    for command in ("events", "events 1111", "feedback", "feedback --csv"):
        done = _shell(path, command, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert ("Łódź".encode() if "csv" in command else b"\\u0141") in done.stdout


@pytest.mark.parametrize("command", ["events", "events 1", "outbox", "outbox list", "outbox show 1", "feedback --csv"])
def test_an_output_that_cannot_be_written_is_told_in_one_line(path: Path, command: str) -> None:
    """Closed or full: a sentence on the standard error and an exit status that says so."""
    event = Item(PayloadRef(json={"event_id": "1" * 32, "message": "m" * 20_000}), type="event")
    Outbox(path).add(Envelope({"event_id": "1" * 32}, [event]), LOCAL)
    for where, why in ((">&-", b"it is closed"), ("> /dev/full", b"No space left on device")):
        done = _shell(path, f"{command} {where}")
        assert (done.returncode, done.stderr) == (1, b"The output cannot be written: %s.\n" % why)


def test_a_pipe_that_closes_is_no_error(path: Path, story: str) -> None:
    """`asgi-rota-sentry events | head -1` ends quietly."""
    outbox = Outbox(path)
    kept = outbox.get(1)
    assert kept is not None
    for _ in range(2000):
        outbox.add(kept.envelope(), LOCAL)
    command = f"{sys.executable} -m asgi_rota_sentry events --limit 0 --outbox {path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("TIME")
    assert done.stderr == ""
