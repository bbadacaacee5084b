"""A task that a request starts carries the request's user, role and trace: real Celery, with its memory broker."""

import contextvars
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from celery import Celery
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import Get, MemoryTransport

pytestmark = pytest.mark.anyio
Sentry = Callable[..., MemoryTransport]
TRACE = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"

rota = Celery("rota", broker="memory://", backend="cache+memory://")
rota.conf.update(worker_hijack_root_logger=False, task_always_eager=False)
done = threading.Semaphore(0)


@rota.task
def publish(week: int) -> None:
    """Fails, always."""
    try:
        raise ValueError(f"No rota for week {week}")
    finally:
        done.release()


@rota.task
def plan(week: int) -> None:
    """Starts the failing one."""
    publish.delay(week)


@pytest.fixture(scope="module")
def _running() -> Iterator[list[Any]]:
    """The worker of all tests here, a thread of this process; empty until the first one has started it."""
    workers: list[Any] = []
    yield workers
    for running in workers:
        running.__exit__(None, None, None)


@pytest.fixture
def worker(sentry: Sentry, _running: list[Any]) -> Callable[..., MemoryTransport]:
    """Start the SDK, and the worker if it does not run yet."""

    def start(**given: Any) -> MemoryTransport:
        server = sentry(**given)
        if not _running:
            # As in a real worker, which starts the SDK before Celery takes hold of the functions that it patches.
            from celery.contrib.testing.worker import start_worker

            _running.append(start_worker(rota, pool="solo", perform_ping_check=False, shutdown_timeout=20))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                contextvars.Context().run(_running[0].__enter__)
        return server

    return start


def starting(task: Any, *, after: bool = False, before: Callable[[], Any] = lambda: None) -> Any:
    """An application that starts the task in its view, or in the background after its answer."""

    def view(request: Request) -> Response:
        before()
        if after:
            return PlainTextResponse("soon", background=BackgroundTask(task.delay, 3))
        task.delay(3)
        return PlainTextResponse("started")

    inner = Starlette(routes=[Route("/", view)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        role = dict(scope["headers"]).get(b"x-role", b"Manager").decode()
        scope["user"] = {"id": role.upper(), "username": role.lower(), "role": role}
        await inner(scope, receive, send)

    return RotaSentryMiddleware(app)


def failures(server: MemoryTransport, count: int) -> list[dict[str, Any]]:
    """The tasks' events, as soon as they are there."""
    for _ in range(count):
        assert done.acquire(timeout=20)
    deadline = time.monotonic() + 10
    while len(server.events) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return server.events


@pytest.mark.parametrize("task", [publish, plan], ids=["from the request", "from a task"])
async def test_a_task_that_fails_tells_whose_request_started_it(worker: Sentry, fetch: Get, task: Any) -> None:
    """User, role and trace; also of a task that another one starts."""
    server = worker()
    await fetch(starting(task), "/", headers={"sentry-trace": f"{TRACE}-1234567890abcdef-1"})
    (event,) = failures(server, 1)
    assert event["exception"]["values"][0]["value"] == "No rota for week 3"
    assert event["user"] == {"id": "MANAGER", "role": "Manager"}
    assert event["tags"]["user.role"] == "Manager"
    assert event["contexts"]["trace"]["trace_id"] == TRACE


_OWN_INIT = """
import asyncio, warnings
import sentry_sdk
from asgi_rota_sentry import RotaSentryMiddleware, Settings, sentry_options

warnings.simplefilter("ignore")
sentry_sdk.init(**sentry_options(Settings(outbox_path="")))

from celery import Celery, signals

rota = Celery("rota", broker="memory://", backend="cache+memory://")

@rota.task(name="publish")
def publish(week):
    pass

@signals.after_task_publish.connect
def tell(headers=None, **_):
    print(headers.get("asgi_rota_sentry"))

async def app(scope, receive, send):
    scope["user"] = {"id": "SCW1001", "role": "Manager"}
    publish.delay(3)

async def nothing(*_):
    return {"type": "http.request"}

scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
asyncio.run(RotaSentryMiddleware(app)(scope, nothing, nothing))
"""


def test_who_starts_the_sdk_alone_has_tasks_carry_the_user_too() -> None:
    """In a process of its own: what is connected once stays."""
    told = subprocess.run([sys.executable, "-c", _OWN_INIT], capture_output=True, text=True, check=True).stdout
    assert told == "{'user': {'id': 'SCW1001', 'role': 'Manager'}, 'role': 'Manager'}\n"


async def test_background_work_and_personal_data(worker: Sentry, fetch: Get) -> None:
    """A task started after the answer knows as well; the name goes with it where it may."""
    server = worker(send_default_pii=True)
    await fetch(starting(publish, after=True), "/")
    (event,) = failures(server, 1)
    assert event["user"]["username"] == "manager"
    assert event["user"]["ip_address"] == "198.51.100.7"


async def test_no_task_has_another_one_s_user(worker: Sentry, fetch: Get) -> None:
    """One after the other in the same worker; one that nobody's request started has none."""
    server = worker()
    app = starting(publish)
    for role in ("Manager", "Staff"):
        await fetch(app, "/", headers={"x-role": role})
    publish.delay(4)
    events = failures(server, 3)
    assert [event.get("user") for event in events] == [
        {"id": "MANAGER", "role": "Manager"},
        {"id": "STAFF", "role": "Staff"},
        None,
    ]
    assert [(event.get("tags") or {}).get("user.role") for event in events] == ["Manager", "Staff", None]


async def test_the_user_that_the_app_set_goes_with_the_task(worker: Sentry, fetch: Get) -> None:
    """As with an event of the request."""
    server = worker()
    await fetch(starting(publish, before=lambda: sentry_sdk.set_user({"id": "own"})), "/")
    (event,) = failures(server, 1)
    assert event["user"] == {"id": "own"}


@pytest.mark.parametrize("propagates", [False, True])
async def test_a_task_that_runs_within_the_request(worker: Sentry, fetch: Get, *, propagates: bool) -> None:
    """Celery's `task_always_eager`: the task's name stays its own, and the page shows the event that fails the view."""
    server = worker()
    rota.conf.update(task_always_eager=True, task_eager_propagates=propagates)
    try:
        answer = await fetch(starting(publish), "/")
    finally:
        rota.conf.update(task_always_eager=False)
    (event,) = failures(server, 1)
    assert event["transaction"].endswith("publish")
    assert event["user"] == {"id": "MANAGER", "role": "Manager"}
    assert answer.status_code == (500 if propagates else 200)
    if propagates:
        assert answer.json()["event_id"] == event["event_id"]
