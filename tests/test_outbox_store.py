"""The file behind the outbox."""

import contextlib
import os
import sqlite3
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rota_sentry.outbox import (
    LOCAL,
    QUEUED,
    SET_ASIDE,
    Bounds,
    Outbox,
    OutboxCorruptError,
    OutboxError,
    OutboxMissingError,
)
from asgi_rota_sentry.outbox.feedback import COLUMNS, FeedbackStore
from asgi_rota_sentry.outbox.store import Packed
from asgi_rota_sentry.outbox.story import tell
from asgi_rota_sentry.sdk.envelopes import Envelope, Item, PayloadRef, parse_envelope

SOME_ID = "c0ffee" + "0" * 26


def envelope(kind: str, content: dict[str, Any], event_id: str = "") -> Envelope:
    return Envelope({"event_id": event_id} if event_id else {}, [Item(PayloadRef(json=content), type=kind)])


def error(where: str, event_id: str = "", user: str = "u1") -> Envelope:
    frame = {"filename": "app.py", "function": where, "lineno": 7, "in_app": True}
    exception = {"type": "ValueError", "value": f"in {where}", "stacktrace": {"frames": [frame]}}
    return envelope("event", {"exception": {"values": [exception]}, "user": {"id": user}}, event_id)


def transaction(name: str) -> Envelope:
    return envelope("transaction", {"transaction": name})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "outbox.sqlite3"


def titles(outbox: Outbox) -> list[str]:
    return [kept.title for kept in reversed(outbox.entries())]


