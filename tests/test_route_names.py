"""The names of requests: each framework's route template with its mount prefix, no more names than there are routes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blacksheep
import falcon.asgi
import litestar
import pytest
import sentry_sdk
from blacksheep.server.routing import Router as BlackSheepRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.test import override_settings
from fastapi import APIRouter, FastAPI, WebSocket
from quart import Quart
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.django import DjangoIntegration
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from asgi_rota_sentry import RotaSentryMiddleware, Settings, route
from tests.conftest import Get, MemoryTransport
from tests.django_site import site
from tests.wire import Wire, http, websocket

Sentry = Callable[..., MemoryTransport]
Names = list[tuple[str, str]]


def view(request: Request) -> Response:
    return PlainTextResponse("fine")


def missing(request: Request) -> Response:
    raise HTTPException(404)


def items() -> list[Any]:
    return [Route("/items/{id:int}", view), Route("/missing/{id}", missing)]


def names_of(server: MemoryTransport, fetch: Get, app: Any, *urls: str) -> Names:
    """What each of these requests is called, and the source of that name; asyncio, where all frameworks are at home."""

    found = []
    for url in urls:
        server.envelopes.clear()
        asyncio.run(fetch(app, url))
        found += [(span["name"], span["source"]) for span in server.spans]
    return found


async def connect(app: Any, path: str) -> None:
    """Open a websocket."""
    await Wire([{"type": "websocket.connect"}]).run(app, websocket(path))


def routes(*names: str) -> Names:
    return [(name, "route") for name in names]


def test_starlette_s_mounts_hosts_and_routers_are_told_as_templates(sentry: Sentry, fetch: Get) -> None:
    """Also a prefix with parameters, one whose value occurs twice, and the same routes mounted in several places."""
    shared = items()
    nested = Starlette(
        routes=[Mount("/{week:int}", app=Starlette(routes=shared), middleware=[Middleware(GZipMiddleware)])]
    )
    app = Starlette(
        routes=[
            Route("/", view),
            Mount("/v1", routes=shared),
            Mount("/{tenant}/api", routes=shared),
            Mount("/{id}/same", routes=shared),
            Mount("/rota", app=GZipMiddleware(nested)),
            Host("{part}.rota.example", app=Router([Mount("/hosted", routes=shared)])),
        ]
    )
    urls = ("/", "/v1/items/3", "/acme/api/items/3", "/api/api/items/3", "/7/same/items/8", "/rota/07/items/3")
    hosted = "http://north.rota.example/hosted/items/3"
    assert names_of(sentry(), fetch, RotaSentryMiddleware(app), *urls, hosted) == routes(
        "/",
        "/v1/items/{id}",
        "/{tenant}/api/items/{id}",
        "/{tenant}/api/items/{id}",
        "/{id}/same/items/{id}",
        "/rota/{week}/items/{id}",
        "/hosted/items/{id}",
    )


def test_a_route_that_stands_in_several_places_is_told_by_the_place_each_time(sentry: Sentry, fetch: Get) -> None:
    """Asked for by turns, also below a prefix of the server's, and of a router that is included twice."""
    shared = items()
    twice = APIRouter()
    twice.add_api_route("/items/{number}", lambda number: number, methods=["GET"])
    api = FastAPI()
    api.include_router(twice, prefix="/one")
    api.include_router(twice, prefix="/two")
    app = RotaSentryMiddleware(
        Starlette(
            routes=[Mount("/v1", routes=shared), Mount("/{tenant}/v1", routes=shared), Mount("/api", app=api), *shared]
        )
    )

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        prefix = "/proxied" if scope["path"].startswith("/proxied") else ""
        await app({**scope, "root_path": prefix}, receive, send)

    urls = ("/v1/items/3", "/acme/v1/items/3", "/items/3", "/api/one/items/3", "/api/two/items/3")
    names = (
        "/v1/items/{id}",
        "/{tenant}/v1/items/{id}",
        "/items/{id}",
        "/api/one/items/{number}",
        "/api/two/items/{number}",
    )
    given = [url for turn in range(2) for url in (*urls, f"/proxied{urls[turn]}")]
    expected = [name for turn in range(2) for name in (*names, names[turn])]
    assert names_of(sentry(), fetch, proxied, *given) == routes(*expected)


def test_a_prefix_that_the_server_was_given_is_no_part_of_the_route(sentry: Sentry, fetch: Get) -> None:
    """`root_path` as a proxy or `--root-path` sets it, with and without a mount inside."""
    inner = Starlette(routes=[*items(), Mount("/{tenant}", routes=items())])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await RotaSentryMiddleware(inner)({**scope, "root_path": "/proxied"}, receive, send)

    assert names_of(sentry(), fetch, app, "/proxied/items/3", "/proxied/acme/items/3") == routes(
        "/items/{id}", "/{tenant}/items/{id}"
    )


class Hidden:
    """What is around an application and does not show it."""

    def __init__(self, wrapped: Any) -> None:
        self.hidden = wrapped

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hidden(scope, receive, send)


