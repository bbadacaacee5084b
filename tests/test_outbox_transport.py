"""Keeping and sending, through the SDK, against a real HTTP server on this machine."""

import contextlib
import logging
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import HttpTransport

from asgi_rota_sentry import Settings, init
from asgi_rota_sentry.outbox import LOCAL, QUEUED, SET_ASIDE, Outbox, OutboxMissingError, health, transport_for
from asgi_rota_sentry.outbox.feedback import COLUMNS, DELIVERED, KEPT, FeedbackStore
from asgi_rota_sentry.outbox.leadership import Leadership
from asgi_rota_sentry.outbox.pace import Pace
from tests import waiting
from tests.ingest import HANG, RESET, Ingest, ingest, unused_port

Start = Callable[..., Outbox]
SOME_ID = "c0ffee" + "0" * 26


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "outbox.sqlite3"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start the SDK with the outbox's transport; returns the outbox as another process would open it."""

    def begin(dsn: str | None = None, options: dict[str, Any] | None = None, **fields: Any) -> Outbox:
        settings = Settings(**{"dsn": dsn, "outbox_path": str(path), "outbox_sends_per_second": 1000.0, **fields})
        given = {"default_integrations": False, "auto_enabling_integrations": False, **(options or {})}
        sentry_sdk.init(dsn=dsn, transport=transport_for(settings, options=given), **given)
        return Outbox(path, create=False)

    yield begin
    sentry_sdk.get_client().close(timeout=0)


@pytest.fixture
def server() -> Iterator[Ingest]:
    with ingest() as state:
        yield state


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "asgi_rota_sentry")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "asgi_rota_sentry"]


def crash(told: str = "told") -> str:
    try:
        raise ValueError(told)
    except ValueError:
        event_id = sentry_sdk.capture_exception()
    assert event_id
    return event_id


def feedback(message: str, event_id: str = "") -> None:
    payload = {"event_id": event_id or os.urandom(16).hex(), "contexts": {"feedback": {"message": message}}}
    envelope = Envelope({"event_id": payload["event_id"]}, [Item(PayloadRef(json=payload), type="feedback")])
    transport = sentry_sdk.get_client().transport
    assert transport is not None
    transport.capture_envelope(envelope)


def wait_until(condition: Callable[[], Any], timeout: float = 30.0) -> Any:
    def is_so() -> Any:
        with contextlib.suppress(OutboxMissingError):  # not written yet
            return condition()

    return waiting.wait_until(is_so, timeout)


def running_threads() -> list[str]:
    """The outbox's threads, of whichever client."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("asgi-rota-sentry.")]


def retry_soon() -> None:
    """Cut the waiting between attempts short, so that a test need not sit through it."""
    transport: Any = sentry_sdk.get_client().transport
    transport._sender.pace.resume_at = 0.0
    transport._sender.start()


@pytest.mark.parametrize("dsn", [None, "http://key@127.0.0.1:9/1"])
def test_without_a_dsn_and_in_debug_mode_everything_is_kept_and_nothing_sent(
    start: Start, dsn: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, feedback, sessions, whatever comes; no connection is ever tried."""
    tried: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(address))
    outbox = start(dsn, debug=dsn is not None)
    event_id = crash()
    feedback("the button does nothing")
    sentry_sdk.flush()
    assert [(kept.state, kept.kind) for kept in outbox.entries()] == [(LOCAL, "feedback"), (LOCAL, "error")]
    assert outbox.find(event_id)
    assert health().local == 2
    assert tried == []


def test_two_threads_send_at_once_over_connections_that_are_kept(
    start: Start, server: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    """What is kept is sent by one thread, the rest by the SDK's: urllib3 discards no connection, and warns of none."""
    both_arrived = threading.Barrier(2, timeout=10)

    def wait_for_the_other(_: Envelope) -> None:
        both_arrived.wait()

    server.choose = wait_for_the_other
    start(server.dsn, outbox_transactions=False)
    transport = sentry_sdk.get_client().transport
    assert transport is not None
    crash()
    payload = {"type": "transaction", "event_id": os.urandom(16).hex(), "transaction": "/", "contexts": {"trace": {}}}
    transport.capture_envelope(Envelope(items=[Item(PayloadRef(json=payload), type="transaction")]))
    server.wait_for(lambda it: len(it.taken) == 2)
    sentry_sdk.flush()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("urllib3")] == []


