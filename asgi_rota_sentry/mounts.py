"""The template of a mount prefix: `/{tenant}/api`, never `/acme/api`.

Starlette leaves the prefix as it was called (`root_path`), the parameters and the innermost route. Which mounts led
there is found again in the tree of routes; below what cannot be looked into, the parameters' values are put back where
they can only be those.
"""

from collections.abc import Iterator
from typing import Any

from asgi_rota_sentry.types import Scope

_MOST_KNOWN = 1_000
_DEEPEST = 20

# By route, router and concrete prefix; both are kept so that their identities stay their own.
_known: dict[tuple[int, int, str], tuple[Any, Any, str]] = {}


def is_mount(route: Any) -> bool:
    """Whether this is no leaf, but hands on to another application (`Mount`, `Host`)."""
    return hasattr(route, "app") and not hasattr(route, "endpoint")


def children(route: Any) -> list[Any]:
    """The routes of the application behind a mount; none where it has none, or is no router."""
    for _ in range(_DEEPEST):
        if route is None:
            break
        found = getattr(route, "routes", None)
        if isinstance(found, list | tuple) and found:
            return list(found)
        route = getattr(route, "app", None)
    return []


def included(route: Any) -> list[Any] | None:
    """What FastAPI makes of the routes of a router that another includes; None where the route is no such router.

    Private, and without it those routes are not found.
    """
    contexts = getattr(route, "effective_route_contexts", None)
    return list(contexts()) if contexts else None


def prefix(scope: Scope) -> str | None:
    """The template of what is mounted around the innermost route; None where it cannot be told from the values."""
    concrete = _concrete(scope)
    if not concrete:
        return ""
    route, router = scope.get("route"), scope.get("router")
    key = (id(route), id(router), concrete)
    known = _known.get(key)
    if known is not None:
        return known[2]
    routes = getattr(router, "routes", None) or ()
    found = next(_paths_to(route, routes, concrete, _DEEPEST), None)
    if found is None:
        seen, rest, names = _in_sight(routes, concrete, _DEEPEST) or ("", concrete, set())
        if rest:
            below = _put_back(scope, route, rest, names)
            return None if below is None else seen + below
        found = seen
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[key] = route, router, found
    return found


def leads_to(route: Any, scope: Scope) -> bool:
    """Whether the concrete prefix is that of this mount."""
    routes = getattr(scope.get("router"), "routes", None) or ()
    return next(_paths_to(route, routes, _concrete(scope), _DEEPEST), None) is not None


def _concrete(scope: Scope) -> str:
    """The prefix as it was called."""
    root = str(scope.get("root_path") or "").rstrip("/")
    # What the server was given, before anything was mounted; without it, nothing was.
    outer = scope.get("app_root_path")
    if outer is None or root == (outer := str(outer).rstrip("/")) or not root.startswith(outer):
        return ""
    return root[len(outer) :]


def _paths_to(route: Any, routes: Any, concrete: str, depth: int) -> Iterator[str]:
    """The templates of the mounts that lead to this route and match the concrete prefix."""
    for candidate in _opened(routes):
        if candidate is route and not is_mount(route):
            if not concrete:
                yield ""
            continue
        if depth <= 0 or not is_mount(candidate):
            continue
        own, rest = _match(candidate, concrete)
        if rest is None:
            continue
        if candidate is route and not rest:
            yield own
        for inner in _paths_to(route, children(candidate), rest, depth - 1):
            yield own + inner


def _opened(routes: Any) -> Iterator[Any]:
    """The routes, and in place of a router that FastAPI includes what it makes of its routes there."""
    for route in routes:
        contexts = included(route)
        if contexts is None:
            yield route
            continue
        for context in contexts:
            made, original = getattr(context, "starlette_route", None), getattr(context, "original_route", None)
            yield from (made,) if is_mount(made) else (made, original)


def _match(candidate: Any, concrete: str) -> tuple[str, str | None]:
    """The mount's own template, and what it leaves of the concrete prefix; None for a mount of something else."""
    regex, pattern = getattr(candidate, "path_regex", None), getattr(candidate, "path_format", None)
    if regex is None or not isinstance(pattern, str):
        return "", concrete  # by host, not by path
    found = regex.match(concrete + "/")
    if found is None:
        return "", None
    return pattern.removesuffix("/{path}"), ("/" + found.group("path")).rstrip("/")


def _in_sight(routes: Any, concrete: str, depth: int) -> tuple[str, str, set[str]] | None:
    """The template of the mounts in sight that match the concrete prefix, what they leave of it, and their parameters.

    They are the first that match, as for the router; None where there is none whose routes are out of sight.
    """
    for candidate in _opened(routes):
        if depth <= 0 or not is_mount(candidate):
            continue
        own, rest = _match(candidate, concrete)
        if rest is None:
            continue
        below = children(candidate)
        inner = _in_sight(below, rest, depth - 1) if below else ("", rest, set()) if own else None
        if inner is not None:
            return own + inner[0], inner[1], inner[2] | set(getattr(candidate, "param_convertors", None) or ())
    return None


def _put_back(scope: Scope, route: Any, concrete: str, seen: set[str]) -> str | None:
    """The prefix with each parameter that was not seen in place of its value; None unless each is there, and once."""
    own = {*seen, *(getattr(route, "param_convertors", None) or ())}
    given = {name: str(value) for name, value in (scope.get("path_params") or {}).items() if name not in own}
    segments = concrete.split("/")
    for name, value in given.items():
        if segments.count(value) != 1 or list(given.values()).count(value) != 1:
            return None
        segments[segments.index(value)] = f"{{{name}}}"
    return "/".join(segments)