def test_a_prefix_is_told_by_its_values_where_the_routes_are_out_of_sight(sentry: Sentry, fetch: Get) -> None:
    """Unless a value occurs twice: then the framework's own word is taken, never the concrete path."""
    mounted = Router([Mount("/{week}/weeks", routes=items()), Mount("/plain", routes=items())])
    app = Starlette(routes=[Mount("/{tenant}/api", app=Hidden(mounted))])
    urls = ("/acme/api/plain/items/3", "/acme/api/7/weeks/items/3", "/7/api/7/weeks/items/3")
    names = names_of(sentry(), fetch, RotaSentryMiddleware(app), *urls, "/acme/api/weeks/weeks/items/3")
    assert names[:3] == routes(
        "/{tenant}/api/plain/items/{id}",
        "/{tenant}/api/{week}/weeks/items/{id}",
        "/{tenant}/api/{week}/weeks/items/{id}",
    )
    assert not names[3][0].endswith("/weeks/weeks/items/{id}")


def test_the_mounts_around_what_is_out_of_sight_are_told_by_their_templates(sentry: Sentry, fetch: Get) -> None:
    """Whatever their values: one that is there twice, one whose name a route inside has too, one below a host."""
    hidden = Hidden(Router(items()))
    hosted = Host("{part}.rota.example", app=Router([Mount("/v1", Router()), Mount("/{org}", app=hidden)]))
    app = Starlette(
        routes=[
            Route("/", view),
            Host("none.example", app=hidden),
            Mount("/{tenant}/api", app=hidden),
            Mount("/in", routes=[Mount("/{id}/same", app=hidden)]),
            hosted,
        ]
    )
    urls = ("/acme/api/items/3", "/api/api/items/3", "/in/7/same/items/8", "/in/8/same/items/8")
    wrapped = RotaSentryMiddleware(app)
    for _ in range(2):
        assert names_of(sentry(), fetch, wrapped, *urls, "http://north.rota.example/acme/items/8") == routes(
            "/{tenant}/api/items/{id}",
            "/{tenant}/api/items/{id}",
            "/in/{id}/same/items/{id}",
            "/in/{id}/same/items/{id}",
            "/{org}/items/{id}",
        )