def test_without_an_outbox_nothing_is_kept_and_the_sdk_sends_itself(start: Start, path: Path, server: Ingest) -> None:
    """`outbox_path=""`: the SDK's transport with a DSN, no trace of anything without."""
    assert transport_for(Settings(dsn=server.dsn, outbox_path="")) is None
    start(server.dsn, outbox_path="")
    assert type(sentry_sdk.get_client().transport) is HttpTransport
    for fields in ({"debug": True}, {}):
        start(server.dsn if fields else None, outbox_path="", **fields)
        assert crash()
        sentry_sdk.flush()
    assert server.seen == []
    assert not path.exists()


@pytest.mark.parametrize("state", [QUEUED, LOCAL])
def test_a_dsn_that_is_given_as_an_option_is_as_good_as_one_in_the_settings(path: Path, state: str) -> None:
    """`init(dsn=…)` wins over the settings, and what cannot be sent there waits in the outbox."""
    dsns = [f"http://key@127.0.0.1:{unused_port()}/1", ""]
    option, setting = dsns if state == QUEUED else reversed(dsns)
    init(Settings(dsn=setting or None, outbox_path=str(path)), dsn=option, default_integrations=False)
    event_id = crash()
    kept = wait_until(lambda: Outbox(path, create=False).find(event_id))
    sentry_sdk.get_client().close(timeout=0)
    assert [entry.state for entry in kept] == [state]


def test_an_error_reaches_the_server_and_leaves_the_file(start: Start, server: Ingest) -> None:
    """Everything is as the SDK's own transport would have sent it, and the health says so."""
    outbox = start(server.dsn)
    event_ids = [crash(), sentry_sdk.capture_message("hello")]
    sentry_sdk.flush()
    assert server.event_ids() == event_ids
    assert outbox.entries() == []
    state = health()
    assert (state.queued, state.sent, state.dropped, state.set_aside, state.fault) == (0, 2, 0, 0, "")
    assert state.seconds_since_success is not None
    assert state.seconds_since_success < 5


def test_a_process_without_errors_leaves_no_file(start: Start, path: Path, server: Ingest) -> None:
    """No folder, no file, no thread for an application that captures nothing."""
    before = threading.active_count()
    start(server.dsn)
    sentry_sdk.flush()
    assert not path.parent.exists()
    assert threading.active_count() <= before + 1  # the SDK's own worker, for the flush
    assert health().fault == ""


def test_while_the_server_is_away_events_wait_in_order(start: Start, path: Path) -> None:
    """Refused connections lose nothing: when the server comes, it gets all of them, oldest first, each once."""
    port = unused_port()
    outbox = start(f"http://key@127.0.0.1:{port}/1")
    event_ids = [crash(str(number)) for number in range(150)]
    wait_until(lambda: outbox.counts().get((QUEUED, "error")) == 150)
    wait_until(lambda: "refused" in health().last_error)
    with ingest(port) as server:
        retry_soon()
        server.wait_for(lambda it: len(it.taken) >= 150)
        assert server.event_ids() == event_ids


def test_the_time_of_sending_is_that_of_the_attempt_that_succeeds(start: Start) -> None:
    """The server takes an old `sent_at` for a wrong clock and would shift the event's time by the outage."""
    port = unused_port()
    outbox = start(f"http://key@127.0.0.1:{port}/1")
    crash()
    wait_until(lambda: outbox.entries() and outbox.entries()[0].attempts)
    time.sleep(1.1)
    with ingest(port) as server:
        retry_soon()
        server.wait_for(lambda it: len(it.taken) == 1)
    (event,) = server.items("event")
    assert server.taken[0].headers["sent_at"][:19] > event["timestamp"][:19]


def test_a_new_process_sends_what_an_earlier_one_left(start: Start, path: Path, server: Ingest) -> None:
    """What was queued at the end is sent at the next start, before anything new happens."""
    start(f"http://key@127.0.0.1:{unused_port()}/1")
    event_id = crash()
    sentry_sdk.get_client().close(timeout=0.05)
    wait_until(lambda: path.exists() and Outbox(path).entries())
    start(server.dsn)
    server.wait_for(lambda it: it.event_ids() == [event_id])


def test_a_new_process_sends_what_has_failed_again_and_again(start: Start, server: Ingest) -> None:
    """Also what waits for a time that has not come yet at the start: nobody else wakes the sender."""
    outbox = start(f"http://key@127.0.0.1:{unused_port()}/1")
    event_id = crash()
    sentry_sdk.get_client().close(timeout=0.05)
    wait_until(outbox.entries)
    outbox.failed(1, "HTTP 503", time.time() + 1)
    start(server.dsn)
    server.wait_for(lambda it: it.event_ids() == [event_id])


