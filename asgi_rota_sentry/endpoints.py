"""The route of a request of which only the endpoint was left in the scope.

So FastAPI leaves Starlette's own routes and mounts, the pages of its documentation among them: what it called
(`endpoint`), and the outermost router, in whose tree the route is found again. The route of a mount around it may be
in the scope.
"""

from collections.abc import Iterator
from typing import Any

from asgi_rota_sentry import mounts, request
from asgi_rota_sentry.types import Scope

_MOST_KNOWN = 1_000
_MOST_ROUTES = 10_000

# By the identities of an endpoint and a router, which are kept so that they stay their own: the routes that lead there.
_known: dict[tuple[int, int], tuple[Any, Any, list[Any]]] = {}


def with_route(scope: Scope) -> Scope:
    """The scope with the route whose endpoint was called; as it is where that cannot be told, or is told in it."""
    called = _find(scope)
    return scope if called is None or called is scope.get("route") else {**scope, "route": called}


def _find(scope: Scope) -> Any:
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None or router is None:
        return None
    key = (id(endpoint), id(router))
    known = _known.get(key)
    if known is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[key] = endpoint, router, [route for route in _tree(router) if _target(route) is endpoint]
    found = known[2]
    if len(found) == 1:
        return found[0]
    return next((route for route in found if _has_matched(route, scope)), None)


def _tree(router: Any) -> Iterator[Any]:
    """All routes and mounts below a router, each once."""
    waiting = list(getattr(router, "routes", None) or ())
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_ROUTES:
        route = waiting.pop(0)
        if id(route) in seen:
            continue
        seen.add(id(route))
        yield route
        if mounts.is_mount(route):
            waiting += mounts.children(route)
        else:
            included = mounts.included(route) or ()
            waiting += [found for context in included if (found := getattr(context, "starlette_route", None))]


def _target(route: Any) -> Any:
    return getattr(route, "app", None) if mounts.is_mount(route) else getattr(route, "endpoint", None)


def _has_matched(route: Any, scope: Scope) -> bool:
    """Whether this was the one, of several routes to one endpoint."""
    if mounts.is_mount(route):
        return mounts.leads_to(route, scope)
    regex = getattr(route, "path_regex", None)
    return regex is not None and regex.match(request.local_path(scope)) is not None
