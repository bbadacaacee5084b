"""The trail of several processes, in a real Redis; and a Redis that hangs or is gone."""

import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware, SettingsError, record_action
from asgi_rota_sentry.trail import Trail
from tests.conftest import Get, MemoryTransport
from tests.e2e.redis_server import RedisServer, redis_server
from tests.test_trail import Visitor, key_of, rota, story, told_story, visit
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e
Sentry = Callable[..., MemoryTransport]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """A Redis that holds nothing yet."""
    with closing(redis.Redis.from_url(running.url)) as client:
        client.flushall()
    return running


def trail_of(server: RedisServer, **given: Any) -> Any:
    return closing(
        Trail(["session"], **{"visitors": 10, "length": 3, "seconds": 1800, "redis_url": server.url, **given})
    )


def test_the_story_is_the_same_for_every_process(server: RedisServer) -> None:
    """What one has noted, the other reads at once; the last so many requests."""
    with trail_of(server) as one, trail_of(server) as other:
        key = key_of(one, "abc")
        assert key == key_of(other, "abc")
        for number in range(4):
            visit(one, key, f"/{number}/")
        assert story(one, key) == story(other, key) == ["GET /1/", "GET /2/", "GET /3/"]
        visit(other, key, "/other/")
        assert story(other, key) == story(one, key) == ["GET /2/", "GET /3/", "GET /other/"]


def test_renewed_shared_deleted_and_handed_over(server: RedisServer) -> None:
    """The same rules as in one process."""
    with trail_of(server) as one, trail_of(server) as other:
        old, new, same = (key_of(one, name) for name in ("old", "new", "same"))

        def settle() -> None:
            """What both have noted is in Redis: reading waits for it."""
            story(one, same)
            story(other, same)

        visit(one, old, "/a/", owner="jane")
        one.renew(old, new)
        settle()
        visit(other, new, "/b/", owner="jane")
        settle()
        visit(one, old, "/c/")
        assert story(one, new) == story(other, old) == ["GET /a/", "GET /b/", "GET /c/"]
        assert story(other, new, viewer="bob") == []
        visit(other, new, "/d/", owner="bob")
        settle()
        assert story(one, new, viewer="bob") == ["GET /d/"]
        for trail in (one, other):
            trail.renew(None, same)
            settle()
            visit(trail, same, "/private/")
        settle()
        assert story(one, same) == []
        other.renew(new, b"")
        settle()
        assert story(one, new) == story(one, old) == []


def test_a_shared_cookie_stays_so_when_one_of_its_visitors_goes_on(server: RedisServer) -> None:
    """Who still has it sees nothing of the other, who has since been given a cookie of their own; nor the reverse."""
    with trail_of(server) as trail:
        same, own = key_of(trail, "same"), key_of(trail, "own")
        trail.renew(None, same)
        trail.renew(None, same)
        trail.renew(same, own)
        visit(trail, own, "/mine/")
        visit(trail, same, "/theirs/")
        assert story(trail, same) == []
        assert story(trail, own) == ["GET /mine/"]


def test_processes_may_come_in_any_order(server: RedisServer) -> None:
    """A request with a new cookie is noted before the response that set it, a renewal before the one it follows."""
    with trail_of(server) as trail:
        old, new, newer = (key_of(trail, name) for name in ("old", "new", "newer"))
        visit(trail, old, "/a/", owner="jane")
        visit(trail, new, "/b/", owner="jane")
        trail.renew(old, new)
        assert story(trail, new) == story(trail, old) == ["GET /a/", "GET /b/"]
        first, second, third = (key_of(trail, name) for name in ("first", "second", "third"))
        trail.renew(first, second)
        visit(trail, second, "/d/")
        trail.renew(None, first)
        visit(trail, first, "/c/", at=time.time() - 1)
        assert story(trail, second) == story(trail, first) == ["GET /c/", "GET /d/"]
        assert story(trail, third) == story(trail, newer) == []


