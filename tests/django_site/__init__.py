"""A small Django site for the tests, in this process; every query that it makes is noted.

With `ROTA_TEST_USER_MODEL=custom` in the environment it has a user model of its own, else Django's.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db.backends.signals import connection_created
from sentry_sdk.integrations import setup_integrations
from sentry_sdk.integrations.django import DjangoIntegration

CUSTOM = os.environ.get("ROTA_TEST_USER_MODEL") == "custom"

_queries: list[str] = []
_ready: list[Any] = []


def site() -> Any:
    """The bare ASGI application; the database has two users, `Jane` and `Bob`."""
    if not _ready:
        # Django's middleware has spans only if the integration was there before it: whichever test asks first.
        setup_integrations([DjangoIntegration()], with_defaults=False)
        _configure()
        from django.core.asgi import get_asgi_application

        _ready.append(get_asgi_application())
        _fill()
    return _ready[0]


@contextmanager
def noted_queries() -> Iterator[list[str]]:
    """The queries made meanwhile, in whatever thread."""
    _queries.clear()
    yield _queries


def session_of(name: str) -> dict[str, str]:
    """The Cookie header of somebody who has signed in."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    user = get_user_model().objects.get(username=name)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return {"cookie": f"sessionid={session.session_key}"}


def crowd(size: int) -> dict[str, dict[str, str]]:
    """So many users, who are called as their IDs are, and the Cookie header of each."""
    site()
    from django.contrib.auth import get_user_model
    from django.contrib.sessions.models import Session
    from django.db import connections

    model = get_user_model()
    if not model.objects.filter(username="v0").exists():
        model.objects.bulk_create([model(id=1000 + number, username=f"v{number}") for number in range(size)])
    cookies = {f"v{number}": session_of(f"v{number}") for number in range(size)}
    assert Session.objects.count() >= size
    connections.close_all()
    return cookies


def token_of(name: str) -> dict[str, str]:
    """The Authorization header of Django REST framework's token authentication."""
    from rest_framework.authtoken.models import Token

    token, _ = Token.objects.get_or_create(user__username=name, defaults={"user": _user(name)})
    return {"authorization": f"Token {token.key}"}


def _user(name: str) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def _own_folder() -> Path:
    """A folder for this process, which ends with it and not with a fork of it."""
    folder, owner = tempfile.mkdtemp(prefix="rota-django-"), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return Path(folder)


def _configure() -> None:
    database = _own_folder() / "site.sqlite3"
    settings.configure(
        ALLOWED_HOSTS=["*"],
        AUTH_USER_MODEL="django_site.Worker" if CUSTOM else "auth.User",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "rest_framework",
            "rest_framework.authtoken",
            "asgi_rota_sentry.django",
            "tests.django_site",
        ],
        LANGUAGES=[("en", "English"), ("de", "Deutsch")],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "asgi_rota_sentry.django.IdentityMiddleware",
        ],
        ROOT_URLCONF="tests.django_site.urls",
        SECRET_KEY="only for tests",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"names.html": "{{ names|length }}"})]
                },
            }
        ],
        USE_TZ=True,
    )
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    connection_created.connect(_watch)
    django.setup()


def _watch(connection: Any, **_: Any) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)


def _note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    result = execute(sql, params, many, context)
    _queries.append(sql)  # made, and not only tried
    return result


def _fill() -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", run_syncdb=True, verbosity=0)
    more = {"role": "Manager", "preferences": {"theme": "dark", "timezone": "Europe/London"}} if CUSTOM else {}
    for name in ("jane", "bob"):
        user = get_user_model().objects.create_user(
            username=name, email=f"{name}@example.com", password=None, first_name=name.title(), **more
        )
        user.groups.add(Group.objects.get_or_create(name="Managers")[0])
    connections.close_all()