def test_fastapi_s_routers_and_sub_applications(sentry: Sentry, fetch: Get) -> None:
    """The prefixes of routers in routers, of a mounted application, and of both together."""
    router, outer, sub = APIRouter(prefix="/items"), APIRouter(prefix="/{org}"), FastAPI()

    @router.get("/{id}")
    async def item(id: int) -> int:  # noqa: A002
        return id

    @sub.get("/things/{thing}")
    async def thing(thing: str) -> str:
        return thing

    @router.websocket("/{id}/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()

    app = FastAPI()
    app.include_router(router, prefix="/v1")
    outer.include_router(router)
    app.include_router(outer, prefix="/of")
    sub.include_router(router)
    app.mount("/sub/{tenant}", sub)
    server = sentry()
    urls = ("/v1/items/3", "/of/acme/items/3", "/sub/acme/things/x", "/sub/acme/items/3")
    assert names_of(server, fetch, RotaSentryMiddleware(app), *urls) == routes(
        "/v1/items/{id}", "/of/{org}/items/{id}", "/sub/{tenant}/things/{thing}", "/sub/{tenant}/items/{id}"
    )
    server.envelopes.clear()
    asyncio.run(connect(RotaSentryMiddleware(app), "/of/acme/items/3/live"))
    assert [span["name"] for span in server.spans] == ["/of/{org}/items/{id}/live"]


def test_a_parameter_that_a_mount_and_its_route_both_have_is_told_twice(sentry: Sentry, fetch: Get) -> None:
    """The mount's value is lost; also where FastAPI includes the router, or a later mount would take the path."""
    router, outer, sub, top = APIRouter(), APIRouter(), FastAPI(), FastAPI()
    sub.add_api_route("/things/{id}", lambda id: id, methods=["GET"])  # noqa: A006
    router.mount("/sub/{id}", sub)
    router.mount("/of/{id}", Starlette(routes=items()))
    router.add_api_route("/own/{id}", lambda id: id, methods=["GET"])  # noqa: A006
    outer.include_router(router, prefix="/in/{org}")
    top.include_router(outer, prefix="/v1")
    top.mount("/v1/{rest}", StaticFiles(directory="tests"))
    urls = ("/v1/in/acme/sub/7/things/3", "/v1/in/acme/sub/8/things/3", "/v1/in/acme/of/7/items/3")
    names = (
        "/v1/in/{org}/sub/{id}/things/{id}",
        "/v1/in/{org}/sub/{id}/things/{id}",
        "/v1/in/{org}/of/{id}/items/{id}",
    )
    assert names_of(sentry(), fetch, RotaSentryMiddleware(top), *urls) == routes(*names)
    mounted = RotaSentryMiddleware(Starlette(routes=[Mount("/{id}", top)]))
    below = names_of(
        sentry(), fetch, mounted, "/9/v1/in/acme/own/3", "/8/v1/in/acme/own/3", *(f"/9{url}" for url in urls)
    )
    assert below == routes(*["/{id}/v1/in/{org}/own/{id}"] * 2, *(f"/{{id}}{name}" for name in names))


@pytest.mark.parametrize("integrated", [True, False], ids=["with the SDK's integrations", "without"])
def test_starlette_s_own_routes_and_mounts_inside_fastapi(sentry: Sentry, fetch: Get, *, integrated: bool) -> None:
    """Its documentation, plain routes (two with one endpoint) and files, however they are nested."""
    files = StaticFiles(directory="tests")

    def api() -> FastAPI:
        made, router = FastAPI(), APIRouter()
        made.add_route("/plain/{id}", view)
        made.add_route("/{id}/again", view)
        router.add_route("/of/{id}", view)
        router.mount("/files", StaticFiles(directory="tests"))
        made.include_router(router, prefix="/all")
        made.mount("/static", files)
        return made

    top = api()
    top.mount("/other", files)
    top.mount("/sub/{tenant}", api())
    server = sentry(options={"auto_enabling_integrations": integrated})
    inside = ("/docs", "/plain/3", "/3/again", "/static/wire.py", "/static/told.py")
    told = ("/docs", "/plain/{id}", "/{id}/again", "/static/{path}", "/static/{path}")
    more, told_of_more = ("/other/wire.py", "/static/none"), ("/other/{path}", "GET 404")
    assert names_of(server, fetch, RotaSentryMiddleware(top), *inside, *more) == routes(*told, *told_of_more)
    below = [f"/sub/acme{path}" for path in inside]
    told_below = routes(*(f"/sub/{{tenant}}{name}" for name in told))
    assert names_of(server, fetch, RotaSentryMiddleware(top), *below) == told_below
    starlette = RotaSentryMiddleware(Starlette(routes=[Mount("/sub/{tenant}", api())]))
    assert names_of(server, fetch, starlette, *below) == told_below
    included = names_of(server, fetch, RotaSentryMiddleware(top), "/all/of/3", "/all/files/wire.py")
    assert included == routes("/all/of/{id}", "/all/files/{path}")


def test_django_s_paths_includes_and_views(sentry: Sentry, fetch: Get) -> None:
    """`path`, `re_path`, includes, class and async views; also where Starlette mounts the whole site."""
    urls = ("/loaded/fine/", "/async-untouched/fine/", "/rota/7/", "/rota/7/async/", "/rota/in/3/")
    expected = ("/loaded/{way}/", "/async-untouched/{way}/", "/rota/{week}/", "/rota/{week}/async/", "/rota/in/{day}/")
    django = site()  # which asks its database when it is made
    server = sentry()
    assert names_of(server, fetch, RotaSentryMiddleware(django), *urls) == routes(*expected)
    mounted = Starlette(routes=[Mount("/{tenant}/site", site())])
    found = names_of(server, fetch, RotaSentryMiddleware(mounted), "/acme/site/rota/7/", "/acme/site/none/")
    assert found == routes("/{tenant}/site/rota/{week}/", "GET 404")


@pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "alone"])
def test_routes_that_django_includes_twice_are_told_by_the_place_each_time(
    sentry: Sentry, fetch: Get, *, integrated: bool
) -> None:
    """The SDK's integration calls both by the one that was asked for first; failed and mounted ones, too."""
    django = site()
    server = sentry({} if integrated else {"default_integrations": False})
    urls = ("/rota/7/", "/of/acme/7/", "/of/acme/7/async/", "/rota/7/async/", "/of/acme/in/3/", "/c++/7/")
    expected = (
        "/rota/{week}/",
        "/of/{org}/{week}/",
        "/of/{org}/{week}/async/",
        "/rota/{week}/async/",
        "/of/{org}/in/{day}/",
        "/c++/{week}/",
    )
    assert names_of(server, fetch, RotaSentryMiddleware(django), *urls) == routes(*expected)
    mounted = RotaSentryMiddleware(Starlette(routes=[Mount("/{tenant}/site", django)]))
    below = names_of(server, fetch, mounted, *(f"/t/site{url}" for url in urls))
    assert below == routes(*(f"/{{tenant}}/site{name}" for name in expected))


def test_a_streamed_span_calls_its_route_by_its_name(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """The SDK's integrations tell of a route (`http.route`) without its mounts, or of another one."""
    django = site()
    server, fast = sentry(), FastAPI()
    fast.add_api_route("/things/{thing}", lambda thing: thing, methods=["GET"])
    app = RotaSentryMiddleware(
        Starlette(routes=[Mount("/of/{org}", fast), Mount("/site", django), Mount("/{org}", routes=items())])
    )
    for url, name, is_told in (
        ("/acme/items/3", "/{org}/items/{id}", True),
        ("/of/acme/things/3", "/of/{org}/things/{thing}", True),
        ("/site/rota/7/", "/site/rota/{week}/", True),
        ("/site/of/acme/7/", "/site/of/{org}/{week}/", True),
        ("/acme/none/", "GET 404", False),
    ):
        assert names_of(server, fetch, app, url) == routes(name)
        told = (server.spans[0]["payload"].get("attributes") or {}).get("http.route")
        assert told == ({"type": "string", "value": name} if is_told and lifecycle == "stream" else None)


@pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "alone"])
def test_django_s_translated_urls(sentry: Sentry, fetch: Get, *, integrated: bool) -> None:
    """In whatever language, sync and async, answered and failed, mounted too: the route that Django has found.

    So also where the SDK's integration is off.
    """
    urls = ("/en/rota/7/fine/", "/de/rota/7/fine/", "/de/async-rota/fine/", "/de/old.rota/12/in/abc", "/de/old.rota/3/")
    expected = ("/en/rota/{week}/{way}/", "/de/rota/{week}/{way}/", "/de/async-rota/{way}/")
    if integrated:
        urls, expected = urls[1:], expected[1:]  # the SDK finds the default language's itself
    django = site()
    server = sentry({} if integrated else {"default_integrations": False})
    app = RotaSentryMiddleware(django)
    assert names_of(server, fetch, app, *urls) == routes(*expected, *["/de/old.rota/{week}/{var}"] * 2)
    assert names_of(server, fetch, app, "/de/none/") == routes("GET 404")
    for url, name in (("/de/rota/7/raise/", "/de/rota/{week}/{way}/"), ("/de/async-rota/raise/", expected[-1])):
        assert names_of(server, fetch, app, url) == routes(name)
        if integrated:
            (event,) = server.events
            assert (event["transaction"], event["transaction_info"]) == (name, {"source": "route"})
    mounted = RotaSentryMiddleware(Starlette(routes=[Mount("/{tenant}/site", django)]))
    assert names_of(server, fetch, mounted, "/acme/site/de/rota/7/fine/") == routes(
        "/{tenant}/site/de/rota/{week}/{way}/"
    )


