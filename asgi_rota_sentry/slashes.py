"""The route of a request that its router redirects for the sake of a slash at the end: it is named as what it leads to.

Starlette's router, and FastAPI's, answer for it themselves, and leave no route in the scope.
"""

from typing import Any

from asgi_rota_sentry import mounts, request
from asgi_rota_sentry.types import Scope

#: The statuses of such an answer.
STATUSES = frozenset({307, 308})
_DEEPEST = 20
_REST = "/{path}"


def template(scope: Scope) -> str | None:
    """The template of the route that takes the path with the slash, or without it; None where there is none.

    That of a mount only where the router around it has answered: below a mount, what it mounts may have.
    """
    outer = scope.get("app_root_path", scope.get("root_path"))
    path = request.local_path({"path": scope.get("path"), "root_path": outer})
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    routes = getattr(scope.get("router"), "routes", None)
    found = _toward(routes or (), other, scope, _DEEPEST)
    return None if found is not None and found.endswith(_REST) and "endpoint" in scope else found


def _toward(routes: Any, path: str, scope: Scope, depth: int) -> str | None:
    for route in routes:
        if (included := mounts.included(route)) is not None:
            inside = [getattr(context, "starlette_route", None) or context for context in included]
            found = _toward(inside, path, scope, depth - 1) if depth else None
        elif mounts.is_mount(route):
            found = _below(route, path, scope, depth - 1) if depth else None
        else:
            found = _own(route, path)
        if found is not None:
            return found
    return None


def _own(route: Any, path: str) -> str | None:
    regex, pattern = getattr(route, "path_regex", None), getattr(route, "path_format", None)
    return pattern if regex is not None and isinstance(pattern, str) and regex.match(path) else None


def _below(route: Any, path: str, scope: Scope, depth: int) -> str | None:
    """The template below a mount, or that of the mount where its application tells of no routes."""
    host = getattr(route, "host_regex", None)
    if host is not None:
        asked = (request.header(scope, b"host") or "").split(":")[0]
        return _toward(mounts.children(route), path, scope, depth) if host.match(asked) else None
    regex, pattern = getattr(route, "path_regex", None), getattr(route, "path_format", None)
    found = regex.match(path) if regex is not None else None
    if found is None or not isinstance(pattern, str):
        return None
    prefix = pattern.removesuffix(_REST)
    inner = _toward(mounts.children(route), "/" + found.group("path"), scope, depth)
    return prefix + (inner or _REST)
