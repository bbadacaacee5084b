"""A process that forks after it has served requests, as a server with a preloaded application may."""

import os
import threading
import time
from _thread import start_new_thread
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware, Settings, counters, faults, forks, init, outbox
from asgi_rota_sentry.feedback.fields import Draft
from asgi_rota_sentry.feedback.known import KnownEvents
from asgi_rota_sentry.feedback.repeats import Repeats
from asgi_rota_sentry.slow import SlowRequests
from asgi_rota_sentry.trail import Trail
from asgi_rota_sentry.trail.memory import MemoryStore
from tests.conftest import MemoryTransport, session_counts
from tests.forked import in_child
from tests.wire import Wire, http

Sentry = Callable[..., MemoryTransport]


def requesting() -> Callable[[], Awaitable[None]]:
    """Makes one request after the other of one wrapped application."""

    async def app(scope: object, receive: object, send: Callable[..., object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[misc]

    wrapped = RotaSentryMiddleware(app)  # type: ignore[arg-type]

    async def request() -> None:
        await Wire().run(wrapped, http())

    return request


def test_a_visitor_s_story_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is not kept waiting by a thread of its parent that was busy with the stories."""
    trail = Trail(["session"], visitors=10, length=5, seconds=60)
    key = trail.key(b"session=abc")
    trail.note(key, (None, time.time(), "GET", "/", "", 200, None))
    is_busy, is_forked, is_done = threading.Event(), threading.Event(), threading.Event()

    def slow(store: MemoryStore) -> None:
        if threading.current_thread() is not threading.main_thread():
            is_busy.set()
            is_forked.wait(10)

    def look() -> None:
        trail.earlier(key)
        is_done.set()

    monkeypatch.setattr(MemoryStore, "_forget_oldest", slow)
    start_new_thread(look, ())
    assert is_busy.wait(10)
    assert in_child(lambda: str(len(trail.earlier(key)))) == "1"
    is_forked.set()
    assert is_done.wait(10)
    assert len(trail.earlier(key)) == 1


def test_a_session_is_told_of_by_the_child_itself(sentry: Sentry) -> None:
    """The SDK's thread that sends them did not come along; the child's first session begins another."""
    server = sentry(release="rota@1")

    request = requesting()

    def in_its_own_time() -> str:
        flusher = sentry_sdk.get_client().session_flusher
        assert flusher is not None
        flusher.flush_interval = 0.05  # type: ignore[assignment]
        anyio.run(request)
        time.sleep(1)
        return "told" if any(item.type == "sessions" for sent in server.envelopes for item in sent.items) else "lost"

    anyio.run(request)
    anyio.run(request)
    assert in_child(in_its_own_time) == "told"


def test_the_child_tells_none_of_its_parent_s_sessions(sentry: Sentry) -> None:
    """Nor is it kept waiting by the thread of its parent that was busy with the SDK's counts of them."""
    server = sentry(release="rota@1", traces_sample_rate=0)

    request = requesting()

    def counted() -> str:
        anyio.run(request)
        return str(session_counts(server.items("sessions"))["exited"])

    anyio.run(request)
    anyio.run(request)
    flusher = sentry_sdk.get_client().session_flusher
    assert flusher is not None
    with flusher._aggregate_lock:
        assert in_child(counted) == "1"
    assert counted() == "3"


def test_what_is_gone_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object is not kept alive for a fork that may come, and one that lives is called."""
    called: list[str] = []

    class Thing:
        def __init__(self, name: str) -> None:
            self._name = name

        def renew(self) -> None:
            called.append(self._name)

    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: registered.append(after_in_child))
    kept, gone = Thing("kept"), Thing("gone")
    for thing in (kept, gone):
        forks.in_child(thing.renew)
    del thing, gone
    for do in registered:
        do()
    assert called == ["kept"]


def test_what_the_parent_lost_the_child_does_not_tell_again(tmp_path: Path) -> None:
    """Who adds up what the processes have lost has each envelope once."""
    (tmp_path / "file").write_text("no folder")
    init(Settings(outbox_path=str(tmp_path / "file" / "outbox.sqlite3")))
    sentry_sdk.capture_message("lost")
    sentry_sdk.flush()
    assert outbox.health().dropped > 0
    assert in_child(lambda: str(outbox.health().dropped)) == "0"


def test_a_system_without_forks_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where there is no such function."""
    monkeypatch.delattr(os, "register_at_fork")
    forks.in_child(lambda: None)


_EVENT = {"event_id": "1" * 32}
_DRAFT = Draft(message="it broke")


@pytest.mark.parametrize(
    ("locked", "use"),
    [
        (counters._mine, lambda _: counters.count("errors")),
        (faults._mine, lambda _: faults.report("forking")),
        (SlowRequests(1.0), lambda slow: slow.is_to_be_told("/")),
        (KnownEvents(), lambda known: known.remember(_EVENT)),
        (Repeats(), lambda repeats: repeats.end(_DRAFT, "client", "id")),
        (MemoryStore(visitors=1, length=1), lambda store: store.read(1)),
    ],
    ids=["counters", "faults", "slow", "known", "repeats", "trail"],
)
def test_no_lock_that_a_thread_of_the_parent_held_keeps_the_child_waiting(
    locked: forks.Locked, use: Callable[[Any], object]
) -> None:
    """Whatever the parent was doing: counting, logging a fault, noting a slow request, an event or feedback."""
    is_held, is_forked = threading.Event(), threading.Event()

    def hold() -> None:
        with locked.lock:
            is_held.set()
            is_forked.wait(20)

    start_new_thread(hold, ())
    assert is_held.wait(10)
    try:
        assert in_child(lambda: f"done {use(locked) is ...}") == "done False"
    finally:
        is_forked.set()
