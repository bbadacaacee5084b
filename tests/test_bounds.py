"""What is remembered from one request to the next is bounded, however many come along; so is what is logged."""

import gc
import logging
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from starlette.routing import Mount, Route, Router

from asgi_rota_sentry import expected, faults, forwarded, request, route, slow
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.feedback import repeats
from asgi_rota_sentry.feedback.fields import Draft
from asgi_rota_sentry.feedback.known import KnownEvents
from asgi_rota_sentry.identity import preferences
from asgi_rota_sentry.metering import Metering
from asgi_rota_sentry.pages import ErrorPages, Situation
from asgi_rota_sentry.scrubbing.keys import Verdict
from asgi_rota_sentry.scrubbing.memory import Memory
from asgi_rota_sentry.sdk.batched import SpanHook
from asgi_rota_sentry.sdk.collection import Collection
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.slow import SlowRequests
from asgi_rota_sentry.trail import Trail
from asgi_rota_sentry.withheld import Withheld

Drive = Callable[[int], Any]


def nothing(*_: Any) -> None:
    """Report to nobody."""


def header_names(more: str = "") -> Drive:
    lists = Collection({})
    raw = lists.raw_headers(personal=False)

    def drive(number: int) -> None:
        name = f"x-{number}-{more}"
        request.headers({"headers": [(name.encode(), b"1")]}, personal=False)
        assert raw[name.encode()]
        lists.cookies({name: "1"})

    return drive


def wishes(more: str = "") -> Drive:
    pages = ErrorPages(Settings())

    def drive(number: int) -> None:
        wish = f"x/{number}{more}"
        pages.answer(Situation(404, accept=wish))
        pages.answer(Situation(404, accept="text/plain", accept_language=wish))
        preferences.requested({b"accept-language": wish.encode()}, b"theme=%d" % number)
        preferences.requested({}, b"theme=" + wish.encode())

    return drive


def outcomes() -> Drive:
    pages = ErrorPages(Settings())
    kinds = [(500 + number, theme) for theme in ("dark", "light", None) for number in range(100)]

    def drive(number: int) -> None:
        status, theme = kinds[number]
        pages.answer(Situation(status, accept="text/html", theme=theme))

    return drive


def prefixes() -> Drive:
    pages = ErrorPages(Settings())
    return lambda number: pages.answer(Situation(500, accept="text/html", root_path=f"/{number}"))


def addresses() -> Drive:
    trusted = Settings(trusted_proxies="10.0.0.0/8").trusted_proxies

    def drive(number: int) -> None:
        forwarded.client_address({"client": (f"192.0.{number // 250}.{number % 250}", 1)}, trusted)

    return drive


def people() -> Drive:
    return lambda number: Withheld([f"name of {number}"], [f"192.0.{number // 250}.{number % 250}"])


def tenants() -> Drive:
    leaf = Route("/shifts", nothing)
    router = Router([Mount("/{tenant}", routes=[leaf])])
    scope = {"route": leaf, "router": router, "app_root_path": ""}

    def drive(number: int) -> None:
        assert route.template({**scope, "root_path": f"/acme-{number}"}) == "/{tenant}/shifts"

    return drive


def routes() -> Drive:
    """Made anew for each request, as by an application within the application."""

    def drive(number: int) -> None:
        leaf = SimpleNamespace(path_format="/shifts", endpoint=lambda: number)
        found = route.template({"endpoint": leaf.endpoint, "router": SimpleNamespace(routes=[leaf])})
        assert found == "/shifts"

    return drive


def applications() -> Drive:
    return lambda number: route.name({"path": "/"}, lambda: number, 200, None, "url")


def slow_routes() -> Drive:
    told = SlowRequests(1.0)
    return lambda number: told.is_to_be_told(f"GET /{number}")


def counted_routes() -> Drive:
    counted = Metering(nothing)
    return lambda number: counted.note(f"/{number}", 200)


def kinds_of_errors() -> Drive:
    budget = Budget(1, nothing)

    def drive(number: int) -> None:
        error = type(f"Error{number}", (Exception,), {})()
        budget.decide(error)
        expected.is_expected(error)
        expected.is_disconnect(error)

    return drive


def kinds_of_faults() -> Drive:
    def drive(number: int) -> None:
        try:
            raise type(f"Error{number}", (Exception,), {})
        except Exception:
            faults.report("looking on")

    return drive


def visits() -> Drive:
    trail = Trail(["session"], visitors=10, length=20, seconds=60.0)
    key = trail.key(b"session=1")
    return lambda number: trail.note(key, (None, 0.0, "GET", f"/{number}", "", 200, None))


def long_visits(method: str, path: str, root_path: str, more: str) -> Drive:
    trail = Trail(["session"], visitors=10, length=20, seconds=60.0)
    key = trail.key(b"session=1")

    def drive(number: int) -> None:
        told = [part.replace("long", f"{number}{more * 10}") for part in (method, path, root_path)]  # 20 are kept
        trail.note(key, (None, 0.0, *told, 200, None))
        trail.earlier(key)  # before which it is filed

    return drive


def session_cookies() -> Drive:
    trail = Trail(["session"], visitors=10, length=20, seconds=60.0)
    return lambda number: trail.key(b"session=%d" % number)


def events() -> Drive:
    known = KnownEvents()
    return lambda number: known.remember({"event_id": f"{number:032}", "user": {"id": f"{number}"}})