def test_the_file_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is meant from where the process began, though it goes on in another folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    outbox = Outbox("kept/outbox.sqlite3")
    outbox.add(error("a"))
    monkeypatch.chdir("elsewhere")
    outbox.add(error("b"))
    assert titles(outbox) == ["ValueError: in a", "ValueError: in b"]
    assert titles(Outbox(tmp_path / "kept" / "outbox.sqlite3")) == titles(outbox)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """File mode 0600, folder 0700, the write-ahead log likewise, and git ignores it all."""
    outbox = Outbox(path)
    outbox.add(error("view"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes.pop(".gitignore")
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    """A file that exists with a wider mode gets 0600."""
    path.parent.mkdir()
    path.touch(0o644)
    Outbox(path).add(error("view"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_several_make_at_once_is_everybody_s(path: Path) -> None:
    """The first errors of a new host may come in all workers at the same moment: each of them is kept."""

    def keep(here: Path, together: threading.Barrier, where: str) -> None:
        together.wait()
        Outbox(here).add(error(where))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            for number in range(30):
                here, together = path.with_name(f"{number}.sqlite3"), threading.Barrier(4)
                list(pool.map(keep, [here] * 4, [together] * 4, "abcd"))
                assert sorted(titles(Outbox(here))) == [f"ValueError: in {where}" for where in "abcd"]
    finally:
        sys.setswitchinterval(before)


def test_what_is_kept_can_be_listed_and_found(path: Path) -> None:
    """Lists are newest first with kind, title and user; an ID is found by its beginning, with dashes or without."""
    outbox = Outbox(path)
    outbox.add(error("first", "00" + "1" * 30))
    outbox.add(error("second", SOME_ID, user="SCW1001"), LOCAL)
    outbox.add(transaction("/shifts/{id}/"))
    newest, second, first = outbox.entries()
    assert (newest.kind, newest.title, newest.state) == ("transaction", "/shifts/{id}/", QUEUED)
    assert (second.kind, second.title, second.user, second.state) == (
        "error",
        "ValueError: in second",
        "SCW1001",
        LOCAL,
    )
    assert first.captured_at == pytest.approx(time.time(), abs=5)
    assert outbox.entries(kinds=["error"], limit=1) == [second]
    assert outbox.entries(states=[LOCAL]) == [second]
    assert outbox.find("c0ffee") == outbox.find("c0ffee00-0000") == outbox.find(SOME_ID.upper()) == [second]
    assert outbox.find(f"#{first.number}") == outbox.find("0011") == [first]
    assert outbox.find("dead") == outbox.find("#dead") == []
    assert outbox.find("\udcff") == outbox.find("#\udcff") == []  # how Python gives bytes that are no text
    assert FeedbackStore(path).forget(["\udcff"]) == 0
    assert outbox.counts() == {(LOCAL, "error"): 1, (QUEUED, "error"): 1, (QUEUED, "transaction"): 1}


def test_an_envelope_comes_out_as_it_went_in(path: Path) -> None:
    """Headers, items, and attachments of any bytes are unchanged."""
    given_envelope = error("view", SOME_ID)
    given_envelope.headers["trace"] = {"trace_id": "1" * 32}
    given_envelope.add_item(Item(b"\x00\n\xff{}\n\n", type="attachment", filename="é.bin"))
    outbox = Outbox(path)
    outbox.add(given_envelope)
    kept = outbox.get(1)
    assert kept is not None
    assert kept.envelope().serialize() == given_envelope.serialize()


def test_next_is_the_oldest_that_may_go(path: Path) -> None:
    """Order of arrival, but for categories that the server does not want, states and times that say no."""
    outbox = Outbox(path)
    outbox.add(error("looked at"), LOCAL)
    outbox.add(transaction("/"))
    outbox.add(error("one"))
    outbox.add(error("two"))

    def title(**choice: Any) -> str:
        found = outbox.next(**choice)
        return found.title if found else ""

    assert title() == "/"
    assert title(blocked=["transaction"]) == "ValueError: in one"
    assert title(blocked=["transaction"], skip=[3]) == "ValueError: in two"
    assert title(blocked=["transaction", "error"]) == ""
    outbox.failed(2, "HTTP 503", time.time() + 60)
    assert title() == "ValueError: in one"
    times = {kept.number: kept.captured_at for kept in outbox.entries()}
    outbox.set_aside(4, times[4] - 1, "", "HTTP 400")  # it was in another file, which has gone
    outbox.set_aside(4, times[3], "", "HTTP 400")  # it had that number in another file
    assert title() == "ValueError: in two"
    outbox.done(4, times[4], "")
    assert title() == ""
    assert {kept.number: (kept.state, kept.reason, kept.attempts) for kept in outbox.entries()} == {
        1: (LOCAL, "", 0),
        2: (QUEUED, "HTTP 503", 1),
        3: (SET_ASIDE, "HTTP 400", 1),
    }
    notes = outbox.notes()
    assert (notes["sent"], notes["last_error"]) == (1, "HTTP 400")
    assert times[1] <= notes["last_error_at"] <= time.time()
    assert outbox.release([LOCAL, QUEUED, SET_ASIDE]) == 3
    assert title() == "ValueError: in looked at"


def test_a_time_that_no_envelope_is_told_to_wait_for_holds_up_nothing(path: Path) -> None:
    """It was noted under a clock that has been set back since, such as one that was wrong at the machine's start."""
    outbox = Outbox(path)
    outbox.add(error("one"))
    outbox.failed(1, "HTTP 503", time.time() + 365 * 86_400)
    found = outbox.next()
    assert found is not None
    assert found.number == 1


def test_reports_on_one_event_are_no_repeats_of_each_other(path: Path) -> None:
    """What several visitors wrote about it is several things."""
    outbox = Outbox(path, Bounds(envelopes=2))
    for event in (
        error("one"),
        envelope("user_report", {"event_id": SOME_ID, "comments": "It broke."}, SOME_ID),
        envelope("user_report", {"event_id": SOME_ID, "comments": "For me, too."}, SOME_ID),
    ):
        outbox.add(event)
    assert titles(outbox) == ["It broke.", "For me, too."]


def test_transactions_go_first_then_repeats_then_errors(path: Path) -> None:
    """When there are too many: the oldest transactions, then the oldest repeats, one of each error to the last."""
    outbox = Outbox(path, Bounds(envelopes=4))
    outbox.add(error("rare"))
    outbox.add(error("often"))
    outbox.add(transaction("/a"))
    outbox.add(transaction("/b"))
    dropped = outbox.add(error("often", user="u2"))
    assert [(each.category, each.quantity, each.full) for each in dropped] == [("transaction", 1, True)]
    assert titles(outbox) == ["ValueError: in rare", "ValueError: in often", "/b", "ValueError: in often"]
    outbox.add(error("often", user="u3"))
    outbox.add(error("often", user="u4"))
    assert [kept.user for kept in reversed(outbox.entries())] == ["u1", "u2", "u3", "u4"]
    assert titles(outbox)[0] == "ValueError: in rare"
    for place in ("a", "b", "c", "d", "e"):
        outbox.add(error(place))
    assert titles(outbox) == [f"ValueError: in {place}" for place in ("b", "c", "d", "e")]
    assert outbox.notes()["dropped"] == 8


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["error", "transaction"]), st.integers(0, 4)), max_size=40))
def test_bounds_hold_for_any_sequence(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, int]]
) -> None:
    """Never more than the bound, and no error goes while a transaction stays."""
    outbox = Outbox(tmp_path_factory.mktemp("kept") / "o.sqlite3", Bounds(envelopes=6))
    errors_gone = 0
    for kind, place in arrivals:
        dropped = outbox.add(error(str(place)) if kind == "error" else transaction(str(place)))
        errors_gone += sum(each.quantity for each in dropped if each.category == "error")
        counts = {kind: number for (_, kind), number in outbox.counts().items()}
        assert sum(counts.values()) <= 6
        if any(each.category == "error" for each in dropped):
            assert "transaction" not in counts
    seen = [place for kind, place in arrivals if kind == "error"]
    assert {f"ValueError: in {place}" for place in set(seen)} == {t for t in titles(outbox) if "in" in t}
    assert len(seen) - errors_gone == sum(number for (_, kind), number in outbox.counts().items() if kind == "error")


