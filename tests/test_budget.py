"""The storm: beyond the budget errors are counted, and every one of them is told of in the end."""

import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware, counters
from asgi_rota_sentry.budget import MOST_KINDS, Budget
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from asgi_rota_sentry.tally import Tally, kind_of
from tests.conftest import Get, MemoryTransport, no_new_thread, session_counts
from tests.wire import Wire, websocket

Sentry = Callable[..., MemoryTransport]
HTML = {"accept": "text/html"}


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Reports:
    """A budget with its clock and what it reports."""

    def __init__(self, per_minute: int = 2) -> None:
        self.clock = Clock()
        self.tallies: list[Tally] = []
        self.budget = Budget(per_minute, self.tallies.append, now=self.clock, every=3600)

    def fail(self, times: int, error: Callable[[], BaseException] | None = None) -> list[bool]:
        """Let an error happen some times; which of them are full events."""
        return [self.budget.decide((error or one)()).is_full for _ in range(times)]


def one() -> BaseException:
    try:
        int("one")
    except ValueError as exc:
        return exc


def two() -> BaseException:
    try:
        int("two")
    except ValueError as exc:
        return exc


def test_each_kind_has_its_budget_every_minute() -> None:
    """Kinds differ by their type and place; a new minute is a new budget, which tells of those that were counted."""
    reports = Reports()
    assert reports.fail(4) == [True, True, False, False]
    assert reports.fail(3, two) == [True, True, False]
    reports.clock.now += 59.9
    assert reports.fail(1) == [False]
    reports.clock.now += 0.1
    verdict = reports.budget.decide(one())
    assert verdict.is_full
    assert verdict.owed is not None
    assert (verdict.owed.count, verdict.owed.first, verdict.owed.last) == (3, 1_000.0, 1_059.9)
    assert reports.budget.decide(one()).owed is None
    reports.clock.now += 5
    assert reports.fail(1) == [False]
    reports.clock.now += 55
    told = reports.budget.decide(one()).owed
    assert told is not None
    assert (told.count, told.first, told.last) == (1, 1_065.0, 1_065.0)  # those of before are told of


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    """And keeps nobody waiting for full events until it has caught up: an hour, where it was an hour ahead."""
    reports = Reports()
    assert reports.fail(3) == [True, True, False]
    reports.clock.now -= 1
    assert reports.fail(3) == [True, True, False]


def kinds(count: int) -> list[Callable[[], BaseException]]:
    """So many errors that differ by their place."""
    namespace: dict[str, Any] = {}
    exec("\n".join(f"def f{n}(): raise ValueError" for n in range(count)), namespace)

    def raised(fails: Callable[[], None]) -> BaseException:
        try:
            fails()
        except ValueError as exc:
            return exc
        raise AssertionError

    return [partial(raised, namespace[f"f{number}"]) for number in range(count)]


def test_all_kinds_together_have_ten_times_the_budget() -> None:
    """Many kinds at once do not add up without end."""
    reports = Reports(per_minute=1)
    assert [reports.fail(1, error) for error in kinds(30)] == [[True]] * 10 + [[False]] * 20
    reports.budget.settle()
    assert sum(tally.count for tally in reports.tallies) == 20


def test_a_forked_child_has_a_budget_of_its_own() -> None:
    """However much of that of all kinds together its parent has used."""
    reports = Reports(per_minute=1)
    assert [reports.fail(1, error) for error in kinds(11)][-1] == [False]
    reports.budget.forget()
    assert reports.fail(1) == [True]


def test_no_limit_where_none_is_wanted() -> None:
    """0 builds every event."""
    assert all(Reports(per_minute=0).fail(1_000))


def test_what_an_event_was_to_tell_is_owed_until_one_is_accepted() -> None:
    """A full event that is dropped on its way takes no count with it."""
    reports = Reports(per_minute=1)
    reports.fail(4)
    reports.clock.now += 60
    lost = reports.budget.decide(one())
    reports.budget.refused(lost)
    reports.clock.now += 60
    sent = reports.budget.decide(one())
    assert sent.owed is not None
    assert (sent.owed.count, sent.owed.first) == (3, 1_000.0)
    reports.budget.accepted(sent, "abc")
    assert reports.budget.decide(one()).stands_for == "abc"


def test_more_kinds_than_can_be_told_apart_are_counted_together() -> None:
    """Errors with made-up types cannot fill the memory, and are counted all the same."""
    reports = Reports(per_minute=1)
    reports.fail(2)  # its count keeps it from being dropped
    for number in range(MOST_KINDS * 2):
        reports.budget.decide(type(f"Error{number}", (Exception,), {})())
    assert len(reports.budget._kinds) == MOST_KINDS + 1
    reports.budget.settle()
    assert sum(tally.count for tally in reports.tallies) == 2 + MOST_KINDS * 2 - 10


