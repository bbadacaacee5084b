"""Loaded into the process of a suite: wraps what it tests, and writes down how each test ended.

`ROTA_SUITE_MODE` is `bare`, `sdk` (the SDK is initialised, nothing is wrapped) or `wrapped`; `ROTA_SUITE_OUTCOMES` is
the file. In `bare` mode nothing of ours is imported.
"""

import atexit
import functools
import json
import os
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODE = os.environ.get("ROTA_SUITE_MODE", "bare")
_WORST = ("passed", "skipped", "failed")

outcomes: dict[str, str] = {}
seen = {"requests": 0}


def note(test: str, outcome: str) -> None:
    """How a test, or a part of it, ended: the worst counts."""
    outcomes[test] = max(outcome, outcomes.get(test, "passed"), key=_WORST.index)


def _write() -> None:
    Path(os.environ["ROTA_SUITE_OUTCOMES"]).write_text(json.dumps(seen | {"tests": outcomes}), encoding="utf-8")


def start() -> None:
    """Initialise the SDK with a transport that discards; everything is sampled.

    Its integrations stay away: they change the frameworks themselves, and fail what the suites call bare.
    """
    atexit.register(_write)
    if MODE == "bare":
        return
    from sentry_sdk.transport import Transport

    from asgi_rota_sentry import Settings, init

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass  # to write it as JSON is another thread's work, and one of FastAPI's tests counts who does

    settings = Settings(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, profiles_sample_rate=0.0, pages="never")
    init(settings, transport=Nowhere(), auto_enabling_integrations=False)
    _middleware()


def wrap(app: Any) -> Any:
    """The application with the middleware around it; whatever else is asked of it is the application's own."""
    from asgi_rota_sentry.asgi2 import as_asgi3

    around = object.__new__(_around())
    around.__dict__.update(_middleware().__dict__, app=as_asgi3(app), suite_app=app)
    return around


@functools.cache
def _middleware() -> Any:
    """Made once, at the start: it reads its pages from disk, which some suites forbid while an event loop runs."""
    from asgi_rota_sentry import RotaSentryMiddleware

    return RotaSentryMiddleware(_nothing)


@functools.cache
def _around() -> type:
    from asgi_rota_sentry import RotaSentryMiddleware

    class Around(RotaSentryMiddleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
            __tracebackhide__ = True
            seen["requests"] += 1
            return await super().__call__(scope, receive, send)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["suite_app"], name)

    return Around


# For pytest, which runs the suites of Starlette and FastAPI.


def pytest_configure(config: Any) -> None:
    """What the test client and the client for asynchronous tests are given is wrapped."""
    start()
    if MODE == "wrapped":
        import httpx
        import httpx2
        from starlette.testclient import TestClient

        for client in (TestClient, httpx.ASGITransport, httpx2.ASGITransport):
            client.__init__ = _wrapping_first(client.__init__)


def _wrapping_first(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, wrap(app), *args, **kwargs)

    return init


def pytest_runtest_logreport(report: Any) -> None:
    """Set-up, call and teardown of each test."""
    note(report.nodeid, report.outcome)


# For unittest, which runs that of Django.


def patch_django() -> None:
    """Its ASGI handler is wrapped, and so is the handler of its asynchronous test client, as if it were one."""
    start()
    _note_unittest()
    if MODE == "wrapped":
        from django.core.handlers.asgi import ASGIHandler
        from django.test.client import AsyncClientHandler

        ASGIHandler.__call__ = _wrapped_handler(ASGIHandler.__call__)
        AsyncClientHandler.__call__ = _wrapped_client(AsyncClientHandler.__call__)


def _wrapped_handler(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        return await wrap(functools.partial(original, self))(scope, receive, send)

    return call


def _wrapped_client(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, scope: Any) -> Any:
        answered = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            response = await original(self, scope)
            answered.append(response)
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if response.streaming else response.content})

        await wrap(app)(scope, _nothing, _nowhere)
        return answered[0]

    return call


async def _nothing(*_: Any) -> Any:
    return {"type": "http.disconnect"}


async def _nowhere(message: Any) -> None:
    pass


def _note_unittest() -> None:
    ends = {"addSuccess": "passed", "addSkip": "skipped", "addExpectedFailure": "passed"}
    ends |= {"addFailure": "failed", "addError": "failed", "addUnexpectedSuccess": "failed"}
    for name, outcome in ends.items():
        _note_after(name, outcome)
    add_subtest = unittest.TextTestResult.addSubTest

    def noted(self: Any, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            note(test.id(), "failed")
        add_subtest(self, test, subtest, err)

    unittest.TextTestResult.addSubTest = noted  # type: ignore[method-assign]


def _note_after(name: str, outcome: str) -> None:
    original = getattr(unittest.TextTestResult, name)

    def noted(self: Any, test: Any, *args: Any) -> None:
        note(test.id(), outcome)
        original(self, test, *args)

    setattr(unittest.TextTestResult, name, noted)
