"""No event is lost: a real application under uvicorn, a real Bugsink, and everything that goes wrong between them.

Each test says what the outbox did, and what the SDK's own transport did in the same story.
"""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from asgi_rota_sentry.outbox import Outbox
from tests.e2e.bugsink import Bugsink
from tests.e2e.uvicorn_app import App, running
from tests.ingest import HANG, RESET, ingest, unused_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

FAST = {"ROTA_SENTRY_OUTBOX_SENDS_PER_SECOND": "1000"}
PLAIN = {"PLAIN_SDK": "1"}
Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Tell a figure, whatever pytest does with output."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", end="", flush=True)

    return tell


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bugsink]:
    """A Bugsink that is not running yet."""
    made = Bugsink(tmp_path / "bugsink")
    yield made
    made.stop()


def kept(app: App) -> list[str]:
    return [each.event_id for each in Outbox(app.environment["ROTA_SENTRY_OUTBOX"], create=False).entries()]


# What was answered this long before a SIGKILL must have been on disk by then. On a machine at rest it takes a
# millisecond; this is for one that runs other tests beside.
_WINDOW = 1.0


def errors_with_a_kill_midway(app: App, total: int) -> tuple[set[str], set[str]]:
    """SIGKILL to all processes while errors are being answered, then a restart and the rest.

    The IDs of `total` errors that must not be lost, and of those that were answered just before the SIGKILL.
    """
    killed_at: list[float] = []

    def kill() -> None:
        time.sleep(4)
        killed_at.append(time.monotonic())
        app.signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    before: list[str] = []
    while not killed_at and len(before) < total - 100:
        before += app.errors(16)
    killer.join()
    app.wait()
    at_risk = {event_id for event_id in before if app.answered_at[event_id] > killed_at[0] - _WINDOW}
    app.start()
    safe = set(before) - at_risk
    return safe | set(app.errors(total - len(safe))), at_risk