def test_an_id_may_be_any_text(server: RedisServer) -> None:
    """Half a surrogate pair, too, as JSON may have it; nobody else's story is lost over it."""
    with trail_of(server) as trail:
        odd, plain = key_of(trail, "odd"), key_of(trail, "plain")
        visit(trail, odd, "/odd/", owner="\ud800")
        visit(trail, plain, "/plain/", owner="jane")
        assert story(trail, odd, viewer="\ud800") == ["GET /odd/"]
        assert story(trail, odd, viewer="jane") == []
        assert story(trail, plain, viewer="jane") == ["GET /plain/"]


def test_nothing_in_redis_tells_the_cookie_and_all_of_it_expires(server: RedisServer) -> None:
    """Keyed hashes; each key but the secret lives no longer than the story."""
    with trail_of(server, seconds=60) as trail, closing(redis.Redis.from_url(server.url)) as client:
        key = key_of(trail, "abc")
        visit(trail, key, "/a/", owner="jane")
        assert story(trail, key) == ["GET /a/"]
        names = client.keys()
        assert all(name.startswith(b"asgi_rota_sentry:trail:") for name in names)
        assert not any(key.hex().encode() in name or name.endswith(b"abc") for name in names)
        lives = {name: client.pttl(name) for name in names if not name.endswith(b":secret")}
        assert len(lives) == 3
        assert all(0 < life <= 60_000 for life in lives.values())


def test_a_story_that_goes_on_in_another_expires_as_well(server: RedisServer) -> None:
    """Also where the request that renewed the cookie is never noted, as the process ends between the two."""
    with trail_of(server, seconds=60) as trail, closing(redis.Redis.from_url(server.url)) as client:
        first, second, other = (key_of(trail, name) for name in ("first", "second", "other"))
        trail.renew(first, second)
        visit(trail, other, "/a/", owner="jane")
        trail.renew(other, first)
        assert story(trail, first) == ["GET /a/"]
        names = client.keys()
        lives = [client.pttl(name) for name in names if not name.endswith(b":secret")]
        assert all(0 < life <= 60_000 for life in lives)


@pytest.mark.anyio
async def test_no_secret_gets_into_redis(server: RedisServer, sentry: Sentry, fetch: Get) -> None:
    """By key, by form and by the user's own patterns; what is none is told as it was."""
    told = sentry(trail_redis_url=server.url, scrub_patterns=["rota-[0-9]+"])

    async def reset(request: Request) -> PlainTextResponse:
        record_action("form", "Chose password=hunter22x", password="hunter33x", week=3, badge="rota-4711")
        if "fail" in request.url.path:
            raise ValueError
        return PlainTextResponse("done")

    app = RotaSentryMiddleware(Starlette(routes=[Route("/{rest:path}", reset)]))
    with closing(app.trail), closing(redis.Redis.from_url(server.url)) as client:
        headers = {"cookie": "session=abc"}
        await fetch(app, "/reset/MQ/c9x2lk-5b6c7d8e9f0a1b2c3d4e5f6071829304/", headers=headers)
        wait_until(lambda: len(client.keys("*:s:*")) == 1, 10)
        (name,) = client.keys("*:s:*")
        (kept,) = client.lrange(name, 0, -1)
        for secret in (b"hunter22x", b"hunter33x", b"5b6c7d8e9f0a1b2c", b"rota-4711"):
            assert secret not in kept
        await fetch(app, "/fail/", headers=headers)
    earlier = told.events[0]["breadcrumbs"]["values"][:2]
    assert [crumb["message"] for crumb in earlier] == [
        "Chose password=[Filtered]",
        "GET /reset/MQ/[Filtered]/ (200 OK)",
    ]
    assert earlier[0]["data"] == {"password": "[Filtered]", "week": 3, "badge": "[Filtered]"}


