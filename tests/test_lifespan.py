"""The end of a lifespan: what was counted and queued goes out before the server hears that it may end."""

import contextvars
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.logging import LoggingIntegration
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

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
    by_then: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            by_then.extend(transport.envelopes)
        else:
            for _ in range(5):
                await Wire().run(wrapped, http())

    await wrapped(LIFESPAN, Wire(TOLD).receive, send)
    transport.envelopes[:] = by_then
    contexts = [event["contexts"] for event in transport.events]
    assert [context.get("error_budget", {}).get("not_sent") for context in contexts] == [None, 4]
    (sessions,) = transport.items("sessions")
    assert session_counts([sessions])["crashed"] == 5
    metrics = [metric for batch in transport.items("trace_metric") for metric in batch["items"]]
    assert [metric["value"] for metric in metrics if metric["name"] == "asgi_rota_sentry.requests"] == [5]


@pytest.mark.anyio
async def test_what_the_server_raises_at_a_message_is_the_application_s_to_know(sentry: Sentry) -> None:
    """As without us."""
    sentry()

    async def send(message: Any) -> None:
        raise OSError("no server any more")

    with pytest.raises(OSError, match="no server any more"):
        await RotaSentryMiddleware(app)(LIFESPAN, Wire(TOLD).receive, send)


@pytest.mark.anyio
@pytest.mark.parametrize("started", ["by us", "by sentry_sdk.init", "not at all"])
async def test_an_expected_failure_of_a_lifespan_is_no_event(
    sentry: Sentry, caplog: pytest.LogCaptureFixture, started: str
) -> None:
    """However the SDK was started. Nor is it, without the SDK, any fault of ours."""
    transport = sentry() if started == "by us" else MemoryTransport()
    if started == "by sentry_sdk.init":
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=transport)

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise HTTPException(404)

    with pytest.raises(HTTPException):
        await RotaSentryMiddleware(fails, Settings())(LIFESPAN, Wire(TOLD).receive, Wire().send)
    assert transport.events == []
    assert "A fault while" not in caplog.text