def test_the_file_does_not_outgrow_its_size(path: Path) -> None:
    """With 1 MiB, thousands of errors of some KiB leave a file of about that, with the newest errors in it."""
    outbox = Outbox(path, Bounds(mebibytes=1))
    for number in range(40):
        noise = [Packed.of(envelope("event", {"message": os.urandom(3000).hex()})) for _ in range(20)]
        outbox.add_packed([*noise, Packed.of(error(f"place {number}"))])
    assert path.stat().st_size < 1.3 * 1024 * 1024
    assert "ValueError: in place 39" in titles(outbox)
    assert outbox.notes()["dropped"] > 500


def test_what_has_no_room_at_all_drives_nothing_out(path: Path) -> None:
    """One error with an attachment larger than the whole outbox goes itself, and not all that wait."""
    outbox = Outbox(path, Bounds(mebibytes=0.3))
    for number in range(5):
        outbox.add(error(f"place {number}"))
    huge = error("huge")
    huge.add_item(Item(PayloadRef(bytes=os.urandom(400 * 1024)), type="attachment"))
    assert [(each.category, each.quantity, each.full) for each in outbox.add(huge)] == [("error", 1, True)]
    assert titles(outbox) == [f"ValueError: in place {number}" for number in range(5)]


def test_no_envelope_goes_for_what_visitors_wrote(path: Path) -> None:
    """Feedback has bounds of its own; with more of it than the outbox's, errors still wait for the server."""
    store, outbox = FeedbackStore(path), Outbox(path, Bounds(mebibytes=0.3))
    for number in range(150):
        store.add(dict.fromkeys(COLUMNS, "") | {"id": str(number), "message": "x" * 4000, "written_at": time.time()})
    for number in range(20):
        assert outbox.add(error(f"place {number}")) == []
    assert len(outbox.entries()) == 20
    assert outbox.path.stat().st_size > 0.3 * 1024 * 1024


def test_what_is_too_old_goes(path: Path) -> None:
    """Seven days by default; told apart from what goes for lack of room."""
    outbox = Outbox(path)
    outbox.add_packed([Packed.of(error("old"), QUEUED, time.time() - 8 * 86_400)])
    outbox.add_packed([Packed.of(error("young"), QUEUED, time.time() - 6 * 86_400)])
    assert titles(outbox) == ["ValueError: in young"]
    later = Outbox(path, Bounds(days=5))
    assert [(each.category, each.quantity, each.full) for each in later.tidy()] == [("error", 1, False)]
    assert titles(outbox) == []
    assert outbox.notes()["dropped"] == 2


