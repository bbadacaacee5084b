"""A wrapped application behaves as the bare one does: messages, order, exceptions, backpressure, cancellation."""

import functools
import tracemalloc
from collections.abc import Callable
from pprint import pformat
from typing import Any

import pytest

from asgi_rota_sentry import RotaSentryMiddleware, faults
from asgi_rota_sentry.asgi2 import is_asgi2
from tests.apps import CASES, LAST, OK
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]


@pytest.mark.parametrize("pages", ["never", "bare"])
async def test_each_application_of_the_table_behaves_as_without_us(
    sentry: Sentry, pages: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The two logs are equal, entry by entry; where a page takes the place of a bare answer, but for what is sent."""
    sentry(pages=pages)
    different, faulty = {}, set()
    for name, case in CASES.items():
        bare = await case.wire().run(case.app, case.scope)
        caplog.clear()
        faults.forget()
        wrapped = await case.wire().run(RotaSentryMiddleware(case.app), case.scope)
        if "A fault while" in caplog.text:
            faulty.add(name)
        if pages == "bare" and case.answers_bare:
            assert _statuses(wrapped) == (_statuses(bare) or [500])
            bare.log, wrapped.log = _without_sends(bare), _without_sends(wrapped)
        if bare.log != wrapped.log:
            different[name] = bare.log, wrapped.log
    for name, logs in different.items():
        print(name, *map(pformat, logs), sep="\n")
    assert list(different) == []
    # Whose messages have everything a message needs, and nonsense in it.
    assert faulty <= {"nonsense_in_the_start", "nonsense_in_an_error"}
    assert len(CASES) > 50


def _statuses(wire: Wire) -> list[int]:
    """Those of the answers that were sent whole."""
    assert not wire.sent or not wire.sent[-1].get("more_body")
    return [message["status"] for message in wire.sent if "status" in message]


def _without_sends(wire: Wire) -> list[Any]:
    sends = ("send", "sent")
    return [entry for entry in wire.log if entry not in sends and not (isinstance(entry, tuple) and entry[0] in sends)]


ONE_CHUNK = 64 * 1024
CHUNKS = 1600  # 100 MB


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_hundred_megabytes_pass_in_constant_memory(sentry: Sentry, direction: str) -> None:
    """Nothing of a body is kept but its bounded beginning."""
    sentry(options={"max_request_body_size": "medium"})
    passed = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if direction == "up":
            while (await receive()).get("more_body"):
                pass
        await send(OK)
        for _ in range(CHUNKS if direction == "down" else 0):
            await send({"type": "http.response.body", "body": bytes(ONE_CHUNK), "more_body": True})
        await send(LAST)

    async def receive() -> Any:
        nonlocal passed
        passed += 1
        return {"type": "http.request", "body": bytes(ONE_CHUNK), "more_body": passed < CHUNKS}

    async def send(message: Any) -> None:
        nonlocal passed
        passed += "more_body" in message

    wrapped = RotaSentryMiddleware(app)
    scope = http("POST", headers=[(b"content-length", b"104857600")])
    tracemalloc.start()
    try:
        await wrapped(scope, receive, send)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert passed == CHUNKS
    assert peak < 1_000_000


class Old:
    """An application of ASGI 2 as a class."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        """The second of the two calls."""
        await send({**OK, "path": self.scope["path"]})
        await send(LAST)


def old(scope: Any, /) -> Any:
    """An application of ASGI 2 as a function."""
    if scope["path"] == "/fails":
        raise ValueError("in the first call")
    return Old(scope)


async def new(scope: Any, receive: Any, send: Any) -> None:
    """An application of ASGI 3."""


def new_as_a_function(scope: Any, receive: Any, send: Any) -> Any:
    """One that returns an awaitable."""
    return new(scope, receive, send)


def new_with_anything(*args: Any) -> Any:
    """One that does not say what it takes."""
    return new(*args)


class New:
    """One whose instance is the application, and one whose class is."""

    def __init__(self, scope: Any, receive: Any = None, send: Any = None) -> None:
        """Take all three at once, too."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The one call."""


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (Old, True),
        (old, True),
        (functools.partial(lambda settings, scope: Old(scope), {}), True),
        (new, False),
        (New, False),
        (New({}), False),
        (new_as_a_function, False),
        (new_with_anything, False),
        (functools.partial(new), False),
        (print, False),
    ],
)
def test_an_application_is_of_asgi_2_when_it_takes_the_scope_alone(app: Any, expected: bool) -> None:
    """By what it can be called with; in doubt it is of ASGI 3."""
    assert is_asgi2(app) is expected


@pytest.mark.parametrize("app", [Old, old])
async def test_an_application_of_asgi_2_works_as_without_us(sentry: Sentry, app: Any) -> None:
    """Also where its first call fails, which is an event."""
    server = sentry(pages="never")

    async def bare(scope: Any, receive: Any, send: Any) -> Any:
        return await app(scope)(receive, send)

    paths = ["/", "/fails"] if app is old else ["/"]
    for path in paths:
        logs = [(await Wire().run(one, http(path=path))).log for one in (bare, RotaSentryMiddleware(app))]
        assert [_without_frame(entry) for entry in logs[0]] == [_without_frame(entry) for entry in logs[1]]
    assert len(server.events) == len(paths) - 1


def _without_frame(entry: Any) -> Any:
    """What was raised without its frames: the bare one has a frame of the test's."""
    return entry[:3] if isinstance(entry, tuple) and entry[0] == "raised" else entry