def feedback() -> Drive:
    known = repeats.Repeats()
    return lambda number: known.end(Draft(message=f"{number}"), "client", f"{number:032}")


def span_names(more: str = "") -> Drive:
    hook = SpanHook(None, lambda span: span, lambda name: True)

    def drive(number: int) -> None:
        attributes = {f"a{number}": 1, f"f{number}": 0.5, f"t{number}": [f"{number}{more}"], f"s{number}": more}
        hook.scrubbed({"name": "a span", "attributes": attributes})

    return drive


def scrubbed(more: str = "") -> Drive:
    memory = Memory()

    def drive(number: int) -> None:
        text = f"{number}{more}"
        memory.keep_name(text, Verdict.PLAIN)
        memory.keep_text(text)
        memory.keep_told("status", text)
        memory.keep_told(text, 1)
        memory.keep_source(text, (text, None))
        memory.keep_code((text, text))

    return drive


def lasting_parts() -> Drive:
    memory = Memory()
    return lambda number: memory.keep_lasting("runtime", {"number": number})


# How many are too many, and how many of the allocator's blocks what is kept of them may take.
DRIVES: dict[Callable[[], Drive], tuple[int, int]] = {
    header_names: (4_000, 8_000),
    wishes: (3_000, 4_500),
    outcomes: (300, 5_000),
    prefixes: (500, 400),
    addresses: (6_000, 20_000),
    people: (6_000, 8_500),
    tenants: (3_000, 9_000),
    routes: (3_000, 26_000),
    applications: (500, 800),
    slow_routes: (3_000, 4_500),
    counted_routes: (3_000, 2_000),
    kinds_of_errors: (2_000, 24_000),
    kinds_of_faults: (2_000, 14_000),
    visits: (3_000, 500),
    session_cookies: (24_000, 30_000),
    events: (5_000, 11_000),
    feedback: (3_000, 7_500),
    span_names: (3_000, 5_000),
    scrubbed: (24_500, 50_000),
    lasting_parts: (1_000, 100),
}


@pytest.mark.parametrize("kind", DRIVES, ids=lambda kind: kind.__name__)
def test_no_number_of_them_fills_the_memory(kind: Callable[[], Drive], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever clients and users there are, or an application makes as it goes: only so much is kept of it."""
    caplog.set_level(logging.CRITICAL, "asgi_rota_sentry")
    many, most = DRIVES[kind]
    drive = kind()
    drive(0)
    gc.collect()  # the interpreter's own lists of free blocks are emptied by it
    before = sys.getallocatedblocks()
    for number in range(1, many):
        drive(number)
    gc.collect()
    kept = sys.getallocatedblocks() - before
    assert kept <= most


LONG: dict[str, Callable[[str], Drive]] = {
    "header names": header_names,
    "wishes": wishes,
    "span names": span_names,
    "scrubbed": scrubbed,
    "methods of visits": partial(long_visits, "long", "/a", ""),
    "paths of visits": partial(long_visits, "GET", "/long", ""),
    "mounts of visits": partial(long_visits, "GET", "/long/a", "/long"),
    "other mounts of visits": partial(long_visits, "GET", "/a", "/long"),
}


@pytest.mark.parametrize("kind", LONG.values(), ids=LONG)
def test_no_length_of_them_fills_the_memory(kind: Callable[..., Drive]) -> None:
    """What is very long is not kept, or cut."""
    request._KNOWN_HEADERS.clear()
    drive = kind("x" * 8_000)
    drive(0)
    tracemalloc.start()
    try:
        for number in range(1, 50):
            drive(number)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 200_000


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """The present moment."""
        return self.now


def told_at(tell: Callable[[], bool], clock: Clock, *seconds: float) -> list[bool]:
    """What comes of telling the same at these times."""
    begun, found = clock.now, []
    for at in seconds:
        clock.now = begun + at
        found.append(tell())
    return found


def test_what_repeats_itself_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours of one kind at one place, and a slow route; another one is told at once."""
    clock = Clock()
    monkeypatch.setattr(faults, "time", clock)
    monkeypatch.setattr(slow, "time", clock)

    def report(kind: type[Exception] = ValueError, doing: str = "looking on") -> bool:
        caplog.clear()
        try:
            raise kind
        except kind:
            faults.report(doing)
        return bool(caplog.records)

    assert told_at(report, clock, 0, 59, 61, 120, 122) == [True, False, True, False, True]
    assert [report(KeyError), report(doing="writing"), report(), report(KeyError)] == [True, True, False, False]
    slow_routes = SlowRequests(1.0)
    tell = partial(slow_routes.is_to_be_told, "GET /")
    assert told_at(tell, clock, 0, 59, 61, 120, 122) == [True, False, True, False, True]
    assert slow_routes.is_to_be_told("POST /")


def test_the_same_feedback_is_a_repeat_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same client; later the visitor means it anew. What has been begun for a minute is given up."""
    clock, known, draft = Clock(), repeats.Repeats(), Draft(message="broken")
    monkeypatch.setattr(repeats, "time", clock)
    begin = partial(anyio.run, known.begin, draft)
    known.end(draft, "client", "1")
    assert [begin(who) for who in ("client", "another")] == ["1", None]
    assert told_at(lambda: begin("client") == "1", clock, 599, 602) == [True, False]
    assert told_at(lambda: begin("another") is None, clock, 0, 61) == [True, True]
