"""The garbage collector runs when it likes, and what it collects may come round to us in the midst of our own work."""

import asyncio
import contextlib
import contextvars
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

Sentry = Callable[..., MemoryTransport]

# Every few objects a collection, and in each an error is logged, as asyncio does of a task that failed unasked.
_SCRIPT = """
import asyncio, contextlib, gc, logging, sys
import sentry_sdk
from sentry_sdk.transport import Transport
from asgi_rota_sentry import RotaSentryMiddleware, Settings, init

class Sink(Transport):
    def capture_envelope(self, envelope): pass

logging.lastResort = None
init(Settings(dsn="http://key@127.0.0.1:9/1", outbox_path="", errors_per_minute=2, release="1"), transport=Sink())

async def app(scope, receive, send):
    if scope["path"] == "/fail":
        raise ValueError("boom")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

wrapped = RotaSentryMiddleware(app)

async def nothing(*_): return {"type": "http.request"}

def collected(phase, info):
    # In what is ours alone: asyncio's own tasks do not survive it either.
    if phase == "start" and "asgi_rota_sentry" in sys._getframe(1).f_code.co_filename:
        try:
            raise RuntimeError("in a task that nobody asked")
        except RuntimeError:
            logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=True)

async def main():
    for number in range(REQUESTS):
        headers = [(b"cookie", b"session=%d" % (number % 50)), (b"accept", b"text/html")]
        scope = {"type": "http", "method": "GET", "headers": headers, "path": "/fail" if number % 3 == 0 else "/"}
        with contextlib.suppress(ValueError):
            await asyncio.create_task(wrapped(scope, nothing, nothing))

gc.callbacks.append(collected)
gc.set_threshold(THRESHOLD)
asyncio.run(main())
gc.callbacks.clear()
print("done")
"""


@pytest.mark.parametrize("threshold", [1, 5])
def test_what_the_collector_runs_may_come_round_to_us(threshold: int) -> None:
    """It waits for no lock that we hold, and finds no context variable half set, of which Python 3.11 would die."""
    script = _SCRIPT.replace("THRESHOLD", str(threshold)).replace("REQUESTS", str(20 * threshold))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


# The first event of a process starts the outbox's thread; what is collected meanwhile is an event, too.
_STARTING = """
import gc, sys
import sentry_sdk
from asgi_rota_sentry import Settings, init
from asgi_rota_sentry.outbox import Outbox

told = []

def collected(phase, info):
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "start_thread":
        frame = frame.f_back
    if phase == "start" and frame is not None and not told:
        told.append(sentry_sdk.capture_message("collected"))

init(Settings(outbox_path=sys.argv[1], release="1"))
gc.callbacks.append(collected)
gc.set_threshold(1)
sentry_sdk.capture_message("first")
gc.callbacks.clear()
sentry_sdk.flush()
print(len(told), sorted(kept.title for kept in Outbox(sys.argv[1]).entries()))
"""


def test_what_is_collected_while_the_outbox_starts_is_kept_too(tmp_path: Path) -> None:
    """The thread that captures waits for no lock that it holds itself."""
    arguments = [sys.executable, "-c", _STARTING, str(tmp_path / "outbox.sqlite3")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1 ['collected', 'first']\n"), done.stderr[-2000:]


def test_a_request_that_is_collected_in_another_leaves_that_one_alone(sentry: Sentry) -> None:
    """Its scopes are those of its own context: the other one's events still have its URL and its tags."""
    server = sentry()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    unfinished = RotaSentryMiddleware(never)(http(path="/unfinished/"), _Forever(), None)  # type: ignore[arg-type]
    contextvars.copy_context().run(unfinished.send, None)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_tag("mine", "yes")
        unfinished.close()
        sentry_sdk.capture_message("after it")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def serve() -> None:
        wire = Wire()
        await RotaSentryMiddleware(app)(http(path="/mine/"), wire.receive, wire.send)

    asyncio.run(serve())
    (event,) = server.events
    assert (event["request"]["url"], event["tags"].get("mine")) == ("http://rota.example/mine/", "yes")
    assert "mine" not in sentry_sdk.get_isolation_scope()._tags


class _Forever:
    """A `receive` to which nothing comes."""

    def __call__(self) -> "_Forever":
        return self

    def __await__(self) -> Any:
        yield


@pytest.mark.anyio
async def test_a_request_that_is_begun_while_the_last_byte_is_sent_is_another_one(sentry: Sentry) -> None:
    """A server with requests waiting begins the next one in the midst of the sending, in the same context."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_tag("of", scope["path"])
        if scope["path"] == "/second/":
            raise ValueError("second")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        sentry_sdk.capture_message("first")

    wrapped, wire = RotaSentryMiddleware(app), Wire()

    async def second() -> None:
        with contextlib.suppress(ValueError):
            await wrapped(http(path="/second/"), wire.receive, wire.send)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(second)

    await wrapped(http(path="/first/"), wire.receive, send)
    told = [(event["request"]["url"][len("http://rota.example") :], event["tags"]["of"]) for event in server.events]
    assert told == [("/second/", "/second/"), ("/first/", "/first/")]
    assert sorted(span["name"].rpartition("rota.example")[2] for span in server.spans) == ["/first/", "/second/"]
