"""A fault of ours, of the SDK or of a user's callback changes no answer: one at a time, each of them is broken.

This is the one place where parts of the SDK and of ourselves are replaced: it is about what we do when they fail.
"""

import gc
import importlib
import inspect
import logging
import pkgutil
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.consts import DEFAULT_OPTIONS
from sentry_sdk.scope import Scope

import asgi_rota_sentry
from asgi_rota_sentry import Identity, RotaSentryMiddleware, faults, journey, pages, record_action, sdk
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.pages import ErrorPages, situation
from asgi_rota_sentry.scrubbing import Scrubber
from asgi_rota_sentry.sdk import chosen
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import MemoryTransport
from tests.wire import Wire, http, websocket

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
VISITOR = [
    (b"host", b"rota.example"),
    (b"cookie", b"session=1"),
    (b"content-length", b"2"),
    (b"content-type", b"application/json"),
    (b"sentry-trace", b"1f2e3d4c5b6a79881f2e3d4c5b6a7988-1234567890abcdef-1"),
]
POST = http("POST", "/create/", headers=VISITOR)
BODY = {"type": "http.request", "body": b"{}"}
CONNECT = {"type": "websocket.connect"}
REQUESTS: tuple[tuple[dict[str, Any], tuple[dict[str, Any], ...]], ...] = (
    (POST, (BODY,)),
    ({**POST, "path": "/fails"}, (BODY,)),
    ({**POST, "path": "/answers 500"}, (BODY,)),
    ({**POST, "path": "/missing"}, (BODY,)),
    ({**POST, "path": "/leaves"}, (BODY,)),
    (http("HEAD", "/fails midway"), ()),
    (websocket("/live"), (CONNECT, {"type": "websocket.receive", "text": "hello"})),
    (websocket("/fails"), (CONNECT,)),
    ({"type": "lifespan", "path": ""}, ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})),
    ({"type": "lifespan", "path": "/fails"}, ({"type": "lifespan.startup"},)),
)