def test_a_report_can_be_filed_under_the_issue_of_its_kind() -> None:
    """It has type, message and frames of the full event."""
    reports = Reports(per_minute=1)
    reports.fail(3)
    reports.budget.settle()
    (tally,) = reports.tallies
    assert (tally.count, tally.type_name, tally.type_module) == (2, "ValueError", "builtins")
    assert tally.message == "invalid literal for int() with base 10: 'one'"
    assert [frame.function for frame in tally.frames] == ["one"]
    reports.budget.settle()
    assert len(reports.tallies) == 1


def test_the_kind_of_a_group_is_that_of_its_first_member() -> None:
    """A task group around it makes no other error of it."""
    assert kind_of(ExceptionGroup("outer", [ExceptionGroup("inner", [one()]), two()])) == kind_of(one())
    assert kind_of(ValueError("never raised"))[1:] == ("", "", 0)


def test_no_error_is_lost_between_threads() -> None:
    """10,000 errors from eight threads: as many full events as allowed, and the rest is counted."""
    reports = Reports(per_minute=7)
    with ThreadPoolExecutor(8) as pool:
        full = sum(sum(found) for found in pool.map(reports.fail, [1_250] * 8))
    reports.budget.settle()
    assert full == 7
    assert sum(tally.count for tally in reports.tallies) == 9_993


class Watched:
    """A local variable that notices when an event is built of its frame."""

    seen = 0

    def __repr__(self) -> str:
        Watched.seen += 1
        return "watched"


async def raw(scope: Any, receive: Any, send: Any) -> None:
    _watched = Watched()
    raise ValueError(f"boom at {scope['path']}")


async def view(request: Request) -> Response:
    _watched = Watched()
    raise ValueError(f"boom at {request.url.path}")


async def logging_view(request: Request) -> Response:
    _watched = Watched()
    try:
        raise ValueError("boom, and caught")
    except ValueError as exc:
        logging.getLogger("rota").exception("caught")
        sentry_sdk.capture_exception(exc)
        raise


