"""The end of a lifespan: what was counted and queued goes out before the server hears that it may end."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from tests.conftest import MemoryTransport, session_counts
from tests.ingest import Ingest, ingest, unused_port
from tests.wire import Wire, http

Sentry = Callable[..., MemoryTransport]

LIFESPAN = {"type": "lifespan"}
TOLD = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
_ROOT = Path(__file__).parents[1]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Fails with every request, and knows a lifespan."""
    if scope["type"] != "lifespan":
        raise ValueError("nothing works")
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


@pytest.mark.anyio
async def test_what_was_counted_is_told_before_the_server_may_end(sentry: Sentry) -> None:
    """Errors over the budget, requests and sessions: nothing waits for an exit that a signal may skip."""
    transport = sentry(errors_per_minute=1, options={"release": "rota@1"})
    wrapped = RotaSentryMiddleware(app)
    for _ in range(5):
        await Wire().run(wrapped, http())
    by_then: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            by_then.extend(transport.envelopes)

    await wrapped(LIFESPAN, Wire(TOLD).receive, send)
    transport.envelopes[:] = by_then
    contexts = [event["contexts"] for event in transport.events]
    assert [context.get("error_budget", {}).get("not_sent") for context in contexts] == [None, 4]
    (sessions,) = transport.items("sessions")
    assert session_counts([sessions])["crashed"] == 5


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["hangs", "fails"])
async def test_a_transport_that_does_not_let_go_delays_the_end_and_no_more(
    sentry: Sentry, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server waits for the SDK's `shutdown_timeout` and a second."""
    transport = sentry(options={"shutdown_timeout": 0.1})
    released = threading.Event()

    def flush(timeout: float, callback: Any = None) -> None:
        if way == "fails":
            raise OSError("no network")
        released.wait(30)

    bare = await Wire(TOLD).run(app, LIFESPAN)
    monkeypatch.setattr(transport, "flush", flush)
    try:
        wrapped = await Wire(TOLD).run(RotaSentryMiddleware(app), LIFESPAN)  # gives up after ten seconds
    finally:
        released.set()
    assert wrapped.log == bare.log
    assert ("telling what is left" in caplog.text) == (way == "fails")


async def without(scope: Any, receive: Any, send: Any) -> None:
    """As Django: refuses a lifespan before it asks for anything."""
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Returns from a lifespan at once."""


async def half(scope: Any, receive: Any, send: Any) -> None:
    """Knows a lifespan, and fails in it."""
    await receive()
    raise ValueError("no database")


async def early(scope: Any, receive: Any, send: Any) -> None:
    """Knows a lifespan, and refuses before it was asked."""
    await send({"type": "lifespan.startup.failed", "message": "no database"})
    raise ValueError("no database")


@pytest.mark.anyio
@pytest.mark.parametrize("bare", [without, silent])
async def test_a_lifespan_is_answered_in_the_application_s_place(sentry: Sentry, bare: Any) -> None:
    """When that is wished for; it then ends as one of the application's own does, and is no event."""
    transport = sentry()
    wrapped = RotaSentryMiddleware(bare, Settings(answer_lifespan=True))
    wire = await Wire(TOLD).run(wrapped, LIFESPAN)
    assert [message["type"] for message in wire.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert ("returned", None) in wire.log
    assert transport.events == []


@pytest.mark.anyio
@pytest.mark.parametrize("bare", [app, half, early])
async def test_a_lifespan_that_the_application_knows_is_its_own(sentry: Sentry, bare: Any) -> None:
    """Whether it succeeds or fails: the server hears nothing but the application."""
    sentry()
    wrapped = RotaSentryMiddleware(bare, Settings(answer_lifespan=True))
    assert (await Wire(TOLD).run(wrapped, LIFESPAN)).log == (await Wire(TOLD).run(bare, LIFESPAN)).log


_SERVED = """
from starlette.applications import Starlette
from starlette.routing import Route
from asgi_rota_sentry import RotaSentryMiddleware, init

async def fails(request):
    raise ValueError("nothing works")

init()
app = RotaSentryMiddleware(Starlette(routes=[Route("/", fails)]))
"""

_SERVED_DJANGO = """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path
from asgi_rota_sentry import RotaSentryMiddleware, init

async def fails(request):
    raise ValueError("nothing works")

urlpatterns = [path("", fails)]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
init()
app = RotaSentryMiddleware(get_asgi_application())
"""


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _not_sent(server: Ingest) -> int:
    return sum(event["contexts"].get("error_budget", {}).get("not_sent", 0) for event in server.items("event"))


@pytest.mark.parametrize(
    ("served", "answers"), [(_SERVED, "false"), (_SERVED_DJANGO, "true")], ids=["starlette", "django"]
)
def test_a_server_that_a_signal_stops_leaves_nothing_uncounted(tmp_path: Path, served: str, answers: str) -> None:
    """uvicorn ends by the very signal, so that nothing runs at the process's exit; Django knows no lifespan."""
    (tmp_path / "served.py").write_text(served)
    port = unused_port()
    url = f"http://127.0.0.1:{port}/"
    with ingest() as server:
        given = {
            "PYTHONPATH": os.pathsep.join((str(_ROOT), str(tmp_path))),
            "SENTRY_DSN": server.dsn,
            "SENTRY_RELEASE": "rota@1",
            "ROTA_SENTRY_ERRORS_PER_MINUTE": "2",
            "ROTA_SENTRY_OUTBOX": "",
            "ROTA_SENTRY_ANSWER_LIFESPAN": answers,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port), "--log-level", "critical"],
            env={**os.environ, **given},
            cwd=tmp_path,
        )
        try:
            deadline = time.monotonic() + 30
            while not _answers(url):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            for _ in range(19):
                assert _answers(url)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == -signal.SIGTERM
        finally:
            process.kill()
        assert len(server.items("event")) + _not_sent(server) - 1 == 20  # the last of the events stands for the rest
        assert session_counts(server.items("sessions")) == {"crashed": 20}