async def app(scope: Any, receive: Any, send: Any) -> str:
    """Everything that an application does, in one."""
    scope["user"] = {"id": "1", "username": "one", "role": "Manager", "theme": "dark"}
    scope["wire"].note(await receive() if scope.get("method") != "HEAD" else None)
    record_action("click", "a click", times=1)
    path = scope["path"]
    if path == "/fails":
        raise ValueError("the application's own")
    if path == "/leaves":
        raise OSError("the application's own")
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        scope["wire"].note(await receive())
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(await receive())})
        await send({"type": "websocket.close"})
    else:
        status = {"/answers 500": 500, "/missing": 404}.get(path, 200)
        cookie = (b"set-cookie", b"session=2; path=/")
        await send({"type": "http.response.start", "status": status, "headers": [cookie]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        if path == "/fails midway":
            raise ValueError("the application's own")
        await send({"type": "http.response.body", "body": b"wn"})
    return "result"


async def drive(application: Any, requests: Any = REQUESTS) -> list[Any]:
    """The log of each request."""
    return [(await Wire(incoming).run(application, scope)).log for scope, incoming in requests]


def _fail(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("broken on purpose")


def _talk_nonsense(*args: Any, **kwargs: Any) -> Any:
    return object()


def _hang(*args: Any, **kwargs: Any) -> Any:
    """Stands for a function that takes its time, and then does what it always does: see `_slowed`."""


WAYS = {"raises": _fail, "returns nonsense": _talk_nonsense}
HANG_SECONDS = 0.05

# The doors to the application itself, and what keeps the faults: without them there is nothing to be tested.
_DOORS = {
    "asgi_rota_sentry.middleware.RotaSentryMiddleware",
    "asgi_rota_sentry.lifespan.run",
    "asgi_rota_sentry.lifespan._Events",
    "asgi_rota_sentry.lifespan._capture_quietly",
    "asgi_rota_sentry.journey.Journey",
    "asgi_rota_sentry.answering.Answering.on_end",
    "asgi_rota_sentry.answering.Answering.on_error",
    "asgi_rota_sentry.receives.BodyReceive",
    "asgi_rota_sentry.reply.Reply",
    "asgi_rota_sentry.receives.SocketReceive",
    "asgi_rota_sentry.faults.report",
}
# Whose yes is a yes.
_DECIDES = ("may_answer", "may_replace")
_ELSEWHERE = ("outbox", "cli", "settings", "values", "__main__", "start", "django", "options")
# Of the scrubber only its door: what is inside has its own tests.
_INSIDE = "asgi_rota_sentry.scrubbing."


def our_targets() -> Iterator[tuple[Any, str]]:
    """Each function and each method of ours that can have a part in a request."""
    for info in pkgutil.walk_packages(asgi_rota_sentry.__path__, "asgi_rota_sentry."):
        skipped = _ELSEWHERE if HAS_TRANSACTIONS else (*_ELSEWHERE, "sdk.transaction")
        if any(part in info.name for part in skipped) or info.name.startswith(_INSIDE):
            continue
        module = importlib.import_module(info.name)
        for name, member in list(vars(module).items()):
            where = f"{getattr(member, '__module__', '')}.{getattr(member, '__qualname__', '')}"
            if where in _DOORS or not where.startswith("asgi_rota_sentry."):
                continue
            if inspect.isfunction(member):
                yield module, name
            elif inspect.isclass(member) and member.__module__ == info.name and not issubclass(member, BaseException):
                yield from ((member, method) for method in _methods(member) if f"{where}.{method}" not in _DOORS)


def _methods(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        if inspect.isfunction(member) and (not name.startswith("__") or name in ("__init__", "__call__")):
            yield name


def sdk_targets() -> Iterator[tuple[Any, str]]:
    """Each call of the SDK that is made for a request."""
    client = type(sentry_sdk.get_client())
    scope_calls = (
        *("get_current_scope", "get_isolation_scope", "set_current_scope", "set_isolation_scope", "__copy__"),
        *("clear_breadcrumbs", "add_event_processor", "generate_propagation_context", "set_new_propagation_context"),
        *("get_active_propagation_context", "get_trace_context", "add_breadcrumb", "get_client"),
        *("set_custom_sampling_context", "last_event_id", "apply_to_event"),
    )
    yield from ((Scope, name) for name in scope_calls)
    modules: dict[str, tuple[str, ...]] = {
        "sentry_sdk": ("get_client", "capture_event", "get_isolation_scope", "add_breadcrumb", "last_event_id"),
        "sentry_sdk.traces": ("start_span", "continue_trace", "new_trace"),
        "sentry_sdk.utils": ("exceptions_from_error_tuple",),
    }
    if HAS_TRANSACTIONS:
        modules["sentry_sdk"] += ("start_transaction", "continue_trace", "get_current_scope")
    for module, names in modules.items():
        yield from ((importlib.import_module(module), name) for name in names)
    yield from ((client, name) for name in ("is_active", "get_integration", "capture_event", "capture_session"))
    if HAS_TRANSACTIONS:
        from sentry_sdk.tracing import Transaction

        names = ("__init__", "set_http_status", "set_status", "set_tag", "set_data", "finish")
        yield from ((Transaction, name) for name in names)
    segment = importlib.import_module("sentry_sdk.traces").StreamedSpan
    yield from ((segment, name) for name in ("set_attribute", "set_attributes", "get_attributes", "end"))


def transport_targets() -> Iterator[tuple[Any, str]]:
    """Where everything leaves: what scrubs it, and what takes it."""
    yield Scrubber, "payload"
    yield MemoryTransport, "capture_envelope"
    yield MemoryTransport, "record_lost_event"


@pytest.fixture
def anyio_backend() -> str:
    """One event loop is enough where every function has its turn."""
    return "asyncio"


TARGETS = {"ours": our_targets, "the SDK": sdk_targets, "the transport": transport_targets}


# The SDK has threads of its own, which may meet what is broken here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", [*WAYS, "hangs"])
@pytest.mark.parametrize("whose", TARGETS)
async def test_a_broken_part_changes_no_answer(
    sentry: Sentry,
    lifecycle: str,
    whose: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bare and wrapped show the same, whichever function is broken; it is logged at most once for each place."""
    server = sentry(pages="never", release="rota@1", errors_per_minute=1)
    bare = await drive(app)
    wrapped = RotaSentryMiddleware(app)
    assert await drive(wrapped) == bare
    different, loud = [], {}
    monkeypatch.setattr(chosen, "_is_known", True)  # of an earlier test, as below
    called = []
    for one in REQUESTS:
        wrapped.budget = _budget()
        called.append(await _called_in(partial(drive, wrapped, [one, one])))
    targets = [(owner, name) for owner, name in TARGETS[whose]() if any(_code(owner, name) in one for one in called)]
    if whose == "ours" and HAS_TRANSACTIONS and lifecycle == "stream":
        # The rest is the same in both lifecycles.
        targets = [(owner, name) for owner, name in targets if ".sdk" in getattr(owner, "__module__", owner.__name__)]
    print(len(targets), "functions are broken, one at a time")
    for owner, name in targets:
        if name in _DECIDES and way == "returns nonsense":
            continue
        label = f"{getattr(owner, '__name__', owner)}.{name}"
        # Those that have to do with it.
        met = [place for place, one in enumerate(called) if _code(owner, name) in one]
        requests, expected = [REQUESTS[place] for place in met], [bare[place] for place in met]
        faults.forget()
        caplog.clear()
        wrapped.budget = _budget()
        with monkeypatch.context() as patch:
            # After a fault the SDK's own way is taken, for good; here each function has its turn on ours.
            patch.setattr(chosen, "_is_known", True)
            _break(patch, owner, name, WAYS.get(way, _hang))
            try:
                seen = await drive(wrapped, requests)
            except BaseException as exc:
                seen = [repr(exc)]
        _forget_spans()
        if seen != expected:
            different.append((label, [pair for pair in zip(seen, expected, strict=False) if pair[0] != pair[1]][:1]))
        if await drive(wrapped, REQUESTS[:1]) != bare[:1]:
            different.append((label, "the next request"))
        lines = [(record.message, record.exc_info and record.exc_info[0]) for record in caplog.records]
        # The reports come from a thread of their own, in their own time.
        faulty = [line for line in lines if line[0].startswith("A fault while") and "counted" not in line[0]]
        if len(set(faulty)) != len(faulty):
            loud[label] = faulty
    print(*different, sep="\n")
    assert [label for label, _ in different] == []
    assert loud == {}
    assert len(targets) >= {"ours": 30, "the SDK": 20, "the transport": 1}[whose]
    server.envelopes.clear()
    wrapped.budget = _budget()
    await drive(wrapped)
    assert len([event for event in server.events if "error_budget" not in event["contexts"]]) == 4


def _budget() -> Budget:
    """A new one: the first error of each kind is a full event, the next is counted."""
    return Budget(1, sdk.capture_tally, every=0.01)


def _forget_spans() -> None:
    """What was broken may have left nonsense in the SDK's batcher, which would fail over it from then on."""
    batcher: Any = getattr(sentry_sdk.get_client(), "span_batcher", None)
    if batcher is not None:
        with batcher._lock:
            batcher._span_buffer.clear()


async def _called_in(work: Callable[[], Any]) -> set[Any]:
    """The code of each function that is called."""
    called = set()
    sys.setprofile(lambda frame, event, argument: called.add(frame.f_code) if event == "call" else None)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return called


def _code(owner: Any, name: str) -> Any:
    function = inspect.unwrap(getattr(owner, name))
    return getattr(getattr(function, "unguarded", function), "__code__", None)


def _break(patch: pytest.MonkeyPatch, owner: Any, name: str, way: Callable[..., Any]) -> None:
    """Replace a function by one that fails, as what it is: async, static or of the class."""
    whole = inspect.getattr_static(owner, name)
    if way is _hang:
        slowed = _slowed(getattr(owner, name))
        patch.setattr(owner, name, staticmethod(slowed) if isinstance(whole, staticmethod | classmethod) else slowed)
    elif inspect.iscoroutinefunction(inspect.unwrap(getattr(owner, name))):

        async def broken(*args: Any, **kwargs: Any) -> Any:
            return way(*args, **kwargs)

        patch.setattr(owner, name, broken)
    elif isinstance(whole, staticmethod | classmethod):
        patch.setattr(owner, name, staticmethod(way))
    elif name == "__init__" and way is _talk_nonsense:
        patch.setattr(owner, name, lambda self, *args, **kwargs: None)
    else:
        patch.setattr(owner, name, way)


def _slowed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which hangs when it is called for the first time."""
    waiting = [HANG_SECONDS]

    def slowed(*args: Any, **kwargs: Any) -> Any:
        if waiting:
            time.sleep(waiting.pop())
        return function(*args, **kwargs)

    return slowed


@pytest.mark.parametrize("way", WAYS)
async def test_a_broken_page_leaves_the_application_s_own_answer(
    sentry: Sentry, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the server's, where there is none."""
    sentry()

    async def bare_404(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    targets = [
        *((ErrorPages, name) for name in ("answer", "_represent", "_page", "is_bare")),
        *((pages, name) for name in ("Situation", "Answer")),
        *((situation, name) for name in ("outcome", "own_values", "problem", "plain")),
        (journey.Journey, "page"),
    ]
    misses, fails = RotaSentryMiddleware(bare_404), RotaSentryMiddleware(app)
    for owner, name in targets:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, WAYS[way])
            missing = await Wire().run(misses, http())
            failed = await Wire([BODY]).run(fails, http("POST", "/fails"))
        assert [message.get("status") for message in missing.sent] == [404, None], name
        assert [message.get("status") for message in failed.sent] in ([], [500, None]), name
        assert ("raised", "ValueError", "the application's own") in [entry[:3] for entry in failed.log], name


class Hostile:
    """An object of the user's that fails wherever it is touched."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("touched")

    def __bool__(self) -> bool:
        raise RuntimeError("touched")


class HostileError(Exception):
    """An exception that cannot be shown, compared or tested."""

    def __str__(self) -> str:
        raise RuntimeError("touched")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("touched")

    def __hash__(self) -> int:
        raise RuntimeError("touched")

    def __bool__(self) -> bool:
        raise RuntimeError("touched")


async def _hang_async(scope: Any) -> Identity | None:
    await anyio.sleep(60)
    return None


async def _fail_async(scope: Any) -> Identity | None:
    raise RuntimeError("broken on purpose")


async def _talk_nonsense_async(scope: Any) -> Any:
    return "a user"


CALLBACKS: dict[str, dict[str, Any]] = {
    "identify raises": {"identify": _fail},
    "identify returns nonsense": {"identify": _talk_nonsense},
    "async identify raises": {"identify": _fail_async},
    "async identify returns nonsense": {"identify": _talk_nonsense_async},
    "async identify hangs": {"identify": _hang_async},
    "before_send": {"options": {"before_send": _fail}},
    "before_send_transaction": {"options": {"before_send_transaction": _fail}},
    "before_breadcrumb": {"options": {"before_breadcrumb": _fail}},
    "traces_sampler": {"options": {"traces_sampler": _fail}},
    "error_sampler": {"options": {"error_sampler": _fail}},
    "identify hangs": {"identify": lambda scope: time.sleep(HANG_SECONDS)},
    "before_send hangs": {"options": {"before_send": lambda event, hint: time.sleep(HANG_SECONDS)}},
    "hostile user": {"user": Hostile()},
    "hostile exception": {"error": HostileError()},
    "hostile group": {"error": ExceptionGroup("group", [HostileError(), ValueError()])},
}


@pytest.mark.parametrize("kind", CALLBACKS)
async def test_a_broken_callback_changes_no_answer(
    sentry: Sentry, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A user's function that fails, hangs or talks nonsense, and objects that fail wherever they are touched."""
    given = CALLBACKS[kind]
    options = {name: value for name, value in given.get("options", {}).items() if name in DEFAULT_OPTIONS}
    sentry(pages="never", options=options)
    monkeypatch.setattr(journey, "_IDENTIFY_SECONDS", 0.05)

    async def own(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = given.get("user", {"id": "1"})
        record_action("click", "a click")
        if scope["path"] == "/fails":
            raise given.get("error", ValueError("the application's own"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    wrapped = RotaSentryMiddleware(own, identify=given.get("identify"))
    for path in ("/", "/fails", "/fails", "/"):
        logs = []
        for application in (own, wrapped):
            wire = Wire()
            with anyio.fail_after(5):
                try:
                    await application(http(path=path), wire.receive, wire.send)
                except Exception as exc:
                    wire.log.append(id(exc) if "error" in given else type(exc))
            logs.append(wire.log)
        assert logs[0] == logs[1]
    faulty = [line for line in caplog.messages if line.startswith("A fault while")]
    assert len(set(faulty)) == len(faulty) <= 2
    if "identify" in given and "nonsense" not in kind and kind != "identify hangs":
        assert faulty == ["A fault while reading the identity; the response is not affected."]


async def test_a_logger_that_fails_changes_no_answer(sentry: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the last resort may do harm."""
    sentry(pages="never", errors_per_minute=1)
    for logger in (faults.logger, BUDGET_LOGGER):
        monkeypatch.setattr(logger, "handle", _fail)
    bare = await drive(app)
    assert await drive(RotaSentryMiddleware(app, identify=_fail)) == bare


BUDGET_LOGGER = logging.getLogger("asgi_rota_sentry.budget")


class OwnError(Exception):
    """An exception that can be watched."""


@pytest.mark.parametrize("budget", [0, 1])
async def test_an_error_leaves_no_more_garbage_than_without_us(
    sentry: Sentry, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exception is kept in a cycle that only the garbage collector could undo, whether its event is built or not."""
    monkeypatch.setattr(BUDGET_LOGGER, "disabled", True)  # pytest keeps what is logged
    sentry(errors_per_minute=budget, pages="never", traces_sample_rate=0.0)
    watched: list[weakref.ref[OwnError]] = []

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        error = OwnError("the application's own")
        watched.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def alive(application: Any) -> int:
        watched.clear()
        for _ in range(50):
            with suppress(OwnError):
                await application(http(), None, None)
        return sum(reference() is not None for reference in watched)

    gc.disable()
    try:
        assert await alive(fails) == 0
        assert await alive(RotaSentryMiddleware(fails)) == 0
    finally:
        gc.enable()
