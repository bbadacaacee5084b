"""System checks: what is wrong with the setup, before anybody misses a user in Sentry.

| id | what is wrong |
| --- | --- |
| `asgi_rota_sentry.W001` | `IdentityMiddleware` is not in `MIDDLEWARE` |
| `asgi_rota_sentry.W002` | it stands before `AuthenticationMiddleware` |
| `asgi_rota_sentry.W003` | there is no `AuthenticationMiddleware`, so no user to tell |
| `asgi_rota_sentry.W004` | the ASGI module does not mention `RotaSentryMiddleware` |
"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's name
from django.utils.module_loading import import_string

from asgi_rota_sentry.django.middleware import IdentityMiddleware

_OURS = "asgi_rota_sentry.django.IdentityMiddleware"
_DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_setup(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """The faults of this project's setup."""
    return [*_check_middleware(), *_check_wrapper()]


def _check_middleware() -> Iterator[CheckMessage]:
    ours, djangos = _position(IdentityMiddleware), _position_of_djangos()
    if ours is None:
        yield _warning(1, f"'{_OURS}' is not in MIDDLEWARE.", f"Add it directly behind '{_DJANGOS}'.")
    elif djangos is None:
        yield _warning(
            3,
            f"'{_OURS}' is in MIDDLEWARE, but '{_DJANGOS}' is not: there is no user to tell.",
            f"Add '{_DJANGOS}' before it, or leave it out.",
        )
    elif ours < djangos:
        yield _warning(
            2,
            f"'{_OURS}' stands before '{_DJANGOS}': when it runs, there is no user yet.",
            f"Move it directly behind '{_DJANGOS}'.",
        )


def _check_wrapper() -> Iterator[CheckMessage]:
    name, source = _asgi_module()
    if source is not None and "RotaSentryMiddleware" not in source:
        yield _warning(
            4,
            f"The module '{name}' does not mention RotaSentryMiddleware: without it nothing is told to Sentry.",
            "Let it say: application = RotaSentryMiddleware(get_asgi_application()). "
            "If that stands elsewhere, silence this check.",
        )


def _warning(number: int, text: str, hint: str) -> CheckMessage:
    return Warning(text, hint=hint, id=f"asgi_rota_sentry.W{number:03}")


def _position_of_djangos() -> int | None:
    if not apps.is_installed("django.contrib.auth"):
        return None  # then its middleware cannot be imported
    from django.contrib.auth.middleware import AuthenticationMiddleware  # noqa: PLC0415 - needs the models

    return _position(AuthenticationMiddleware)


def _position(wanted: type) -> int | None:
    """Where in MIDDLEWARE this class, or one made from it, stands first."""
    for position, path in enumerate(settings.MIDDLEWARE):
        try:
            listed = import_string(path)
        except Exception:  # noqa: S112 - Django itself tells of it, whatever it is
            continue
        if isinstance(listed, type) and issubclass(listed, wanted):
            return position
    return None


def _asgi_module() -> tuple[str, str | None]:
    """The module of the ASGI application and its source; it is not imported, for that may start the application."""
    application = getattr(settings, "ASGI_APPLICATION", None) or ""
    named = application.rpartition(".")[0]
    for name in [named] if named else _usual_names():
        try:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin:
                return name, Path(spec.origin).read_text()
        except (ImportError, OSError, ValueError):
            continue
    return "", None


def _usual_names() -> Iterator[str]:
    """Beside the settings, as `startproject` has it, or above: they may be a package (`config.settings.production`)."""
    package = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    while package := package.rpartition(".")[0]:
        yield f"{package}.asgi"
    yield "asgi"
