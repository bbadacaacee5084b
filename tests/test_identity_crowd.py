"""Two thousand requests of two hundred visitors at once: threads, background work and sync views mix up nothing."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import sentry_sdk
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware, record_action
from tests.conftest import MemoryTransport
from tests.django_site import crowd, site

pytestmark = pytest.mark.anyio
Sentry = Callable[..., MemoryTransport]
VISITORS = 200
REQUESTS = 2000


def told(visitor: str, where: str) -> None:
    """An event from here, that says whose it should be."""
    sentry_sdk.capture_message(f"{where} of {visitor}")


def in_thread(request: Request) -> Response:
    visitor = request.path_params["visitor"]
    record_action("click", f"Clicked by {visitor}")
    told(visitor, "thread")
    return PlainTextResponse(visitor)


async def in_background(request: Request) -> Response:
    visitor = request.path_params["visitor"]
    await anyio.sleep(random.random() / 100)
    record_action("form", f"Filled by {visitor}")
    return PlainTextResponse(visitor, background=BackgroundTask(told, visitor, "background"))


async def in_another_thread(request: Request) -> Response:
    visitor = request.path_params["visitor"]
    await anyio.to_thread.run_sync(told, visitor, "worker")
    await anyio.sleep(random.random() / 100)
    return PlainTextResponse(visitor)


async def failing(request: Request) -> Response:
    await anyio.sleep(random.random() / 100)
    raise ValueError(f"failure of {request.path_params['visitor']}")


def rota() -> Any:
    """Each visitor is who the cookie says; the path says so too."""
    views = {"thread": in_thread, "background": in_background, "worker": in_another_thread, "failing": failing}
    inner = Starlette(routes=[Route(f"/{{visitor}}/{name}/", view) for name, view in views.items()])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        visitor = dict(scope["headers"])[b"cookie"].decode().removeprefix("session=")
        scope["user"] = {"id": visitor, "role": f"Role{int(visitor[1:]) % 7}"}
        await inner(scope, receive, send)

    return app


WAYS = ("thread", "background", "worker", "thread", "background", "worker", "thread", "background", "failing")


async def visit_all(requests: list[tuple[Any, str, dict[str, str]]]) -> None:
    """All requests, a hundred at a time."""
    limit = anyio.CapacityLimiter(100)

    async def visit(app: Any, path: str, headers: dict[str, str]) -> None:
        async with limit:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://rota.example") as client:
                await client.get(path, headers=headers)

    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(visit, *request)


def whose(event: dict[str, Any]) -> str:
    """Whom the event is about, by its own text."""
    text = event.get("message") or event["exception"]["values"][-1]["value"]
    return str(text).rpartition(" ")[2]


def mixed_up(event: dict[str, Any]) -> list[str]:
    """What of another visitor, or of nobody, is in the event."""
    visitor = whose(event)
    role = f"Role{int(visitor[1:]) % 7}"
    crumbs = [crumb for crumb in event["breadcrumbs"]["values"] if crumb["category"] in ("request", "click", "form")]
    wrong = [crumb["message"] for crumb in crumbs if visitor not in crumb["message"].replace("/", " ").split(" ")]
    number = {str(1000 + int(visitor[1:])), visitor}  # Django's users have numbers
    if event["user"].get("id") not in number:
        wrong.append(f"the user {event['user']}")
    if event["user"].get("role", role) != role or event["tags"].get("user.role", role) != role:
        wrong.append("the role")
    if f"/{visitor}/" not in event["tags"]["http.url"] or f"/{visitor}/" not in event["request"]["url"]:
        wrong.append("the URL")
    return wrong


async def test_two_thousand_requests_mix_up_nothing(sentry: Sentry, anyio_backend_name: str) -> None:
    """Each event has its own visitor's user, role, URL and story, and nothing of anybody else; on trio 500 requests."""
    count = VISITORS if anyio_backend_name == "asyncio" else VISITORS // 4
    server = sentry(traces_sample_rate=0.1, slow_request_seconds=600)
    app = RotaSentryMiddleware(rota())
    chosen = random.Random(4)
    visitors = [f"v{number}" for number in range(count)] * (REQUESTS // VISITORS)
    chosen.shuffle(visitors)
    ways = [chosen.choice(WAYS) for _ in visitors]
    await visit_all(
        [
            (app, f"/{visitor}/{way}/", {"cookie": f"session={visitor}"})
            for visitor, way in zip(visitors, ways, strict=True)
        ]
    )
    events = server.events
    assert [(whose(event), wrong) for event in events if (wrong := mixed_up(event))] == []
    budget = 60  # full events of one kind of error in a minute
    made = Counter("failing" if "exception" in event else "other" for event in events)
    assert made["other"] == sum(way != "failing" for way in ways)
    assert made["failing"] >= min(budget, ways.count("failing"))
    stories = [sum(crumb["category"] == "request" for crumb in event["breadcrumbs"]["values"]) for event in events]
    assert max(stories) > 8


@pytest.fixture
def people() -> dict[str, dict[str, str]]:
    """Users of the Django site, with their cookies."""
    return crowd(VISITORS)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_django_s_sync_and_async_views_in_the_mix(sentry: Sentry, people: dict[str, dict[str, str]]) -> None:
    """Sessions and users from the database, sync views in threads, Starlette's requests among them."""
    server = sentry(traces_sample_rate=0.1, slow_request_seconds=600, send_default_pii=True)
    django, starlette = RotaSentryMiddleware(site()), RotaSentryMiddleware(rota())
    chosen = random.Random(4)
    requests = []
    for _ in range(REQUESTS // 4):
        visitor, cookie = chosen.choice(list(people.items()))
        way = chosen.choice(("crowd", "async-crowd"))
        requests.append((django, f"/{way}/{visitor}/", cookie))
        requests.append((starlette, f"/{visitor}/thread/", {"cookie": f"session={visitor}"}))
    await visit_all(requests)
    events = server.events
    assert [event["exception"]["values"] for event in events if "exception" in event] == []
    assert len(events) == len(requests)
    assert [(whose(event), wrong) for event in events if (wrong := mixed_up(event))] == []