def test_server_down_killed_midway_restarted(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """2,000 answered errors with the server down and a SIGKILL midway are 2,000 different events in Bugsink."""
    outcome = {}
    for name, environment in (("SDK", PLAIN), ("outbox", FAST)):
        folder = tmp_path / name
        folder.mkdir()
        with running(folder, server.dsn, **environment) as app:
            wanted, at_risk = errors_with_a_kill_midway(app, 2000)
            time.sleep(_WINDOW)  # the end of the application is a SIGKILL too
            app.kill()
            server.start()
            app.start()
            assert len(wanted) == 2000
            assert at_risk
            started = time.monotonic()
            server.wait_for_ids(wanted, 5 if name == "SDK" else 300)
            took = time.monotonic() - started
            stored = server.event_ids()
            outcome[name] = len(wanted & set(stored))
            luck = len(at_risk & set(stored))
            say(f"{name}: {outcome[name]} of 2000 in Bugsink after {took:.0f} s,")
            say(f"  and {luck} of the {len(at_risk)} answered within {_WINDOW:g} s before the SIGKILL")
            assert len(stored) == len(set(stored))
            app.kill()
            server.stop()
    assert outcome["outbox"] == 2000
    assert outcome["SDK"] < 200


def test_a_server_with_every_bad_day(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """429 with Retry-After, 503, hanging, resetting, then good: everything arrives, once, and 429 is obeyed."""
    outcome = {}
    for name, environment in (("SDK", PLAIN), ("outbox", {})):
        folder = tmp_path / name
        folder.mkdir()
        script = [(429, {"Retry-After": "2"}), (503, {}), HANG, RESET]
        with running(folder, server.dsn, workers=4, SEND_TIMEOUT="2", **environment) as app:
            with ingest(server.port) as bad_day:
                bad_day.script = list(script)
                bad_day.always = (503, {})
                event_ids = []
                while len(bad_day.seen) < len(script):
                    assert len(event_ids) < 1000
                    event_ids += app.errors(4)
                    time.sleep(0.25)
                pause = bad_day.seen[1][0] - bad_day.seen[0][0]
            server.start()
            event_ids += app.errors(4)
            server.wait_for_ids(event_ids, 5 if name == "SDK" else 60)
            stored = server.event_ids()
            assert len(stored) == len(set(stored))
            outcome[name] = (len(set(event_ids) & set(stored)), len(event_ids))
            say(f"{name}: {outcome[name][0]} of {outcome[name][1]} in Bugsink; {pause:.1f} s between 429 and the next")
            server.stop()
    assert outcome["outbox"][0] == outcome["outbox"][1]
    assert pause >= 1.9


@contextmanager
def small_disk(folder: Path, app: dict[str, str]) -> Iterator[Path]:
    """A folder on a disk of 2 MiB; without the right to mount, files of no more than 1 MiB."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        app["FILE_SIZE_LIMIT"] = str(1024 * 1024)
    try:
        yield place
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """The application goes on; what fits is kept and arrives; the log says so once a worker; then all is well again."""
    environment = dict(FAST)
    with small_disk(tmp_path, environment) as place:
        environment["ROTA_SENTRY_OUTBOX"] = str(place / "outbox.sqlite3")
        with running(tmp_path, server.dsn, workers=2, **environment) as app:
            event_ids = app.errors(600, each=10)
            assert len(event_ids) == 600
            fitted = set(kept(app))
            complaints = app.log.read_text().count("cannot be written")
            server.start()
            assert not server.wait_for_ids(fitted, 90)
            wait_until(lambda: app.get("/health")["queued"] == 0, 20)
            later = app.errors(20)
            assert not server.wait_for_ids(later, 60)
            stored = server.event_ids()
    arrived = len(set(stored) & fitted)
    say(f"outbox: {len(fitted)} of 600 fitted on the disk, {arrived} of them and {len(later)} of 20 later arrived")
    assert 20 < len(fitted) < 600
    assert len(stored) == len(set(stored))
    assert 1 <= complaints <= 2


def test_a_file_overwritten_with_random_bytes(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """While four workers use it: they go on by themselves, and all but what was overwritten arrives."""
    with running(tmp_path, server.dsn, **FAST) as app:
        before = app.errors(300)
        wait_until(lambda: set(before) <= set(kept(app)), 20)
        path = Path(app.environment["ROTA_SENTRY_OUTBOX"])
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(os.urandom(16_384))
        after = app.errors(100)
        server.start()
        assert not server.wait_for_ids(after, 90)
        wait_until(lambda: app.get("/health")["queued"] == 0, 60)
        stored = server.event_ids()
        saved = len(set(before) & set(stored))
    say(f"outbox: {saved} of 300 kept before the damage arrived, and {len(set(after) & set(stored))} of 100 after it")
    assert saved > 150
    assert len(stored) == len(set(stored))


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A folder in which nothing can be written, for root neither where mounting is allowed."""
    place = folder / "read-only"
    place.mkdir(mode=0o555)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=False, capture_output=True
    )
    try:
        yield place
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_folder(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """As with the SDK alone: what the server takes at once arrives; the log says so once a worker."""
    server.start()
    with (
        read_only(tmp_path) as place,
        running(tmp_path, server.dsn, workers=2, ROTA_SENTRY_OUTBOX=str(place / "outbox.sqlite3")) as app,
    ):
        event_ids = app.errors(40)
        server.wait_for_ids(event_ids, 30)
        stored = server.event_ids()
        complaints = app.log.read_text().count("cannot be written")
    say(f"outbox: {len(set(event_ids) & set(stored))} of 40 arrived unkept, {complaints} log lines from 2 workers")
    assert set(event_ids) == set(stored)
    assert 1 <= complaints <= 2


FORKING = """
import os, sys, time
sys.path.insert(0, os.getcwd())
from tests.e2e.outbox_app import capture, sentry_sdk
tell = lambda ids: os.write(1, "".join(f"{id}\\n" for id in ids).encode())  # at once: all write to the same pipe
ids = [capture(0)[0] for _ in range(25)]
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        ids = [capture(0)[0] for _ in range(25)]
        tell(ids)
        sentry_sdk.flush(10)
        os._exit(0)
    children.append(child)
    ids += [capture(0)[0] for _ in range(5)]
tell(ids)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
sentry_sdk.flush(10)
"""


def test_fork_after_init(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """Parent and four children forked with a busy transport: 145 different events, each once."""
    server.start()
    environment = {**os.environ, **FAST, "SENTRY_DSN": server.dsn}
    environment["ROTA_SENTRY_OUTBOX"] = str(tmp_path / "kept" / "outbox.sqlite3")
    done = subprocess.run(
        [sys.executable, "-c", FORKING], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    event_ids = done.stdout.split()
    assert len(set(event_ids)) == 145
    server.wait_for_ids(event_ids, 60)
    stored = server.event_ids()
    twice = server.received() - len(stored)
    say(f"outbox: {len(set(stored) & set(event_ids))} of 145 in Bugsink, {twice} received twice")
    assert sorted(stored) == sorted(event_ids)


def test_sigterm_with_500_queued(tmp_path: Path, server: Bugsink, say: Say) -> None:
    """An orderly end with the server down: quick, nothing lost, all 500 arrive after the next start."""
    outcome = {}
    for name, environment in (("SDK", PLAIN), ("outbox", FAST)):
        folder = tmp_path / name
        folder.mkdir()
        with running(folder, server.dsn, **environment) as app:
            event_ids = app.errors(500, each=5)
            app.signal(signal.SIGTERM)
            seconds = app.wait()
            server.start()
            app.start()
            server.wait_for_ids(event_ids, 3 if name == "SDK" else 120)
            stored = server.event_ids()
            outcome[name] = len(set(event_ids) & set(stored))
            say(f"{name}: ended in {seconds:.1f} s, {outcome[name]} of 500 in Bugsink after the next start")
            server.stop()
    assert outcome["outbox"] == 500


def test_a_storm_of_5000_errors(tmp_path: Path, say: Say) -> None:
    """With a server that hangs: all 5,000 are on disk, memory stays bounded, and the application keeps answering."""
    for name, environment in (("SDK", PLAIN), ("outbox", {})):
        folder = tmp_path / name
        folder.mkdir()
        with ingest() as hanging, running(folder, hanging.dsn, **environment) as app:
            hanging.always = HANG
            calm = {answer["pid"]: answer["memory"] for answer in (app.get("/ping") for _ in range(40))}
            delays: list[float] = []
            over = threading.Event()
            watcher = threading.Thread(target=_watch, args=(app, delays, over))
            watcher.start()
            started = time.monotonic()
            event_ids = app.errors(5000, each=5)
            seconds = time.monotonic() - started
            over.set()
            watcher.join()
            stormy = {answer["pid"]: answer["memory"] for answer in (app.get("/ping") for _ in range(40))}
            growth = max(stormy[pid] - calm[pid] for pid in stormy.keys() & calm.keys())
            if name == "outbox":
                wait_until(lambda app=app, wanted=event_ids: set(wanted) <= set(kept(app)), 10)
            on_disk = len(set(kept(app)) & set(event_ids)) if name == "outbox" else 0
            median, slowest = statistics.median(delays) * 1000, max(delays) * 1000
            say(
                f"{name}: {len(event_ids)} errors in {seconds:.1f} s, {on_disk} on disk, at most +{growth:.0f} MiB in a"
            )
            say(f"  worker; other requests took {median:.0f} ms, the slowest {slowest:.0f} ms")
            assert len(event_ids) == 5000
            assert max(delays) < 5
            if name == "outbox":
                assert on_disk == 5000
                assert growth < 100


def _watch(app: App, delays: list[float], over: threading.Event) -> None:
    while not over.wait(0.05):
        started = time.monotonic()
        with suppress(OSError, HTTPException):
            app.get("/ping")
        delays.append(time.monotonic() - started)


def test_after_an_outage_ten_a_second(tmp_path: Path, say: Say) -> None:
    """What was kept comes back gently: about ten envelopes a second by default."""
    port = unused_port()
    with running(tmp_path, f"http://key@127.0.0.1:{port}/1") as app:
        app.errors(80, each=5)
        with ingest(port) as back:
            back.wait_for(lambda server: len(server.event_ids()) == 80, 40)
            arrived = [at for at, _, _ in back.seen]
    rate = (len(arrived) - 1) / (arrived[-1] - arrived[0])
    say(f"outbox: {rate:.1f} a second after the outage")
    assert 6 < rate < 14