class OldSQLite(sqlite3.Connection):
    """A connection that knows what SQLite 3.31 knows: no RETURNING, and at most 999 parameters in a statement."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if "RETURNING" in statement:
            raise sqlite3.OperationalError('near "RETURNING": syntax error')
        return super().execute(statement, *parameters)


def test_an_older_sqlite_is_enough(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 runs on systems whose SQLite is older than that: RHEL 8 and 9, Debian 11."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=OldSQLite))
    outbox = Outbox(path, Bounds(envelopes=150))
    dropped = outbox.add_packed([Packed.of(error(f"place {number}")) for number in range(200)])
    assert [(each.category, each.full) for each in dropped] == [("error", True)]
    assert len(outbox.entries()) == 200 - dropped[0].quantity
    later = Outbox(path, Bounds(days=1e-9))
    assert [(each.quantity, each.full) for each in later.tidy()] == [(200 - dropped[0].quantity, False)]


def test_discarding_is_for_good(path: Path) -> None:
    """Some, or all; none where the choice of them fails midway."""
    outbox = Outbox(path)
    for place in ("a", "b", "c"):
        outbox.add(error(place))
    with pytest.raises(ZeroDivisionError):
        outbox.discard(6 // number for number in (2, 1, 0))
    assert len(outbox.entries()) == 3
    assert outbox.discard([2, 99]) == 1
    assert titles(outbox) == ["ValueError: in a", "ValueError: in c"]
    assert outbox.discard() == 2
    assert outbox.entries() == []


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """A wrong path does no harm to the file there."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE shift (day)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="another program's database"):
        Outbox(path).add(error("view"))
    assert path.read_bytes() == before


def test_a_newer_versions_file_is_left_alone(path: Path) -> None:
    """A file that a newer version made is refused, not damaged."""
    outbox = Outbox(path)
    outbox.add(error("view"))
    outbox.close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(OutboxError, match="newer version"):
        Outbox(path).entries()


def test_looking_makes_no_file(path: Path) -> None:
    """`create=False` says that there is none."""
    with pytest.raises(OutboxMissingError, match="nothing was kept"):
        Outbox(path, create=False).entries()
    assert not path.parent.exists()


def test_a_damaged_file_is_called_damaged(path: Path) -> None:
    """What is no SQLite file raises, with the path and the reason."""
    path.parent.mkdir()
    path.write_bytes(os.urandom(8192))
    with pytest.raises(OutboxCorruptError, match=f"{path.name} cannot be used: file is not a database"):
        Outbox(path).entries()


def test_a_deleted_or_replaced_file_is_noticed(path: Path) -> None:
    """Somebody removes the folder under a running process: the next envelope is kept in a new file."""
    outbox = Outbox(path)
    outbox.add(error("before"))
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()
    outbox.add(error("after"))
    assert titles(Outbox(path)) == ["ValueError: in after"]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_a_value_error(data: bytes) -> None:
    """Reading an envelope never fails in another way."""
    found = None
    with contextlib.suppress(ValueError):
        found = parse_envelope(data)
    assert found is None or found.items


@given(
    st.lists(st.tuples(st.sampled_from(["event", "attachment", "log"]), st.binary(max_size=60)), min_size=1, max_size=4)
)
def test_envelopes_survive_writing_and_reading(items: list[tuple[str, bytes]]) -> None:
    """Any payload bytes, newlines and braces included."""
    given_envelope = Envelope({"event_id": SOME_ID}, [Item(data, type=kind) for kind, data in items])
    assert parse_envelope(given_envelope.serialize()).serialize() == given_envelope.serialize()


@pytest.mark.parametrize(
    ("content", "kind", "title"),
    [
        ({"exception": {"values": [{"type": "A"}, {"type": "B", "value": "b\nc"}]}}, "error", "B: b c"),
        ({"exception": [{"type": "A", "value": ""}]}, "error", "A"),
        ({"exception": {"values": None}, "logentry": {"formatted": "told"}}, "message", "told"),
        (
            {"exception": {"values": [7, {"stacktrace": {"frames": [None]}}]}, "fingerprint": 404},
            "error",
            "exception",
        ),
        ({"message": "\ud800 half", "user": [], "tags": 3}, "message", "? half"),
    ],
)
def test_odd_events_are_kept_too(path: Path, content: dict[str, Any], kind: str, title: str) -> None:
    """What other tools or users' hooks make of an event still gets a kind and a title."""
    outbox = Outbox(path)
    outbox.add(envelope("event", content))
    (kept,) = outbox.entries()
    assert (kept.kind, kept.title) == (kind, title)


def test_odd_feedback_is_kept_and_told_too(path: Path) -> None:
    """Whatever stands where the protocol has a mapping."""
    outbox = Outbox(path)
    outbox.add(envelope("feedback", {"contexts": {"feedback": ["m"]}, "message": "Help", "tags": [[["a"], "b"]]}))
    (kept,) = outbox.entries()
    assert (kept.kind, kept.title) == ("feedback", "Help")
    found = outbox.get(kept.number)
    assert found is not None
    assert "['a']  b" in tell(found)