def test_django_s_slow_routes_have_limits_by_template(sentry: Sentry, fetch: Get) -> None:
    """Translated or not, though Django leaves no route in the scope."""
    django = site()
    server = sentry()
    limits = {"/rota/{week}/": 60, "/de/rota/{week}/{way}/": 60}
    settings = Settings(slow_request_seconds=0.000001, slow_request_routes=limits)
    app = RotaSentryMiddleware(django, settings)
    for url in ("/rota/7/", "/de/rota/7/fine/", "/loaded/fine/"):
        asyncio.run(fetch(app, url))
    assert [event["transaction"] for event in server.events] == ["/loaded/{way}/"]


async def item_of_litestar(request: litestar.Request[Any, Any, Any]) -> str:
    return "fine"


def plain_in_litestar(app: Any) -> Any:
    """Litestar reads the annotations of a mounted application."""

    async def serve(scope: litestar.types.Scope, receive: litestar.types.Receive, send: litestar.types.Send) -> None:
        await app(scope, receive, send)

    return serve


def call_it(way: str) -> None:
    """Call the request `my own` as an application may, with no word of where the name comes from; and tell of it."""
    scope = sentry_sdk.get_current_scope()
    span: Any = scope._span
    if way == "scope":
        scope.set_transaction_name("my own")
    elif way == "fork":
        with sentry_sdk.new_scope() as inner:
            inner.set_transaction_name("my own")
    elif way == "assigned":
        scope.transaction = "my own"
    elif way == "span":
        (getattr(span, "containing_transaction", None) or span._segment).name = "my own"
    sentry_sdk.capture_message("noted")


def calling(kind: str) -> Any:
    """An application of each framework whose one route, `/{way}`, calls the request something."""
    if kind == "litestar":

        @litestar.get("/{way:str}")
        async def call(request: litestar.Request[Any, Any, Any]) -> str:
            call_it(request.path_params["way"])
            return "fine"

        return litestar.Litestar([call])
    if kind == "quart":
        app = Quart("rota")

        @app.get("/<way>")
        async def called(way: str) -> str:
            call_it(way)
            return "fine"

        return app
    if kind == "falcon":

        class Called:
            async def on_get(self, request: Any, response: Any, way: str) -> None:
                call_it(way)

        falcons = falcon.asgi.App()
        falcons.add_route("/{way}", Called())
        return falcons
    if kind == "fastapi":
        api = FastAPI()
        api.get("/{way}")(call_it)
        return api
    if kind == "starlette":

        def endpoint(request: Request) -> Response:
            call_it(request.path_params["way"])
            return view(request)

        return Starlette(routes=[Route("/{way}", endpoint)])
    return call_plainly


async def call_plainly(scope: Any, receive: Any, send: Any) -> None:
    call_it(scope["path"].strip("/"))
    await PlainTextResponse("fine")(scope, receive, send)


@pytest.mark.parametrize("kind", ["fastapi", "falcon", "litestar", "plain", "quart", "starlette"])
def test_what_the_application_calls_a_request_wins(sentry: Sentry, fetch: Get, kind: str, lifecycle: str) -> None:
    """With no word of its source, in every framework; on the scope also for its events, sampled or not."""
    server = sentry()
    app = RotaSentryMiddleware(calling(kind))
    ways = ["scope", "fork", "span", *(["assigned"] if lifecycle == "static" else [])]
    assert names_of(server, fetch, app, *[f"/{way}" for way in ways]) == [("my own", "custom")] * len(ways)
    (unnamed,) = names_of(server, fetch, app, "/plain")
    assert unnamed[0] in ("/{way}", "/plain")
    for rate in (1.0, 0.0):
        server = sentry(traces_sample_rate=rate)
        app = RotaSentryMiddleware(calling(kind))
        asyncio.run(fetch(app, "/scope"))
        assert [(event["transaction"], event["transaction_info"]["source"]) for event in server.events] == [
            ("my own", "custom")
        ]