def test_a_clock_that_is_set_back_holds_up_nothing(
    start: Start, server: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed before that is tried again as soon as without."""
    outbox = start(server.dsn)
    server.script = [RESET]
    event_id = crash()
    wait_until(lambda: outbox.entries() and outbox.entries()[0].attempts == 1)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    retry_soon()
    server.wait_for(lambda it: it.event_ids() == [event_id])


def test_a_slow_pace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage one envelope goes in twenty seconds where the settings say so, and not one for all time."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace(per_second=0.05)
    pace.recover()
    sent = []
    while now < 100:
        wait = pace.wait(newest=7)
        if not wait:
            sent.append(now)
            pace.sent()
        now += max(wait, 0.5)
    assert sent == pytest.approx([0, 20, 40, 60, 80], abs=1)


def test_every_kind_of_failure_is_survived(start: Start, server: Ingest) -> None:
    """503, a reset connection, 500 and 408: the event stays and arrives in the end, once."""
    outbox = start(server.dsn)
    server.script = [(503, {}), RESET, (500, {}), (408, {})]
    event_id = crash()
    for attempt in range(1, 5):
        wait_until(lambda tried=attempt: outbox.entries() and outbox.entries()[0].attempts == tried)
        retry_soon()
        if attempt >= 3:
            outbox.release([QUEUED])  # an envelope that fails again and again waits longer on its own account
    server.wait_for(lambda it: it.event_ids() == [event_id])
    assert [status for _, _, status in server.seen] == [503, -2, 500, 408, 200]


def test_a_hanging_server_holds_up_nobody(start: Start, server: Ingest) -> None:
    """While one request hangs, capturing goes on and everything new is on disk within a moment."""
    outbox = start(server.dsn)
    server.script = [HANG]
    crash("hangs")
    server.wait_for(lambda it: len(it.seen) == 1)
    started = time.monotonic()
    event_ids = [crash(str(number)) for number in range(50)]
    wait_until(lambda: len(outbox.entries()) == 51, 2)
    assert time.monotonic() - started < 2
    server.released.set()
    wait_until(lambda: outbox.find(event_ids[0]) and outbox.get(1).attempts == 1)  # type: ignore[union-attr]
    retry_soon()
    server.wait_for(lambda it: set(event_ids) <= set(it.event_ids()))


def test_retry_after_is_obeyed(start: Start, server: Ingest) -> None:
    """503 with `Retry-After`: no request before that, whatever else is captured."""
    start(server.dsn)
    server.script = [(503, {"Retry-After": "2"})]
    crash("first")
    server.wait_for(lambda it: len(it.seen) == 1)
    crash("second")
    server.wait_for(lambda it: len(it.taken) == 2)
    assert server.seen[1][0] - server.seen[0][0] >= 1.9


@pytest.mark.parametrize(
    "limit",
    [(429, {"X-Sentry-Rate-Limits": "2:error:organization"}), (200, {"X-Sentry-Rate-Limits": "2:error:organization"})],
)
def test_rate_limits_hold_for_their_category_only(start: Start, server: Ingest, limit: Any) -> None:
    """While errors are unwanted, feedback goes out; the errors wait instead of being dropped, and go afterwards."""
    outbox = start(server.dsn)
    server.script = [limit]
    crash("first")
    server.wait_for(lambda it: len(it.seen) == 1)
    crash("second")
    feedback("still broken")
    server.wait_for(lambda it: it.items("feedback"))
    assert len([kept for kept in outbox.entries() if kept.kind == "error"]) == 1 + (limit[0] == 429)
    limited_until = server.seen[0][0] + 1.9
    server.wait_for(lambda it: len(it.event_ids()) == 2)
    errors = [at for at, envelope, _ in server.seen if envelope.get_event()]
    assert errors[1] > limited_until
    assert health().dropped == 0


def test_too_many_requests_without_a_word_waits_a_minute(start: Start, server: Ingest) -> None:
    """A bare 429 means a minute, by the SDK's rule."""
    start(server.dsn)
    server.script = [(429, {})]
    crash()
    server.wait_for(lambda it: len(it.seen) == 1)
    retry_soon()
    time.sleep(0.7)
    assert len(server.seen) == 1
    assert health().queued == 1


def test_what_the_server_refuses_for_good_is_set_aside(start: Start, server: Ingest) -> None:
    """A 400 is not tried again; its reason is kept, and the next event goes out at once."""
    outbox = start(server.dsn)
    server.script = [(400, {})]
    refused, fine = crash("refused"), crash("fine")
    server.wait_for(lambda it: it.event_ids() == [fine])
    wait_until(lambda: len(outbox.entries()) == 1)
    (kept,) = outbox.entries()
    assert (kept.event_id, kept.state) == (refused, SET_ASIDE)
    assert kept.reason.startswith('HTTP 400 {"detail"')
    assert health().set_aside == 1


def test_an_event_that_breaks_the_server_does_not_hold_up_the_others(start: Start, server: Ingest) -> None:
    """The same 5xx again and again for one event: after three tries the others get their turn."""
    outbox = start(server.dsn)
    server.choose = lambda envelope: (500, {}) if b'"poison"' in envelope.serialize() else None
    poison = crash("poison")
    fine = [crash(str(number)) for number in range(5)]

    def all_others_arrived() -> bool:
        retry_soon()
        return set(server.event_ids()) >= set(fine)

    wait_until(all_others_arrived)
    wait_until(lambda: [kept.event_id for kept in outbox.entries()] == [poison])
    assert len([status for _, _, status in server.seen if status == 500]) >= 3


def test_transactions_go_the_sdks_way_unless_wanted(start: Start, server: Ingest) -> None:
    """They are sent without being kept; with `outbox_transactions` they are kept until the server took them."""
    log = Envelope({}, [Item(PayloadRef(json={"items": []}), type="log", headers={"item_count": 1})])
    outbox = start(server.dsn)
    sentry_sdk.get_client().transport.capture_envelope(log)  # type: ignore[union-attr]
    sentry_sdk.flush()
    assert [envelope.items[0].type for envelope in server.taken] == ["log"]
    assert not outbox.path.exists()
    server.script = [(503, {})]
    start(server.dsn, outbox_transactions=True)
    sentry_sdk.get_client().transport.capture_envelope(log)  # type: ignore[union-attr]
    wait_until(lambda: outbox.path.exists() and [kept.reason[:8] for kept in outbox.entries()] == ["HTTP 503"])
    retry_soon()
    server.wait_for(lambda it: len(it.taken) == 2)


def test_what_is_dropped_is_reported(start: Start, server: Ingest, warnings: Callable[[], list[str]]) -> None:
    """The server hears of it in a client report, the log once, the health at once."""
    port = unused_port()
    outbox = start(f"http://key@127.0.0.1:{port}/1", outbox_max_envelopes=10)
    for number in range(30):
        crash(str(number))
    wait_until(lambda: health().dropped == 20)
    assert health().queued == 10
    kept = {each.event_id for each in outbox.entries()}
    with ingest(port) as late:
        retry_soon()
        # One more may: what was on its way when it had to make room.
        late.wait_for(lambda it: kept <= set(it.event_ids()))
        sentry_sdk.flush()
        reports = [each for report in late.items("client_report") for each in report["discarded_events"]]
    assert len(kept) == 10
    assert sorted(late.event_ids()) == sorted(set(late.event_ids()))
    assert len(late.event_ids()) in (10, 11)
    assert sum(each["quantity"] for each in reports if each["reason"] == "cache_overflow") == 20
    assert {each["category"] for each in reports if each["reason"] == "cache_overflow"} == {"error"}
    (line,) = warnings()
    assert "dropped" in line


def test_what_is_dropped_locally_is_told(start: Start, warnings: Callable[[], list[str]]) -> None:
    """Without a DSN: by the log once, and by the health, which counts each once."""
    start(None, outbox_max_envelopes=10)
    for number in range(30):
        crash(str(number))
    sentry_sdk.flush()
    assert health().local == 10
    assert health().dropped in (20, 21)  # the metric that tells of it is kept, too, and may have to go
    (line,) = warnings()
    assert "dropped" in line


def test_where_no_thread_can_be_started_it_is_written_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter ends, and where the system has no more threads."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    outbox = start(None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    event_ids = [crash("one"), crash("two")]
    assert [kept.event_id for kept in reversed(outbox.entries())] == event_ids


def test_a_client_report_is_not_lost_with_a_failed_attempt(start: Start, server: Ingest) -> None:
    """A report rides with an envelope; when that does not arrive, the report rides with a later one."""
    start(server.dsn)
    transport: Any = sentry_sdk.get_client().transport
    server.script = [(503, {}), RESET]
    transport.record_lost_event("before_send", data_category="error", quantity=7)
    transport._last_client_report_sent = 0
    crash()
    server.wait_for(lambda it: len(it.seen) == 1)
    assert "client_report" in [item.type for item in server.seen[0][1].items]
    for attempts in (2, 3):
        transport._last_client_report_sent = 0
        retry_soon()
        server.wait_for(lambda it, n=attempts: len(it.seen) == n)
    sentry_sdk.flush()
    told = [each for report in server.items("client_report") for each in report["discarded_events"]]
    assert {(each["reason"], each["quantity"]) for each in told} == {("before_send", 7)}


def test_a_file_that_cannot_be_made_falls_back_to_the_sdk(
    start: Start, path: Path, server: Ingest, warnings: Callable[[], list[str]]
) -> None:
    """The folder is no folder: events are sent unkept, one log line says so, and all is well when it is mended."""
    path.parent.write_text("in the way")
    start(server.dsn)
    event_ids = [crash("one"), crash("two")]
    server.wait_for(lambda it: len(it.taken) == 2)
    assert [line for line in warnings() if "cannot be written" in line] == warnings()
    assert len(warnings()) == 1
    path.parent.unlink()
    time.sleep(1.1)
    event_ids.append(crash("three"))
    server.wait_for(lambda it: set(it.event_ids()) == set(event_ids))
    wait_until(lambda: health().sent == 1)
    assert "can be written again" in warnings()[-1]


@pytest.mark.parametrize("has_dsn", [False, True])
def test_health_tells_that_the_file_cannot_be_written(
    start: Start, path: Path, server: Ingest, warnings: Callable[[], list[str]], *, has_dsn: bool
) -> None:
    """Before anything was lost, after that, and no longer once it is mended; to look leaves nothing behind."""
    path.parent.write_text("in the way")
    start(server.dsn if has_dsn else None)
    assert health().fault
    crash()
    sentry_sdk.flush()
    assert health().fault
    path.parent.unlink()
    sentry_sdk.get_client().close(timeout=0)
    start(server.dsn if has_dsn else None)
    assert health().fault == ""
    assert not path.parent.exists()
    path.parent.mkdir()
    path.mkdir()  # a folder where the file should be
    crash()
    sentry_sdk.flush()
    assert health().fault
    assert bool(health().dropped) is not has_dsn
    assert sum("outbox.sqlite3 cannot be written" in line for line in warnings()) == 2
    path.rmdir()
    time.sleep(1.1)  # for so long a file that failed is not tried
    crash()
    sentry_sdk.flush()
    assert health().fault == ""
    assert "can be written again" in warnings()[-1]


def test_a_locked_database_is_waited_for_and_then_done_without(start: Start, path: Path, server: Ingest) -> None:
    """Another program holds the file: within seconds the event goes out all the same, and the next is kept again."""
    outbox = start(server.dsn)
    crash("fine")
    wait_until(lambda: health().sent == 1)
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    event_id = crash("locked out")
    assert time.monotonic() - started < 0.5
    server.wait_for(lambda it: event_id in it.event_ids())
    locker.execute("ROLLBACK")
    locker.close()
    time.sleep(1.1)
    crash("fine again")
    wait_until(lambda: health().sent == 2)
    assert outbox.entries() == []


@pytest.mark.parametrize("feedback", [False, True])
def test_what_cannot_be_deleted_holds_up_nothing_and_is_sent_once(
    start: Start, path: Path, server: Ingest, feedback: bool
) -> None:
    """A full disk or a quota: when all is sent, a new file begins; not where the old one has what visitors wrote."""
    start(server.dsn)
    event_ids = [crash("before")]
    wait_until(lambda: health().sent == 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as disk:
        disk.execute("CREATE TRIGGER full BEFORE DELETE ON envelope BEGIN SELECT RAISE (ABORT, 'no room'); END")
        if feedback:
            FeedbackStore(path).add(dict.fromkeys(COLUMNS, "") | {"written_at": time.time()})
        event_ids += [crash(f"on a full disk {number}") for number in range(3)]
        server.wait_for(lambda it: len(it.event_ids()) == 4)
        if feedback:
            assert health().queued == 3
            disk.execute("DROP TRIGGER full")
            retry_soon()
    wait_until(lambda: health().sent == 4)
    assert health().queued == 0
    assert len(FeedbackStore(path).newest()) == feedback
    assert server.event_ids() == event_ids


def test_what_is_written_after_the_client_closed_stays_for_the_next_one(
    start: Start, path: Path, server: Ingest
) -> None:
    """The disk is busy while the client closes: no sender is left behind, which would lead and send for ever."""
    start(server.dsn)
    crash("before")
    wait_until(lambda: health().sent == 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        event_id = crash("while it closes")
        time.sleep(0.2)  # the writer has it and waits
        transport: Any = sentry_sdk.get_client().transport
        sentry_sdk.get_client().close(timeout=0)
        locker.execute("ROLLBACK")
    transport.flush(10)
    outbox = Outbox(path, create=False)
    assert [kept.event_id for kept in outbox.entries()] == [event_id]
    wait_until(lambda: not running_threads())
    outbox.close()
    assert event_id not in server.event_ids()
    start(server.dsn)
    server.wait_for(lambda it: event_id in it.event_ids())


def test_a_sender_that_was_stopped_and_started_again_sends_once(start: Start, server: Ingest) -> None:
    """It still waits for an answer when the next one starts: that one takes its turn after it."""
    server.script = [HANG]
    start(server.dsn)
    transport: Any = sentry_sdk.get_client().transport
    event_ids = [crash("hangs")]
    server.wait_for(lambda it: len(it.seen) == 1)
    transport.kill()
    event_ids.append(crash("after"))
    time.sleep(0.5)
    assert len(server.seen) == 1
    server.released.set()  # the SDK's pool tries again by itself
    server.wait_for(lambda it: len(it.taken) >= 2)
    wait_until(lambda: health().queued == 0)
    assert sorted(server.event_ids()) == sorted(event_ids)


def test_a_client_that_takes_the_place_of_another_sends_what_is_kept(start: Start, server: Ingest) -> None:
    """A process that starts the SDK twice, with another DSN: the first client's sender does not lead for ever."""
    start(server.dsn)
    before = crash("before")
    server.wait_for(lambda it: before in it.event_ids())
    with ingest() as other:
        start(other.dsn)
        after = crash("after")
        other.wait_for(lambda it: after in it.event_ids())
        sentry_sdk.get_client().close(timeout=0)
        wait_until(lambda: not running_threads())
    assert server.event_ids() == [before]


def test_a_damaged_file_is_replaced_and_what_is_readable_is_saved(
    start: Start, path: Path, warnings: Callable[[], list[str]]
) -> None:
    """Random bytes in the middle: the outbox goes on by itself, and most of what was kept is still sent."""
    port = unused_port()
    outbox = start(f"http://key@127.0.0.1:{port}/1")
    event_ids = [crash(str(number)) for number in range(200)]
    wait_until(lambda: len(outbox.entries()) == 200)
    sentry_sdk.get_client().close(timeout=0)
    wait_until(lambda: not running_threads())
    outbox.entries()
    outbox.close()  # the log goes with the last connection, unless two are closed at once
    assert not Path(f"{path}-wal").exists()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(20_000))
    with ingest(port) as server:
        start(server.dsn)
        event_ids.append(crash("after"))
        server.wait_for(lambda it: event_ids[-1] in it.event_ids())
        wait_until(lambda: health().queued == 0)
        arrived = server.event_ids()
    assert Path(f"{path}.damaged").exists()
    assert len(set(arrived)) > 100
    assert len(arrived) - len(set(arrived)) <= 2  # what was on its way just then may go twice
    assert set(arrived) <= set(event_ids)
    assert any("was damaged" in line for line in warnings())


def damage_an_index(path: Path) -> None:
    """Random bytes where new envelopes are to be noted; the envelopes themselves can still be read."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'envelope_state'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("INSERT INTO note VALUES ('touched', 1)")  # so that nobody trusts the pages in memory
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))


def hold_the_next(server: Ingest, status: int = 200) -> tuple[threading.Event, threading.Event]:
    """Two events: that the next envelope arrived, and that it may be answered."""
    arrived, may_answer = threading.Event(), threading.Event()

    def hold(_: Envelope) -> Any:
        server.choose = lambda _: None
        arrived.set()
        may_answer.wait(20)
        return status, {}

    server.choose = hold
    return arrived, may_answer


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("writer_finds_it", [False, True])
def test_what_is_on_its_way_while_the_file_is_mended_goes_once(
    start: Start, path: Path, server: Ingest, *, refused: bool, writer_finds_it: bool
) -> None:
    """In the new file it has another number; what was counted before counts on."""
    start(server.dsn)
    event_ids = [crash("before"), crash("before, too")]
    wait_until(lambda: health().sent == 2)
    arrived, may_answer = hold_the_next(server, 400 if refused else 200)
    on_its_way = crash("on its way")
    assert arrived.wait(20)
    damage_an_index(path)
    if writer_finds_it:
        event_ids.append(crash("after"))
        sentry_sdk.get_client().transport._writer.flush(20)  # type: ignore[union-attr]
        assert Path(f"{path}.damaged").exists()
    may_answer.set()
    wait_until(lambda: health().sent + health().set_aside == len(event_ids) + 1)
    assert Path(f"{path}.damaged").exists()
    assert health().queued == 0
    assert sorted(server.event_ids()) == sorted(event_ids + [on_its_way] * (not refused))
    assert [envelope.headers["event_id"] for _, envelope, _ in server.seen].count(on_its_way) == 1
    assert (health().sent, health().set_aside) == (len(server.event_ids()), int(refused))


@pytest.mark.parametrize("writer_finds_it", [False, True])
def test_feedback_on_its_way_while_the_file_is_mended_is_listed_as_delivered(
    start: Start, path: Path, server: Ingest, *, writer_finds_it: bool
) -> None:
    start(server.dsn)
    crash("before")
    wait_until(lambda: health().sent == 1)
    arrived, may_answer = hold_the_next(server)
    FeedbackStore(path).add(dict.fromkeys(COLUMNS, "") | {"written_at": 1e12, "envelope_id": SOME_ID, "state": KEPT})
    feedback("It broke.", SOME_ID)
    assert arrived.wait(20)
    damage_an_index(path)
    if writer_finds_it:
        crash("after")
        sentry_sdk.get_client().transport._writer.flush(20)  # type: ignore[union-attr]
    may_answer.set()
    wait_until(lambda: health().sent == 2 + writer_finds_it)
    assert Path(f"{path}.damaged").exists()
    assert [row["state"] for row in FeedbackStore(path).newest()] == [DELIVERED]


def test_a_file_of_random_bytes_is_replaced(start: Start, path: Path, server: Ingest) -> None:
    """Nothing of it can be saved; the next event is kept and sent as ever."""
    path.parent.mkdir()
    path.write_bytes(os.urandom(50_000))
    start(server.dsn)
    event_id = crash()
    server.wait_for(lambda it: it.event_ids() == [event_id])
    wait_until(lambda: health().sent == 1)
    assert Path(f"{path}.damaged").stat().st_size == 50_000


def test_an_envelope_that_is_no_json_costs_no_other(start: Start, server: Ingest) -> None:
    """One that cannot be written is left to the SDK; those beside it are kept and sent."""
    start(server.dsn)
    bad = Envelope({"event_id": "1" * 32}, [Item(PayloadRef(json={"level": object()}), type="event")])
    transport: Any = sentry_sdk.get_client().transport
    event_ids = [crash("before")]
    transport.capture_envelope(bad)
    event_ids.append(crash("after"))
    server.wait_for(lambda it: it.event_ids() == event_ids)


def test_one_process_at_a_time_sends(start: Start, path: Path, server: Ingest) -> None:
    """While another process leads, this one only keeps; when that one is gone, this one sends."""
    path.parent.mkdir()
    leader = Leadership(path)
    assert leader.acquire()
    outbox = start(server.dsn)
    event_id = crash()
    wait_until(lambda: outbox.path.exists() and outbox.entries())
    time.sleep(0.3)
    assert server.seen == []
    leader.close()
    server.wait_for(lambda it: it.event_ids() == [event_id])


def test_a_leader_whose_lock_was_deleted_leads_no_more(path: Path) -> None:
    """Somebody removed the outbox's folder under running processes: another leads there by now, with a new lock."""
    path.parent.mkdir()
    leader = Leadership(path)
    assert leader.acquire()
    lock = Path(f"{path}.lock")
    before = lock.stat().st_ino
    lock.rename(f"{lock}.gone")
    holder = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "leads True\n"
        assert not leader.acquire()
    assert leader.acquire()
    assert lock.stat().st_ino != before
    leader.close()


HOLDER = """
import sys
from asgi_rota_sentry.outbox.leadership import Leadership
leader = Leadership(sys.argv[1])
print("leads", leader.acquire(), flush=True)
sys.stdin.read()
"""


def test_a_lock_that_cannot_be_opened_is_told(
    start: Start, path: Path, server: Ingest, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another user's, made by a command of root's: what is kept is not sent, and the log says so once."""
    lock, opening = f"{path}.lock", os.open

    def refuse(file: Any, *args: Any, **options: Any) -> int:
        if str(file) == lock:
            raise PermissionError(13, "Permission denied", file)
        return opening(file, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        outbox = start(server.dsn)
        event_id = crash()
        wait_until(lambda: outbox.entries() and warnings())
        time.sleep(0.8)
        assert warnings() == [f"What the outbox {path} keeps is not sent: {lock} cannot be opened (Permission denied)."]
    server.wait_for(lambda it: it.event_ids() == [event_id])
    assert warnings()[1:] == [f"What the outbox {path} keeps can be sent again."]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_lock_that_root_makes_is_the_owners(path: Path) -> None:
    """`sudo asgi-rota-sentry outbox send` leaves no lock behind that the application may not open."""
    path.parent.mkdir()
    path.touch()
    os.chown(path, 12345, 12345)
    leader = Leadership(path)
    assert leader.acquire()
    leader.close()
    assert Path(f"{path}.lock").stat().st_uid == 12345


SENDER = """
import sys
import sentry_sdk
from asgi_rota_sentry import Settings, init
init(Settings(dsn=sys.argv[2], outbox_path=sys.argv[1]), default_integrations=False, auto_enabling_integrations=False)
sentry_sdk.capture_message("from elsewhere")
sys.stdin.read()
"""


def test_two_dsns_at_one_file_are_told(
    start: Start, path: Path, server: Ingest, warnings: Callable[[], list[str]]
) -> None:
    """One process sends for all at the file: where another's DSN is another, its events are in the wrong project."""
    with subprocess.Popen([sys.executable, "-c", SENDER, str(path), server.dsn], stdin=subprocess.PIPE):
        server.wait_for(lambda it: len(it.taken) == 1)
        start(f"http://key@127.0.0.1:{server.port}/2")
        crash()
        server.wait_for(lambda it: len(it.taken) == 2)
        wait_until(warnings)
        time.sleep(1.5)
    there, here = f"127.0.0.1:{server.port}/1", f"127.0.0.1:{server.port}/2"
    told = f"What the outbox {path} keeps is sent to {there} by another process, not to {here}: each needs a file of"
    assert warnings() == [f"{told} its own."]


def _in_child(event_ids: Any) -> None:
    event_ids.put(crash("in the child"))
    sentry_sdk.flush()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_after_init(start: Start, server: Ingest) -> None:
    """Threads, connections and what waits in memory belong to the parent; a child starts afresh and loses nothing."""
    start(server.dsn)
    event_ids = [crash("before")]
    wait_until(lambda: health().sent == 1)
    context = multiprocessing.get_context("fork")
    told: Any = context.SimpleQueue()
    for _ in range(3):
        event_ids.append(crash("in memory while forking"))
        child = context.Process(target=_in_child, args=(told,))
        child.start()
        event_ids.append(crash("in the parent"))
        child.join(20)
        assert child.exitcode == 0
        event_ids.append(told.get())
    server.wait_for(lambda it: len(it.taken) >= len(event_ids))
    time.sleep(0.2)
    assert sorted(server.event_ids()) == sorted(event_ids)


LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(1.3)
"""


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_while_the_file_is_locked(start: Start, path: Path, server: Ingest) -> None:
    """Forked while the writer waits for another program and more waits in memory: each event arrives once."""
    start(server.dsn)
    event_ids = [crash("before")]
    wait_until(lambda: health().sent == 1)
    locker = subprocess.Popen([sys.executable, "-c", LOCKER, str(path)], stdout=subprocess.PIPE)
    assert locker.stdout is not None
    assert locker.stdout.readline() == b"locked\n"
    event_ids.append(crash("taken by the writer"))
    time.sleep(0.2)
    event_ids += [crash("in the queue") for _ in range(3)]
    context = multiprocessing.get_context("fork")
    told: Any = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(told,))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    event_ids.append(told.get())
    server.wait_for(lambda it: len(it.taken) >= len(event_ids))
    time.sleep(0.5)
    locker.communicate()
    assert sorted(server.event_ids()) == sorted(event_ids)


def test_the_threads_carry_nothing_of_the_request_that_started_them(start: Start, server: Ingest) -> None:
    """A capture inside a request starts the threads; they must not hold on to that request's user."""
    start(server.dsn, {"default_integrations": True, "release": "1"})
    with sentry_sdk.isolation_scope() as scope:
        scope.set_user({"id": "SCW1001"})
        crash()
    wait_until(lambda: health().sent == 1)
    transport: Any = sentry_sdk.get_client().transport
    seen: list[Any] = []
    transport._sender._blocked = lambda: seen.append(sentry_sdk.get_isolation_scope()._user) or []
    wait_until(lambda: seen)
    assert set(map(str, seen)) == {"None"}


def test_leaving_waits_for_what_can_be_sent_and_no_longer(start: Start, server: Ingest) -> None:
    """`flush` sends all when the server is there, and gives up early when it is known to be away."""
    start(server.dsn)
    for number in range(30):
        crash(str(number))
    sentry_sdk.flush(timeout=10)
    assert len(server.event_ids()) == 30
    server.always = (503, {"Retry-After": "60"})
    crash("kept")
    server.wait_for(lambda it: it.seen[-1][2] == 503)
    started = time.monotonic()
    sentry_sdk.flush(timeout=5)
    assert time.monotonic() - started < 1
    assert health().queued == 1


def test_health_without_an_outbox_says_so(start: Start, server: Ingest) -> None:
    """The SDK's own transport has none."""
    start(server.dsn, outbox_path="")
    assert health().fault == "the running Sentry client has no outbox"