def test_one_pipeline_a_request_off_its_path(server: RedisServer) -> None:
    """Noting costs microseconds, and what waits goes in one round trip."""
    with trail_of(server, length=20) as trail, closing(redis.Redis.from_url(server.url)) as client:
        key = key_of(trail, "abc")
        story(trail, key)
        before = client.info("stats")["total_commands_processed"]
        begun = time.thread_time()
        for number in range(1000):
            visit(trail, key, f"/{number}/")
        took = time.thread_time() - begun
        wait_until(lambda: len(story(trail, key)) == 20, 10)
        assert took / 1000 < 0.0005
        evaluated = client.info("commandstats")["cmdstat_eval"]["calls"]
        assert evaluated >= 1000
        assert client.info("stats")["total_commands_processed"] - before < 10_000


@pytest.mark.parametrize("way", ["stop", "freeze"])
def test_a_dead_redis_costs_nothing_but_the_trail(tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """At most a tenth of a second for one event, then nothing; one line in the log; and it comes back by itself."""
    with redis_server(tmp_path) as server, trail_of(server) as trail:
        key = key_of(trail, "abc")
        visit(trail, key, "/before/")
        assert story(trail, key) == ["GET /before/"]
        getattr(server, way)()
        begun = time.perf_counter()
        visit(trail, key, "/lost/")
        assert story(trail, key) == []
        assert time.perf_counter() - begun < 0.3
        time.sleep(0.7)  # by now the thread has given up
        begun = time.perf_counter()
        for _ in range(1000):
            visit(trail, key, "/lost/")
            trail.earlier(key)
        assert time.perf_counter() - begun < 0.5
        assert caplog.text.count("The trail's Redis fails") == 1
        server.start() if way == "stop" else server.thaw()
        deadline = time.monotonic() + 15
        while not story(trail, key) and time.monotonic() < deadline:
            time.sleep(0.2)
            visit(trail, key, "/after/")
        assert "GET /after/" in story(trail, key)


def test_a_slow_redis_does_not_hold_up_each_event(server: RedisServer) -> None:
    """After one read that was not answered in time the next events do without their story; and it comes back."""
    with trail_of(server) as trail, closing(redis.Redis.from_url(server.url)) as client:

        def reads() -> int:
            return int(client.info("commandstats")["cmdstat_eval"]["calls"])

        key = key_of(trail, "abc")
        visit(trail, key, "/")
        assert story(trail, key) == ["GET /"]
        before = reads()
        client.client_pause(300)  # less than what counts as a failure
        assert [story(trail, key) for _ in range(50)] == [[]] * 50
        assert reads() == before + 1
        wait_until(lambda: story(trail, key) == ["GET /"], 10)


def test_a_redis_that_was_never_there_changes_nothing(tmp_path: Path) -> None:
    """No error, no wait, no story."""
    with trail_of(RedisServer(tmp_path)) as trail:
        key = key_of(trail, "abc")
        visit(trail, key, "/a/")
        assert story(trail, key) == []


def test_after_a_failover_the_new_primary_is_asked(tmp_path: Path) -> None:
    """The connection to the old one, which lives on as a replica, is given up; the address leads to the new one."""
    here = tmp_path / "primary.sock"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with redis_server(tmp_path / "old") as old, redis_server(tmp_path / "new") as new:
        here.symlink_to(old.socket)
        with trail_of(old, redis_url=f"unix://{here}") as trail, closing(redis.Redis.from_url(old.url)) as client:
            key = key_of(trail, "abc")
            visit(trail, key, "/before/")
            assert story(trail, key) == ["GET /before/"]
            client.replicaof("127.0.0.1", new.port)
            here.unlink()
            here.symlink_to(new.socket)

            def is_told() -> bool:
                visit(trail, key, "/after/")
                return "GET /after/" in story(trail, key)

            wait_until(is_told, 20)


# What is collected while a request is noted is a task that failed and was never asked: asyncio tells the log of it.
_COLLECTED = """
import asyncio, gc, logging, sys, threading
from sentry_sdk.transport import Transport
from asgi_rota_sentry import RotaSentryMiddleware, Settings, init

class Sink(Transport):
    def capture_envelope(self, envelope): pass

logging.lastResort = None
given = {"dsn": "http://key@127.0.0.1:9/1", "outbox_path": "", "errors_per_minute": 0, "release": "1"}
init(Settings(**given, trail_redis_url=sys.argv[1], session_cookies=("session",)), transport=Sink())

kept = []

async def app(scope, receive, send):
    kept.extend((number, None, None) for number in range(50))  # Python then has no tuples in store, and makes new ones
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def nothing(*_): return {"type": "http.request"}

def collected(phase, info):
    if phase == "stop" or threading.current_thread() is not threading.main_thread():
        return
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "note":
        frame = frame.f_back
    if frame is not None:
        logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=RuntimeError("unasked"))

async def main():
    wrapped = RotaSentryMiddleware(app, Settings(**given, trail_redis_url=sys.argv[1], session_cookies=("session",)))
    headers = [(b"cookie", b"session=abc")]
    for number in range(300):
        scope = {"type": "http", "method": "GET", "headers": headers, "path": f"/{number}/"}
        await asyncio.create_task(wrapped(scope, nothing, nothing))
        if number == 10:
            await asyncio.sleep(0.5)  # by now Redis has answered
            gc.callbacks.append(collected)
        if number > 10:
            gc.set_threshold(3 + number % 50)

asyncio.run(main())
gc.callbacks.clear()
print("done")
"""


def test_what_the_collector_runs_may_read_while_a_request_is_noted(server: RedisServer) -> None:
    """An event is made in the midst of it, and waits for no lock that its own thread holds."""
    arguments = [sys.executable, "-c", _COLLECTED, server.url]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def _note_in_child(trail: Trail, key: bytes) -> None:
    visit(trail, key, f"/child/{os.getpid() != 0}/")
    assert story(trail, key)


def test_closing_while_redis_hangs_leaves_no_thread() -> None:
    """The word to end comes while the thread waits for an answer, and everything that waits is then forgotten."""
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        trail = Trail(["session"], visitors=10, length=3, seconds=1800, redis_url=url)
        visit(trail, key_of(trail, "abc"), "/")
        time.sleep(0.05)
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"asgi_rota_sentry-trail"}
        trail.close()
        wait_until(lambda: not set(threading.enumerate()) - before)


