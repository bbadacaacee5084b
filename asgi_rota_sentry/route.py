"""The route template of a scope that has been routed: `/shifts/{id}/`, never `/shifts/17/`.

The frameworks write what they matched into the scope that they were given: Starlette and FastAPI the `route` (and the
mount prefix, as it was called, into `root_path`), Litestar the `path_template`. Where FastAPI leaves only the endpoint,
its route is looked for. Quart, Falcon and BlackSheep write nothing; their routers are asked once more, as is
Litestar's where it refused the method.
"""

from collections.abc import Callable
from typing import Any

from asgi_rota_sentry import endpoints, litestar, mounts, request, routers, slashes
from asgi_rota_sentry.types import Scope

# What the SDK's integrations call a source that is no URL.
_FRAMEWORK_SOURCES = frozenset({"route", "component", "view"})
# And those of a name that stands, whatever the route is: a task that runs within the request has its own.
_OWN_SOURCES = frozenset({"custom", "task"})
_MOST_KNOWN = 1_000

# By the identity of a route (or of what became of it), where it stood last and its template there. All of what the
# template hangs on is kept, so that identities stay their own.
_templates: dict[int, tuple[tuple[Any, ...], str]] = {}


def found_by(find: Callable[[int], str | None] | None, known: Any, source: str, status: int) -> tuple[Any, str]:
    """What a request is called so far: by the route that its framework tells of, if the SDK names it by URL or route.

    Of a view that is reached by several routes, as where Django includes the same ones twice, the SDK tells the one
    that it has met first.
    """
    if find is None or source not in ("url", "route"):
        return known, source
    # What is redirected has no route yet: only where the SDK found none either, one is looked for.
    found = find(status if source == "url" else 0)
    return (known, source) if found is None else (found, "route")


def name(scope: Scope, app: Any, status: int, known: Any, source: str) -> tuple[str, str]:
    """The name of a request and its source: the application's own, else the route template, else the URL path.

    `known` is what the SDK's integrations or the application call it (what is no text is no name), `status` that of the
    answer, 0 before it. What was not found and has no route shares one name for each method.
    """
    return name_of_route(scope, app, status, known, source) or (request.path(scope), "url")


def name_of_route(scope: Scope, app: Any, status: int, known: Any, source: str) -> tuple[str, str] | None:
    """As `name`, but None where there is only the URL path."""
    is_named = isinstance(known, str) if known else False
    if is_named and source in _OWN_SOURCES:
        return known, source
    is_routed = "route" in scope
    if not is_routed and "router" in scope:
        scope = endpoints.with_route(scope)
        is_routed = "route" in scope
    is_routed = is_routed or "litestar_app" in scope
    is_asked = is_routed or "path_template" in scope or routers.has_router(app)
    if is_asked:
        found = template(scope, app)
        if found is not None:
            return found, "route"
        scope = endpoints.with_route(scope)
    if is_named and source in _FRAMEWORK_SOURCES and (below := below_mount(scope, known)) is not None:
        return below, source
    if status == 404:
        # Whatever path was tried: those who look for what is not there know no end of them.
        return f"{request.known_method(scope)} 404", "route"
    if not is_asked and "router" not in scope:
        return None
    mounted = slashes.template(scope) if status in slashes.STATUSES and "router" in scope else None
    if mounted is None:
        mounted = mount(scope) if is_routed else routers.mount(app, scope)
    if mounted is not None:
        return mounted, "route"
    return (f"{request.known_method(scope)} 404", "route") if _is_lost(scope, app, status) else None


def _is_lost(scope: Scope, app: Any, status: int) -> bool:
    """Whether this is a websocket that no route takes: it is closed before it was accepted, which stands for a 403."""
    if status not in (0, 403) or scope.get("type") != "websocket":
        return False
    is_left = "litestar_app" in scope or ("router" in scope and "endpoint" not in scope)
    return is_left or routers.has_router(app)


def template(scope: Scope, app: Any = None) -> str | None:
    """The template with its mount prefix, or None where no framework has left one.

    `app` is the application that served the request. The prefix is what was mounted inside it; one that the server
    itself was given is left out.
    """
    route, found = scope.get("route"), scope.get("path_template")
    is_litestar = "litestar_app" in scope
    if is_litestar:
        found = litestar.template(scope)
    if route is None and "router" in scope:
        scope = endpoints.with_route(scope)
        route = scope.get("route")
    if route is None or found:
        return _below_prefix(scope, found or routers.find(app, scope))
    effective = _effective(scope, route)
    place = (route, effective, scope.get("router"), scope.get("root_path"), scope.get("app_root_path"))
    known = None if is_litestar else _templates.get(id(effective or route))
    if known is not None and known[0] == place:
        return known[1]
    if mounts.is_mount(route):
        inside = endpoints.with_route(scope)
        if inside["route"] is not route:
            return template(inside, app)
        found = routers.find(route.app, scope)
        return found if routers.sees_prefix(route.app) else _below_prefix(scope, found)
    found = _below_prefix(scope, _pattern(effective or route))
    if found is not None and not is_litestar:
        if len(_templates) >= _MOST_KNOWN:
            _templates.clear()
        _templates[id(effective or route)] = place, found
    return found


def _below_prefix(scope: Scope, found: Any) -> str | None:
    prefix = _prefix(scope) if isinstance(found, str) else None
    return None if prefix is None else prefix + found


def _prefix(scope: Scope) -> str | None:
    """The template of what is mounted around the innermost route, Litestar's mount among it."""
    prefix = mounts.prefix(scope)
    if prefix is None or not _is_inside_litestar(scope):
        return prefix
    return (litestar.mount(scope) or "") + prefix


def _is_inside_litestar(scope: Scope) -> bool:
    """Whether the route is that of an application which Litestar mounts, outermost, and which writes into its scope."""
    outer = scope.get("litestar_app")
    return outer is not None and outer is not scope.get("app") and mounts.leads_to(scope.get("route"), scope)


def below_mount(scope: Scope, name: str) -> str | None:
    """What the SDK calls the route, with the mount prefix: it knows the mounted framework, and not where it is mounted.

    None where the name is that of the mount itself, so that the route is not known.
    """
    route = scope.get("route")
    if not mounts.is_mount(route):
        return name
    if mounts.children(route) or name.rstrip("/") in (
        getattr(route, "path", None),
        getattr(route, "path_format", None),
    ):
        return None
    return (mounts.prefix(scope) or "") + name if name.startswith("/") else name


def mount(scope: Scope) -> str | None:
    """The template of what is served below a mount by an application without routes, such as static files."""
    route = scope.get("route")
    own = "" if _is_inside_litestar(scope) else litestar.mount(scope)
    if not mounts.is_mount(route) and (own is None or route is not None):
        return None
    prefix = _prefix(scope)
    return None if prefix is None or not (prefix or own is not None) else f"{prefix}{own or ''}/{{path}}"


def _effective(scope: Scope, route: Any) -> Any:
    """What became of a route in a router that is included in another; None where it stayed what it was.

    FastAPI leaves the route as it was declared, and this beside it. Private, and not there in versions that copy the
    route instead.
    """
    ours = scope.get("fastapi")
    effective = ours.get("effective_route_context") if isinstance(ours, dict) else None
    if effective is None or getattr(effective, "original_route", None) is not route:
        return None
    return getattr(effective, "starlette_route", None) or effective


def _pattern(route: Any) -> str | None:
    for name in ("path_format", "path"):
        pattern = getattr(route, name, None)
        if isinstance(pattern, str):
            return pattern
    return None
