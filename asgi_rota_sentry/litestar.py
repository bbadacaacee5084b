"""The route template of a request that Litestar served: it leaves one of all but refused methods and its mounts.

Litestar is not imported: it writes itself, and the handler that it found, into the scope. And the exception that it is
answering, of which it tells only what was put into the application when that was made.
"""

import sys
from typing import Any
from urllib.parse import unquote

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

_MOST_KNOWN = 1_000
# What is asked for in place of a refused method: Litestar itself answers OPTIONS for each HTTP route; without a method
# it looks for a websocket, or an ASGI application that takes all of them.
_OTHER_METHODS = ("OPTIONS", None)

# By the identities of a handler and the application, which are kept so that they stay their own: where it is mounted.
_mounts: dict[tuple[int, int], tuple[Any, Any, list[str]]] = {}


def answering() -> BaseException | None:
    """The exception that Litestar, which has called us, is handling just now."""
    exc = sys.exc_info()[1]
    caught = None if exc is None else exc.__traceback__
    # A traceback begins where the exception was caught; of others, those around the server, nothing is said here.
    is_its_own = caught is not None and str(caught.tb_frame.f_globals.get("__name__")).startswith("litestar.")
    return exc if is_its_own else None


def template(scope: Scope) -> str | None:
    """The template of the route; None where there is none, or where an application is mounted."""
    if getattr(scope.get("route_handler"), "is_mount", False):
        return None  # what is left as the template is that of the root
    found = scope.get("path_template")
    if isinstance(found, str) and found:
        return found
    return _refused(scope) if "route_handler" not in scope else None


def mount(scope: Scope) -> str | None:
    """The path at which the application is mounted that the request was handed on to, "" for the root; else None."""
    handler, app = scope.get("route_handler"), scope.get("litestar_app")
    if app is None or not getattr(handler, "is_mount", False):
        return None
    key = (id(handler), id(app))
    known = _mounts.get(key)
    if known is None:
        if len(_mounts) >= _MOST_KNOWN:
            _mounts.clear()
        paths = [
            str(route.path).rstrip("/")
            for route in getattr(app, "routes", None) or ()
            if getattr(route, "route_handler", None) is handler
        ]
        known = _mounts[key] = handler, app, sorted(paths, key=len, reverse=True)
    paths = known[2]
    if len(paths) <= 1:
        return paths[0] if paths else None
    # Of several, the one that the client asked for: it is cut off in `path`.
    raw = scope.get("raw_path")
    asked = {**scope, "path": unquote(raw.decode("latin-1"))} if isinstance(raw, bytes) else scope
    path = request.local_path(asked) + "/"
    return next((own for own in paths if path.startswith(own + "/")), None)


def _refused(scope: Scope) -> str | None:
    """The template of a path whose method was refused before anything was left in the scope; asked for privately."""
    ask = getattr(getattr(scope.get("litestar_app"), "asgi_router", None), "handle_routing", None)
    if ask is None:
        return None
    path = "/" + "/".join(part for part in request.local_path(scope).split("/") if part)
    for method in _OTHER_METHODS:
        try:
            found = ask(path=path, method=method)[4]
        except Exception:  # noqa: S112 - nothing is found by this method
            continue
        return found if isinstance(found, str) and found else None
    return None