def test_django_keeps_what_a_view_calls_its_request(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """The SDK's integration calls it by its route before the view is called."""
    app = RotaSentryMiddleware(site())
    names = names_of(sentry(), fetch, app, "/loaded/name/", "/async-untouched/name/")
    assert names == [("my own", "custom")] * 2
    if lifecycle == "static":
        # It assigns the name of the page to the scope.
        server = sentry(options={"integrations": [DjangoIntegration(transaction_style="function_name")]})
        assert names_of(server, fetch, app, "/none/") == routes("GET 404")


def test_what_an_integration_calls_a_request_in_a_forked_scope_is_no_word_of_the_application_s(
    sentry: Sentry, fetch: Get
) -> None:
    """A scope around the framework: Starlette's integration calls the request by the path without its mount."""

    class Forking:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with sentry_sdk.new_scope():
                await self.app(scope, receive, send)

    app = Starlette(
        routes=[Mount("/{org}", routes=items())], middleware=[Middleware(GZipMiddleware), Middleware(Forking)]
    )
    assert names_of(sentry(), fetch, RotaSentryMiddleware(Forking(app)), "/acme/items/3") == routes("/{org}/items/{id}")


def rota_of(kind: str) -> Any:
    """The same one route in each of the other frameworks."""
    if kind == "litestar":
        found = litestar.get("/items/{id:int}")(item_of_litestar)
        return litestar.Litestar([litestar.Router("/v1", route_handlers=[found])])
    if kind == "quart":
        app = Quart("rota")

        @app.get("/v1/items/<int:id>")
        async def item(id: int) -> str:  # noqa: A002
            return "fine"

        return app

    class Item:
        async def on_get(self, request: Any, response: Any, id: int) -> None:  # noqa: A002
            response.text = "fine"

    falcons = falcon.asgi.App()
    falcons.add_route("/v1/items/{id:int}", Item())
    return falcons


@pytest.mark.parametrize("integrated", [True, False], ids=["with the SDK's integrations", "without"])
@pytest.mark.parametrize("kind", ["litestar", "quart", "falcon"])
def test_litestar_quart_and_falcon(sentry: Sentry, fetch: Get, kind: str, *, integrated: bool) -> None:
    """The template in one form for all; for Litestar and Quart also below a mount (Falcon knows none)."""
    server = sentry(options={"auto_enabling_integrations": integrated})
    app = rota_of(kind)
    found = names_of(server, fetch, RotaSentryMiddleware(GZipMiddleware(app)), "/v1/items/3", "/none")
    assert found == routes("/v1/items/{id}", "GET 404")
    if kind != "falcon":
        mounted = RotaSentryMiddleware(Starlette(routes=[Mount("/{tenant}", app)]))
        assert names_of(server, fetch, mounted, "/acme/v1/items/3") == routes("/{tenant}/v1/items/{id}")


def test_a_method_that_a_route_does_not_take_is_told_by_the_route(sentry: Sentry, fetch: Get) -> None:
    """Litestar's, Quart's and Falcon's 405: every path would have a name of its own."""
    server = sentry(options={"auto_enabling_integrations": False})
    for kind in ("litestar", "quart", "falcon"):
        server.envelopes.clear()
        asyncio.run(fetch(RotaSentryMiddleware(rota_of(kind)), "/v1/items/3", "PUT"))
        told = [(span["name"], span["source"], span["tags"]["http.status_code"]) for span in server.spans]
        assert told == [("/v1/items/{id}", "route", "405")]


@pytest.mark.parametrize("integrated", [True, False], ids=["with the SDK's integrations", "without"])
def test_a_redirect_for_a_slash_is_told_by_the_route_that_it_leads_to(
    sentry: Sentry, fetch: Get, *, integrated: bool
) -> None:
    """With the slash or without it, below mounts and hosts and in FastAPI's routers; of Quart also from a default."""
    shared = [Route("/weeks/{week}/", view), Route("/days/{day:int}", view)]
    router = APIRouter(prefix="/{org}")
    router.add_api_route("/shifts/{shift}/", lambda shift: shift, methods=["GET"])
    api = FastAPI()
    api.include_router(router, prefix="/v1")
    files = StaticFiles(directory="tests")
    app = RotaSentryMiddleware(
        Starlette(
            routes=[
                *shared,
                Mount("/in/{tenant}", routes=[Mount("/deep", routes=shared), Mount("/static", files)]),
                Mount("/api", api),
                Mount("/plain/{tenant}", PlainTextResponse("", 307)),
                Host("{part}.rota.example", app=Router([Route("/hosted/{id}", view)])),
            ]
        )
    )
    server = sentry(options={"auto_enabling_integrations": integrated})
    urls = ("/weeks/7", "/days/3/", "/in/acme/deep/weeks/7", "/in/acme/static", "/api/v1/acme/shifts/3", "/plain/x/y")
    assert names_of(server, fetch, app, *urls, "http://north.rota.example/hosted/3/") == routes(
        "/weeks/{week}/",
        "/days/{day}",
        "/in/{tenant}/deep/weeks/{week}/",
        "/in/{tenant}/{path}",
        "/api/v1/{org}/shifts/{shift}/",
        "/plain/{tenant}/{path}",
        "/hosted/{id}",
    )
    assert names_of(server, fetch, RotaSentryMiddleware(api), "/v1/acme/shifts/3") == routes(
        "/v1/{org}/shifts/{shift}/"
    )
    quart = Quart("rota")
    quart.add_url_rule("/weeks/<week>/", "week", view)
    quart.add_url_rule("/pages", "page", view, defaults={"page": 1})
    quart.add_url_rule("/pages/<int:page>", "page", view)
    found = names_of(server, fetch, RotaSentryMiddleware(quart), "/weeks/7", "/pages/1")
    assert found == routes("/weeks/{week}/", "/pages")


@pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "alone"])
def test_django_s_redirect_for_a_slash_is_told_by_the_route_that_it_leads_to(
    sentry: Sentry, fetch: Get, *, integrated: bool
) -> None:
    """Of its `APPEND_SLASH`, where URLs are translated, too; what leads nowhere is not found, as ever."""
    site()
    common = "django.middleware.common.CommonMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE[:2], common, *settings.MIDDLEWARE[2:]]):
        app = RotaSentryMiddleware(get_asgi_application())
    server = sentry({} if integrated else {"default_integrations": False})
    urls = ("/rota/7", "/de/rota/7/fine", "/none", "/rota/7/")
    expected = routes("/rota/{week}/", "/de/rota/{week}/{way}/", "GET 404", "/rota/{week}/")
    assert names_of(server, fetch, app, *urls) == expected
    mounted = RotaSentryMiddleware(Starlette(routes=[Mount("/{tenant}", app.app)]))
    assert names_of(server, fetch, mounted, "/acme/rota/7") == routes("/{tenant}/rota/{week}/")