APPS = {
    "raw": raw,
    "Starlette": Starlette(routes=[Route("/{rest:path}", view)]),
    "logging": Starlette(routes=[Route("/{rest:path}", logging_view)]),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", APPS)
async def test_beyond_the_budget_no_event_is_built(
    sentry: Sentry, fetch: Get, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By no layer; the page shows the event that stands for the error, the log has it, the next event counts it."""
    server = sentry(errors_per_minute=3, release="rota@1")
    app = RotaSentryMiddleware(APPS[name])
    clock = app.budget._now = Clock()
    Watched.seen = 0
    answers = [await fetch(app, f"/{number}", headers=HTML) for number in range(10)]
    built = Watched.seen
    assert {answer.status_code for answer in answers} == {500}
    ids = [answer.headers["x-sentry-event-id"] for answer in answers]
    assert ids[:3] == [event["event_id"] for event in server.events]
    assert ids[3:] == [ids[2]] * 7
    assert all(f'<code id="event">{ids[2]}</code>' in answer.text for answer in answers[2:])
    assert built == 3
    assert caplog.text.count("An error over the budget is counted, not sent: ValueError: boom") == 7
    clock.now += 59
    await fetch(app, "/last")
    clock.now += 1
    answer = await fetch(app, "/later")
    event = server.events[-1]
    assert answer.headers["x-sentry-event-id"] == event["event_id"]
    assert event["contexts"]["error_budget"] == {
        "not_sent": 8,
        "first": "1970-01-01T00:16:40.000+00:00",
        "last": "1970-01-01T00:17:39.000+00:00",
    }
    sentry_sdk.flush()
    counts = session_counts(server.items("sessions"))
    assert counts["crashed"] + counts["errored"] == 12


@pytest.mark.anyio
async def test_more_kinds_than_all_together_may_have_are_counted_and_answered(sentry: Sentry, fetch: Get) -> None:
    """Ten times the budget of one; the page of a kind that no event stands for names none, and all are told of."""
    server = sentry(errors_per_minute=1)
    kinds = [type(f"Error{number}", (Exception,), {}) for number in range(14)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise kinds[int(scope["path"][1:])]("one of many")

    wrapped = RotaSentryMiddleware(app)
    answers = [await fetch(wrapped, f"/{number}", headers=HTML) for number in range(14)]
    assert [answer.headers.get("x-sentry-event-id") for answer in answers] == [
        *(event["event_id"] for event in server.events),
        *[None] * 4,
    ]
    assert len(server.events) == 10
    assert all("Something went wrong" in answer.text for answer in answers)
    wrapped.budget.settle()
    told = [event["exception"]["values"][0]["type"] for event in server.events]
    assert sorted(told) == sorted(kind.__name__ for kind in kinds)


@pytest.mark.anyio
async def test_nothing_is_uncounted_however_many_fail_at_once(sentry: Sentry, fetch: Get) -> None:
    """500 requests at the same time, in threads, websockets among them: sent and counted are all that there were."""
    server = sentry(errors_per_minute=5, traces_sample_rate=0.0)

    def in_a_thread(request: Request) -> Response:
        raise ValueError("boom")

    inner = Starlette(routes=[Route("/", in_a_thread)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            raise ValueError("boom")
        await inner(scope, receive, send)

    wrapped = RotaSentryMiddleware(app)

    async def talk() -> None:
        await Wire([{"type": "websocket.connect"}]).run(wrapped, websocket())

    async with anyio.create_task_group() as tasks:
        for _ in range(400):
            tasks.start_soon(fetch, wrapped, "/")
        for _ in range(100):
            tasks.start_soon(talk)
    wrapped.budget.settle()
    budgets = [event["contexts"].get("error_budget", {}) for event in server.events]
    full = [budget for budget in budgets if "event_id" not in budget]
    assert len(full) == 10
    assert len(full) + sum(budget.get("not_sent", 0) for budget in budgets) == 500


@pytest.mark.anyio
async def test_the_line_about_a_counted_error_is_no_event(sentry: Sentry, fetch: Get) -> None:
    """Not even for a user whose warnings are events: the storm would go on by another way."""
    options = {"integrations": [LoggingIntegration(event_level=logging.WARNING)]}
    server = sentry(errors_per_minute=1, options=options | ({"enable_logs": True} if HAS_TRANSACTIONS else {}))
    app = RotaSentryMiddleware(APPS["raw"])
    for number in range(4):
        await fetch(app, f"/{number}")
    logging.getLogger("theirs").warning("Another line.")
    assert len(server.events) == 2
    logs = [log["body"] for sent in server.items("log") for log in sent["items"]]
    assert [log for log in logs if "Another" in log or "budget" in log] == ["Another line."]


@pytest.mark.anyio
async def test_once_a_minute_and_at_the_end_the_rest_is_told(sentry: Sentry, fetch: Get) -> None:
    """An event that stands for the counted ones alone, with the stack trace of their kind and none of its variables."""
    server = sentry(errors_per_minute=1)
    app = RotaSentryMiddleware(raw)
    for _ in range(5):
        await fetch(app, "/")
    app.budget.settle()
    full, rest = server.events
    assert rest["contexts"]["error_budget"]["not_sent"] == 4
    assert rest["contexts"]["error_budget"]["event_id"] == full["event_id"]
    values = [event["exception"]["values"][0] for event in (full, rest)]
    assert values[0]["type"] == values[1]["type"]
    assert values[0]["value"] == values[1]["value"]
    frames = [
        [(frame["module"], frame["function"], frame["lineno"]) for frame in value["stacktrace"]["frames"]]
        for value in values
    ]
    assert frames[0] == frames[1]
    assert values[0]["stacktrace"]["frames"][-1]["in_app"] == values[1]["stacktrace"]["frames"][-1]["in_app"]
    assert "user" not in rest
    assert "request" not in rest


@pytest.mark.anyio
async def test_the_report_comes_by_itself(sentry: Sentry, fetch: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the storm has passed and no request comes any more; it tells nothing of the request that began it.

    And where at first no thread could be started.
    """
    server = sentry(errors_per_minute=1)
    app = RotaSentryMiddleware(raw)
    app.budget._every = 0.05
    with no_new_thread(monkeypatch):
        for _ in range(2):
            await fetch(app, "/secret")
    await fetch(app, "/secret")
    for _ in range(500):
        if server.events[-1].get("request") is None:
            break
        await anyio.sleep(0.02)
    event = server.events[-1]
    assert event["contexts"]["error_budget"]["not_sent"] == 2
    assert not {"request", "user", "tags"} & set(event)
    assert not event.get("breadcrumbs", {}).get("values")


def _places(exception: dict[str, Any]) -> list[tuple[Any, ...]]:
    frames = exception["stacktrace"]["frames"]
    return [(frame["module"], frame["function"], frame["lineno"]) for frame in frames]


@pytest.mark.anyio
async def test_an_expected_error_costs_no_budget(sentry: Sentry, fetch: Get) -> None:
    """A thousand clients that leave, or a thousand 404s, keep no error out."""
    from starlette.exceptions import HTTPException

    server = sentry(errors_per_minute=1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise HTTPException(404) if scope["path"] == "/missing" else ValueError("boom")

    wrapped = RotaSentryMiddleware(app)
    for path in ("/missing", "/missing", "/boom"):
        await fetch(wrapped, path)
    assert [event["exception"]["values"][0]["type"] for event in server.events] == ["ValueError"]


class UnwantedError(ValueError):
    """What the application's own options keep from being an event."""


def _keeps_out(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    return None if "unwanted" in str(hint["exc_info"][1]) else event


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options", [{"ignore_errors": [UnwantedError]}, {"ignore_errors": ["UnwantedError"]}, {"before_send": _keeps_out}]
)
async def test_what_the_users_options_keep_out_is_not_told_of_beyond_the_budget(
    sentry: Sentry, fetch: Get, options: dict[str, Any]
) -> None:
    """Neither as a count nor as a session that crashed, for by itself it would be none."""
    server = sentry(errors_per_minute=2, release="rota@1", options=options)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise UnwantedError("unwanted")

    wrapped = RotaSentryMiddleware(app)
    for _ in range(6):
        await fetch(wrapped, "/")
    wrapped.budget.settle()
    assert server.events == []
    assert session_counts(server.items("sessions")) == {"exited": 6}


@pytest.mark.anyio
async def test_where_the_users_hook_drops_but_some_of_a_kind_they_are_told_of(sentry: Sentry, fetch: Get) -> None:
    """Nobody knows which of those it would have dropped; what a dropped event was to tell the next one tells."""
    server = sentry(errors_per_minute=1, options={"before_send": _keeps_out})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["path"])

    wrapped = RotaSentryMiddleware(app)
    clock = wrapped.budget._now = Clock()
    for path in ("/a", "/a", "/b"):
        await fetch(wrapped, path)
    for path in ("/unwanted", "/unwanted", "/c"):
        clock.now += 60
        await fetch(wrapped, path)
    assert [event["exception"]["values"][0]["value"] for event in server.events] == ["/a", "/c"]
    assert server.events[1]["contexts"]["error_budget"]["not_sent"] == 2


@pytest.mark.anyio
async def test_what_the_users_options_ignore_costs_no_budget(sentry: Sentry, fetch: Get) -> None:
    """However much of it there is, it keeps no error of another kind out, and is counted as ignored."""
    server = sentry(errors_per_minute=1, options={"ignore_errors": [UnwantedError]})
    before = counters.counts().get("errors.ignored", 0)
    watched = Watched()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        _watched = watched
        raise UnwantedError("unwanted") if scope["path"] == "/unwanted" else ValueError("boom")

    wrapped = RotaSentryMiddleware(app)
    Watched.seen = 0
    for _ in range(20):
        await fetch(wrapped, "/unwanted")
    assert Watched.seen == 0
    assert counters.counts()["errors.ignored"] - before == 20
    await fetch(wrapped, "/boom")
    assert [event["exception"]["values"][0]["type"] for event in server.events] == ["ValueError"]


_STORM = """
import asyncio, sys
sys.path.insert(0, {root!r})
import sentry_sdk
from sentry_sdk.transport import Transport
from asgi_rota_sentry import RotaSentryMiddleware, Settings, init

class Printing(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event:
            print(event.get("contexts", {{}}).get("error_budget", {{}}).get("not_sent", "full"), flush=True)

init(Settings(dsn="http://key@127.0.0.1:9/1", errors_per_minute=2, slow_request_seconds=60), transport=Printing())

async def app(scope, receive, send):
    raise ValueError("boom")

async def send(message): pass

async def main():
    wrapped = RotaSentryMiddleware(app)
    for _ in range(10):
        try:
            await wrapped({{"type": "http", "path": "/", "headers": []}}, None, send)
        except ValueError:
            pass

asyncio.run(main())
{end}
"""


@pytest.mark.parametrize(
    ("end", "expected"),
    [("", ["full", "full", "8"]), ("import os\nif os.fork() == 0: sys.exit()\nos.wait()", ["full", "full", "8"])],
    ids=["exit", "fork"],
)
def test_at_the_end_of_the_process_nothing_is_left_uncounted(end: str, expected: list[str]) -> None:
    """Told before the SDK closes, and by the parent of a fork alone."""
    root = str(Path.cwd())
    done = subprocess.run(
        [sys.executable, "-c", _STORM.format(root=root, end=end)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == expected