def test_a_forked_child_has_a_thread_of_its_own(server: RedisServer) -> None:
    """As under gunicorn with `--preload`."""
    with trail_of(server) as trail:
        key = key_of(trail, "abc")
        visit(trail, key, "/parent/")
        assert story(trail, key) == ["GET /parent/"]
        child = multiprocessing.get_context("fork").Process(target=_note_in_child, args=(trail, key))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert story(trail, key) == ["GET /parent/", "GET /child/True/"]


@pytest.mark.anyio
async def test_two_workers_tell_one_story(server: RedisServer, sentry: Sentry, fetch: Get) -> None:
    """Through the middleware: each request to another worker, the fault at either; Redis itself is not in the story."""
    told = sentry(trail_redis_url=server.url)
    apps = [RotaSentryMiddleware(rota()), RotaSentryMiddleware(rota())]
    visitor = Visitor(fetch, apps[0])
    for number, path in enumerate(("/login/?as=jane", "/count/", "/count/", "/fail/")):
        visitor._app = apps[number % 2]
        await visitor.go(path)
        await anyio.sleep(0.05)  # no visitor is faster
    (event,) = told.events
    assert told_story(event) == [
        "GET /login/ (200 OK)",
        "Counted 1",
        "GET /count/ (200 OK)",
        "Counted 2",
        "GET /count/ (200 OK)",
        "GET /fail/",
        "GET /fail/ (500 Internal Server Error)",
    ]
    assert not [crumb for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "redis"]
    assert len(told.spans) == 4
    for app in apps:
        app.trail.close()
    gc.collect()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://", "localhost:6379"])
def test_a_url_that_is_none_is_refused_at_start(url: str) -> None:
    """With a sentence that says what is expected."""
    from asgi_rota_sentry import Settings

    with pytest.raises(SettingsError, match="expected a URL such as redis://host:6379/0"):
        Settings(trail_redis_url=url)