def test_where_falcon_takes_no_notice_of_a_slash_at_the_end(sentry: Sentry, fetch: Get) -> None:
    """By its option: the route is the same then; without the option nothing is there."""
    server = sentry(options={"auto_enabling_integrations": False})
    app = rota_of("falcon")
    assert names_of(server, fetch, RotaSentryMiddleware(app), "/v1/items/3/", "/") == routes("GET 404", "GET 404")
    app.req_options.strip_url_path_trailing_slash = True
    found = names_of(server, fetch, RotaSentryMiddleware(app), "/v1/items/3/", "/v1/items/3", "/")
    assert found == routes("/v1/items/{id}", "/v1/items/{id}", "GET 404")


def test_falcon_inside_of_a_mount_is_told_without_the_prefix_twice(sentry: Sentry, fetch: Get) -> None:
    """It knows nothing of the mount: its routes are those of the whole path, and take it."""
    app = Starlette(routes=[Mount("/v1", rota_of("falcon")), Mount("/{tenant}/v2", rota_of("falcon"))])
    server = sentry(options={"auto_enabling_integrations": False})
    found = names_of(server, fetch, RotaSentryMiddleware(app), "/v1/items/3", "/v1/none")
    assert found == routes("/v1/items/{id}", "GET 404")


@pytest.mark.parametrize("integrated", [True, False], ids=["with the SDK's integrations", "without"])
def test_quart_s_routes_of_subdomains_and_hosts(sentry: Sentry, fetch: Get, *, integrated: bool) -> None:
    """Fixed ones and such with a parameter; a port that goes without saying may be said."""
    server = sentry(options={"auto_enabling_integrations": integrated})
    app = Quart("rota", subdomain_matching=True)
    app.config["SERVER_NAME"] = "rota.example"

    async def week(**_: Any) -> str:
        return "fine"

    app.add_url_rule("/weeks/<week>", "top", week)
    app.add_url_rule("/days/<day>", "api", week, subdomain="api")
    app.add_url_rule("/shifts/<shift>", "tenant", week, subdomain="<tenant>")
    hosts = ("", "http://api.rota.example", "http://acme.rota.example")
    urls = [host + path for host, path in zip(hosts, ("/weeks/7", "/days/3", "/shifts/9"), strict=True)]
    found = names_of(server, fetch, RotaSentryMiddleware(app), *urls)
    assert found == routes("/weeks/{week}", "/days/{day}", "/shifts/{shift}")
    by_host = Quart("rota", host_matching=True, static_host="rota.example")
    by_host.add_url_rule("/weeks/<week>", "week", week, host="api.rota.example")

    async def with_port(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"host", b"api.rota.example:80")]
        await RotaSentryMiddleware(by_host)({**scope, "headers": headers}, receive, send)

    assert names_of(server, fetch, with_port, "/weeks/7") == routes("/weeks/{week}")


def test_what_falcon_serves_below_a_prefix(sentry: Sentry, fetch: Get) -> None:
    """Sinks, by text and by regular expression, and files; what is not found in them is as anywhere."""

    async def sink(request: Any, response: Any, **_: Any) -> None:
        response.status = 404 if request.path.endswith("none") else 200

    app = falcon.asgi.App()
    app.add_sink(sink, "/old/")
    app.add_sink(sink, r"/of/(?P<org>[a-z]+)/v1\.0/(?P<rest>.*)$")
    app.add_static_route("/static", Path("tests").absolute())
    server = sentry()
    urls = ("/old/x/y", "/of/acme/v1.0/x/y", "/static/wire.py", "/old/none", "/static/none", "/none")
    names = ("/old/{path}", "/of/{org}/v1.0/{rest}", "/static/{path}", "GET 404", "GET 404", "GET 404")
    assert names_of(server, fetch, RotaSentryMiddleware(app), *urls) == routes(*names)