@pytest.mark.anyio
async def test_requests_that_the_server_has_just_cancelled_end_before_all_is_told(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvicorn cancels what has not ended in the time it leaves, and ends the lifespan without waiting for that."""
    sentry()
    requests = anyio.CancelScope()
    ended: list[str] = []

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:  # as Starlette does
            outer.start_soon(anyio.sleep_forever)
            inner.start_soon(anyio.sleep_forever)

    wrapped = RotaSentryMiddleware(streams)

    async def serve() -> None:
        with requests:
            await wrapped(http(), Wire().receive, Wire().send)
        ended.append("request")

    async def tell(*_: Any, **__: Any) -> None:
        ended.append("told")

    monkeypatch.setattr(anyio.to_thread, "run_sync", tell)
    async with anyio.create_task_group() as server:
        server.start_soon(serve)
        await anyio.wait_all_tasks_blocked()
        requests.cancel()
        await wrapped(LIFESPAN, Wire(TOLD).receive, Wire().send)
    assert ended == ["request", "told"]


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


@pytest.mark.anyio
@pytest.mark.parametrize("bare", [without, silent])
async def test_a_lifespan_is_nobody_s_unless_that_is_wished_for(sentry: Sentry, bare: Any) -> None:
    """The server learns that the application knows none, as it does without us."""
    sentry()
    wrapped = await Wire(TOLD).run(RotaSentryMiddleware(bare), LIFESPAN)
    assert wrapped.log == (await Wire(TOLD).run(bare, LIFESPAN)).log


def _starlette(when: str) -> Any:
    """Tells of its failure while it handles it, and raises it then."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        if when == "startup":
            raise ValueError("no database")
        yield
        raise ValueError("no database")

    return Starlette(lifespan=lifespan)


def _raw(when: str) -> Any:
    """Raises its failure, and tells of none."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if when == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        raise ValueError("no database")

    return fails


def _captured(when: str) -> Any:
    """Has captured its failure by itself when it raises it."""
    fails = _raw(when)

    async def captures(scope: Any, receive: Any, send: Any) -> None:
        try:
            await fails(scope, receive, send)
        except ValueError as exc:
            sentry_sdk.capture_exception(exc)
            raise

    return captures


def _grouped(when: str) -> Any:
    """Tells of its failure in a task of a group."""
    fails = _starlette(when)

    async def in_a_group(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fails, scope, receive, send)

    return in_a_group


def _refused(when: str) -> Any:
    """Is answered by an exception when it tells of its failure, as by hypercorn."""
    fails = _starlette(when)

    async def refused(scope: Any, receive: Any, send: Any) -> None:
        async def refuse(message: Any) -> None:
            await send(message)
            if message["type"].endswith("failed"):
                raise RuntimeError("Lifespan failure")

        await RotaSentryMiddleware(fails)(scope, receive, refuse)

    return refused


FAILING = {
    "Starlette": _starlette,
    "raw": _raw,
    "captured": _captured,
    "in a group": _grouped,
    "refused": _refused,
    "the SDK's layer inside": lambda when: SentryAsgiMiddleware(_raw(when)),
    "applied twice": lambda when: RotaSentryMiddleware(_starlette(when)),
}


class Uvicorn(Wire):
    """Logs what it is told of a failure, and the exception only where it was told of none."""

    async def send(self, message: Any) -> None:
        """Take one message."""
        await super().send(message)
        if message["type"].endswith("failed"):
            self.has_heard = True
            _log.error(message["message"])

    async def serve(self, app: Any, when: str) -> None:
        """Serve a lifespan that fails."""
        self.has_heard = False
        try:
            await app(dict(LIFESPAN), self.receive, self.send)
        except Exception as exc:
            if not self.has_heard:
                _log.error("Exception in 'lifespan' protocol\n", exc_info=exc)
        contextvars.Context().run(_log.error, f"Application {when} failed. Exiting.")


_log = logging.getLogger("uvicorn.error")


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["startup", "shutdown"])
@pytest.mark.parametrize("kind", FAILING)
async def test_a_lifespan_that_fails_is_one_event_sent_before_the_server_ends(
    sentry: Sentry, kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by a message, raised or both, captured by others, and logged by the server in three ways."""
    transport = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    flushed: list[int] = []
    monkeypatch.setattr(transport, "flush", lambda *_, **__: flushed.append(_count_events(transport)))
    await Uvicorn(TOLD).serve(RotaSentryMiddleware(FAILING[kind](when)), when)
    assert flushed[-1:] == [1]
    (event,) = transport.events
    assert event["exception"]["values"][-1]["value"] == "no database"


def _count_events(transport: MemoryTransport) -> int:
    return sum(item.type == "event" for envelope in transport.envelopes for item in envelope.items)


@pytest.mark.anyio
async def test_a_failure_before_the_application_was_asked_is_one_too(sentry: Sentry) -> None:
    """It has told of a lifespan, so that it knows one."""
    transport = sentry()
    await Wire(TOLD).run(RotaSentryMiddleware(early), LIFESPAN)
    assert [event["exception"]["values"][-1]["value"] for event in transport.events] == ["no database"]


@pytest.mark.anyio
@pytest.mark.parametrize("beside", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_told", [False, True], ids=["raised", "told"])
async def test_an_error_beside_what_ends_the_process_is_one_too(
    sentry: Sentry, beside: type[BaseException], *, is_told: bool
) -> None:
    """As of a request: one event of the group, which the server sees raised; of what ends the process alone none."""
    transport = sentry()
    ends = BaseExceptionGroup("tasks", [ValueError("no database"), beside()])

    def fails(exc: BaseException) -> Any:
        async def raises(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise exc

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            raise exc
            yield

        return Starlette(lifespan=lifespan) if is_told else raises

    for exc in (ends, beside()):
        with pytest.raises(BaseException) as found:  # noqa: PT011 - nothing less
            await RotaSentryMiddleware(fails(exc))(dict(LIFESPAN), (wire := Wire(TOLD)).receive, wire.send)
        assert found.value is exc
    (event,) = transport.events
    assert "no database" in [each["value"] for each in event["exception"]["values"]]


@pytest.mark.anyio
async def test_a_failure_that_is_only_told_is_what_the_server_says_of_it(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an exception there is nothing to capture: not even one that the server was started in the midst of."""
    transport = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    flushed: list[bool] = []
    monkeypatch.setattr(transport, "flush", lambda *_, **__: flushed.append(True))

    async def tells(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    try:
        raise KeyError("around the server")
    except KeyError:
        await Uvicorn(TOLD).serve(RotaSentryMiddleware(tells), "startup")
    assert flushed
    texts = [event["logentry"]["message"] for event in transport.events]
    assert texts == ["no database", "Application startup failed. Exiting."]


@pytest.mark.anyio
async def test_two_failures_of_a_lifespan_are_two_events(sentry: Sentry) -> None:
    """The one that it told of, and the one in which its cleaning up ended."""
    transport = sentry()

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ValueError):
            await _starlette("startup")(scope, receive, send)
        raise KeyError("not cleaned up")

    await Uvicorn(TOLD).serve(RotaSentryMiddleware(fails), "startup")
    exceptions = [event["exception"]["values"][-1]["type"] for event in transport.events if "exception" in event]
    assert exceptions == ["ValueError", "KeyError"]


_SERVED = """
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
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


_SERVED_FAILING = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from asgi_rota_sentry import RotaSentryMiddleware, init

@asynccontextmanager
async def lifespan(app):
    yield
    raise ValueError("no database")

async def raw(scope, receive, send):
    if scope["type"] != "lifespan":
        raise ValueError("nothing works")
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise ValueError("no database")

init()
app = RotaSentryMiddleware(APP)
"""


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _not_sent(server: Ingest) -> int:
    return sum(event["contexts"].get("error_budget", {}).get("not_sent", 0) for event in server.items("event"))


@pytest.mark.parametrize(
    ("served", "answers"), [(_SERVED, "false"), (_SERVED_DJANGO, "true")], ids=["starlette", "django"]
)
def test_a_server_that_a_signal_stops_leaves_nothing_uncounted(tmp_path: Path, served: str, answers: str) -> None:
    """uvicorn ends by the very signal, so that nothing runs at the process's exit; Django knows no lifespan."""
    with ingest() as server:
        _serve(tmp_path, server, served, requests=20, answers=answers)
        assert len(server.items("event")) + _not_sent(server) - 1 == 20  # the last of the events stands for the rest
        assert session_counts(server.items("sessions")) == {"crashed": 20}


@pytest.mark.parametrize("app", ["Starlette(lifespan=lifespan)", "raw"])
def test_a_shutdown_that_fails_is_told_before_the_signal_ends_the_server(tmp_path: Path, app: str) -> None:
    """One event, whether uvicorn is told of the failure or sees it raised; what it logs of it is none."""
    with ingest() as server:
        _serve(tmp_path, server, _SERVED_FAILING.replace("APP", app), requests=0, answers="false")
        titles = [event.get("exception", event.get("logentry")) for event in server.items("event")]
        assert [title["values"][-1]["value"] for title in titles] == ["no database"]


def _serve(folder: Path, server: Ingest, served: str, *, requests: int, answers: str) -> None:
    """Serve a module's `app` with uvicorn until so many requests are answered, and end it by a signal."""
    (folder / "served.py").write_text(served)
    port = unused_port()
    url = f"http://127.0.0.1:{port}/"
    given = {
        "PYTHONPATH": os.pathsep.join((str(_ROOT), str(folder))),
        "SENTRY_DSN": server.dsn,
        "SENTRY_RELEASE": "rota@1",
        "ROTA_SENTRY_ERRORS_PER_MINUTE": "2",
        "ROTA_SENTRY_OUTBOX": "",
        "ROTA_SENTRY_ANSWER_LIFESPAN": answers,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port), "--lifespan", "on"],
        env={**os.environ, **given},
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not (_answers(url) if requests else _listens(port)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(requests - 1):
            assert _answers(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    finally:
        process.kill()
