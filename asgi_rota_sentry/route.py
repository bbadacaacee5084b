"""The route template of a scope that has been routed: `/shifts/{id}/`, never `/shifts/17/`.

The frameworks write what they matched into the scope that they were given: Starlette and FastAPI the `route` (and the
mount prefix into `root_path`), Litestar the `path_template`.
"""

from typing import Any

from asgi_rota_sentry.types import Scope


def template(scope: Scope) -> str | None:
    """The template with its mount prefix, or None where no framework has left one."""
    found = scope.get("path_template")
    if isinstance(found, str):
        return found
    pattern = _pattern(scope.get("route"))
    if pattern is None:
        return None
    return _prefix(scope) + pattern


def _pattern(route: Any) -> str | None:
    for name in ("path_format", "path"):
        pattern = getattr(route, name, None)
        if isinstance(pattern, str):
            return pattern
    return None


def _prefix(scope: Scope) -> str:
    prefix = str(scope.get("root_path") or "").rstrip("/")
    outer = str(scope.get("app_root_path") or "").rstrip("/")
    return prefix[len(outer) :] if outer and prefix.startswith(outer) else prefix