def test_blacksheep_s_routes_files_and_mounts(sentry: Sentry, fetch: Get) -> None:
    """It leaves nothing in the scope but the prefix of a mount, as it was called."""
    app, inner = blacksheep.Application(router=BlackSheepRouter()), blacksheep.Application(router=BlackSheepRouter())

    @app.router.get("/items/{int:id}")
    async def item(id: int) -> blacksheep.Response:  # noqa: A002
        return blacksheep.text("fine")

    @app.router.ws("/live/{id}")
    async def live(websocket: blacksheep.WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    @inner.router.get("/weeks/{week}")
    async def inside(week: str) -> blacksheep.Response:
        return blacksheep.text("fine")

    app.serve_files("tests", root_path="/static", extensions={".py"})
    app.mount("/in", inner)
    app.mount("/plain", PlainTextResponse("fine"))
    asyncio.run(app.start())
    server = sentry()
    wrapped = RotaSentryMiddleware(app)
    urls = ("/items/3", "/static/wire.py", "/in/weeks/7", "/plain/x/y", "/items/x", "/in/none")
    names = ("/items/{id}", "/static/{path}", "/in/weeks/{week}", "/plain/{path}", "GET 404", "GET 404")
    assert names_of(server, fetch, wrapped, *urls) == routes(*names)
    server.envelopes.clear()
    for path in ("/live/3", "/none"):
        asyncio.run(connect(wrapped, path))
    assert [(span["name"], span["source"]) for span in server.spans] == routes("/live/{id}", "GET 404")


@pytest.mark.parametrize("kind", ["fastapi", "falcon", "litestar", "quart", "starlette"])
def test_websockets_that_no_route_takes_share_one_name(sentry: Sentry, kind: str) -> None:
    """As all that is not found; one that a plain application refuses is called by its path."""
    server = sentry()
    asyncio.run(connect(RotaSentryMiddleware(calling(kind)), "/none/of/these"))
    assert [(span["name"], span["source"]) for span in server.spans] == routes("GET 404")
    server.envelopes.clear()

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000})

    for wrapped in (refuse, Starlette(routes=[Host("rota.example", app=refuse)])):
        server.envelopes.clear()
        asyncio.run(connect(RotaSentryMiddleware(wrapped), "/live/3"))
        assert [(span["name"], span["source"]) for span in server.spans] == [("/live/3", "url")]


def test_quart_s_views_and_websockets_that_are_asked_for_as_the_other(sentry: Sentry, fetch: Get) -> None:
    """A websocket to a view, and a view's request to a websocket."""
    app = Quart("rota")
    app.add_url_rule("/items/<id>", "item", view)
    app.add_websocket("/live/<id>", "live", view)
    server = sentry()
    assert names_of(server, fetch, RotaSentryMiddleware(app), "/live/3") == routes("/live/{id}")
    server.envelopes.clear()
    asyncio.run(connect(RotaSentryMiddleware(app), "/items/3"))
    assert [(span["name"], span["source"]) for span in server.spans] == routes("/items/{id}")


@pytest.mark.parametrize("integrated", [True, False], ids=["with the SDK's integrations", "without"])
def test_litestar_s_refusals_and_mounts(sentry: Sentry, fetch: Get, *, integrated: bool) -> None:
    """A method that a route does not take, a websocket to a view, mounted applications; also below a mount."""
    inner = Starlette(routes=[Route("/of/{day}/", view), Mount("/static", StaticFiles(directory="tests"))])
    serve = plain_in_litestar(PlainTextResponse("fine"))

    def app() -> Any:
        mounted = litestar.asgi(["/here", "/or/there"], is_mount=True, copy_scope=True)(serve)
        missing = litestar.asgi("/missing", is_mount=True, copy_scope=True)(
            plain_in_litestar(PlainTextResponse("", 404))
        )
        shared = litestar.asgi("/starlette", is_mount=True, copy_scope=False)(plain_in_litestar(inner))
        v1 = litestar.Router("/v1", route_handlers=[mounted, missing, shared])
        return litestar.Litestar([v1, litestar.get("/items/{id:int}")(item_of_litestar)])

    server = sentry(options={"auto_enabling_integrations": integrated})
    urls = ("/v1/here/x/y", "/v1/or/there", "/v1/missing/x", "/none")
    told = ("/v1/here/{path}", "/v1/or/there/{path}", "GET 404", "GET 404")
    found = names_of(server, fetch, RotaSentryMiddleware(app()), *urls)
    assert found == routes(*told)
    below = names_of(server, fetch, RotaSentryMiddleware(Starlette(routes=[Mount("/{org}", app())])), "/acme/v1/here/x")
    assert below == routes("/{org}/v1/here/{path}")
    inside = names_of(server, fetch, RotaSentryMiddleware(app()), "/v1/starlette/of/7/", "/v1/starlette/static/wire.py")
    assert inside == routes("/v1/starlette/of/{day}/", "/v1/starlette/static/{path}")
    for wrapped, prefix in ((app(), ""), (Starlette(routes=[Mount("/{org}", app())]), "/acme")):
        server.envelopes.clear()
        asyncio.run(fetch(RotaSentryMiddleware(wrapped), f"{prefix}/items/3", "PUT"))
        asyncio.run(connect(RotaSentryMiddleware(wrapped), f"{prefix}/items/3"))
        names = [(span["name"], span["source"]) for span in server.spans]
        assert names == routes(*[f"{'/{org}' if prefix else ''}/items/{{id}}"] * 2)


def test_a_path_that_a_mount_cuts_off_is_told_as_the_client_sent_it(sentry: Sentry, fetch: Get) -> None:
    """Litestar writes what is left into the scope: tag, the event's URL and its breadcrumbs keep the whole."""

    @litestar.asgi("/admin", is_mount=True, copy_scope=False)
    async def admin(scope: litestar.types.Scope, receive: litestar.types.Receive, send: litestar.types.Send) -> None:
        sentry_sdk.capture_message("noted")
        await PlainTextResponse("fine")(scope, receive, send)  # type: ignore[arg-type]

    server = sentry()
    asyncio.run(fetch(RotaSentryMiddleware(litestar.Litestar([admin])), "/admin/users/7"))
    (span,), (event,) = server.spans, server.events
    assert (span["name"], span["tags"]["http.url"]) == ("/admin/{path}", "/admin/users/7")
    assert event["request"]["url"] == "http://rota.example/admin/users/7"
    assert (event["transaction"], event["tags"]["http.url"]) == ("/admin/{path}", "/admin/users/7")
    told = [str(crumb) for crumb in event["breadcrumbs"]["values"]]
    assert any("/admin/users/7" in crumb for crumb in told)


def test_what_no_framework_tells_is_called_by_its_path(sentry: Sentry, fetch: Get) -> None:
    """A plain ASGI application, and what is mounted without routes of its own."""

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("fine")(scope, receive, send)

    server = sentry()
    assert names_of(server, fetch, RotaSentryMiddleware(plain), "/plain/3") == [("/plain/3", "url")]
    files = Starlette(routes=[Mount("/static", StaticFiles(directory="tests"))])
    found = names_of(server, fetch, RotaSentryMiddleware(files), "/static/wire.py", "/static/none")
    assert found == routes("/static/{path}", "GET 404")


def test_all_that_is_not_found_shares_one_name_for_each_method(sentry: Sentry, fetch: Get) -> None:
    """Outside and inside of a mount; a route that answers 404 itself keeps its name."""
    app = RotaSentryMiddleware(Starlette(routes=[Mount("/v1", routes=items())]))
    server = sentry()
    found = names_of(server, fetch, app, "/wp-login.php", "/v1/.env", "/v1/items/x", "/v1/missing/3")
    assert found == routes("GET 404", "GET 404", "GET 404", "/v1/missing/{id}")
    server.envelopes.clear()
    asyncio.run(fetch(app, "/wp-login.php", "POST"))
    assert [span["name"] for span in server.spans] == ["POST 404"]
    # As an error of a request tells it whose method is a client's invention.
    assert route.name({"method": "LIST9", "path": "/none"}, None, 404, None, "url") == ("OTHER 404", "route")


SEEN = [
    http(path="/rota/x y", query_string=b"a=1"),
    http(path="/rota", root_path="/proxied", server=("10.0.0.1", 8080)),
    http(path="/", server=None, headers=[]),
    http("POST", "/rota/3", headers=[(b"sentry-trace", b"1f2e3d4c5b6a79881f2e3d4c5b6a7988-1234567890abcdef-1")]),
    websocket("/live"),
]


def test_a_sampler_sees_what_it_would_see_with_the_sdk_s_own_layer(sentry: Sentry) -> None:
    """Name, source, operation, the parent's decision, the ASGI scope; and `ignore_spans` leaves out the same ones."""
    seen: list[Any] = []

    def sampler(context: dict[str, Any]) -> float:
        # What differs by design: IDs, where the span comes from, the attributes that are only the layer's own.
        told = {key: value for key, value in context.items() if key not in ("asgi_scope", "span_context")}
        told["transaction_context"] = {
            key: str(context["transaction_context"].get(key))
            for key in ("name", "source", "op", "parent_sampled", "sampled")
        }
        seen.append((told["transaction_context"], context["asgi_scope"]["path"], context.get("parent_sampled")))
        return 1.0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing."""

    async def serve(wrapped: Any) -> None:
        for scope in SEEN:
            await Wire().run(wrapped, scope)

    server = sentry(options={"traces_sampler": sampler})
    asyncio.run(serve(SentryAsgiMiddleware(app)))
    theirs = list(seen)
    seen.clear()
    asyncio.run(serve(RotaSentryMiddleware(app)))
    assert len(theirs) == len(SEEN)
    assert seen == theirs
    if sentry_sdk.get_client().options.get("trace_lifecycle") == "stream":
        server = sentry(options={"ignore_spans": ["/rota/3", {"name": "http://rota.example/rota/x y"}]})
        asyncio.run(serve(SentryAsgiMiddleware(app)))
        kept = len(server.spans)
        asyncio.run(serve(RotaSentryMiddleware(app)))
        assert 0 < kept < len(SEEN)
        assert len(server.spans) == 2 * kept
