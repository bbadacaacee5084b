"""Celery: a task that a request starts is told with that request's user and role; sentry-sdk hands on the trace.

`init` connects this by itself where Celery is installed. Who calls `sentry_sdk.init` directly calls `connect` too, in
the web process and in the worker.
"""

from collections.abc import Mapping
from typing import Any

from celery import current_task, signals

from asgi_rota_sentry import faults, journey, sdk

#: The message header that carries the user; what is in it is what an event of the request would show.
HEADER = "asgi_rota_sentry"

_PLAIN = (str, int, float, bool)


def connect() -> None:
    """Hand the user on with every task, and take it up in the worker; to be called once or more."""
    signals.before_task_publish.connect(_hand_on, weak=False, dispatch_uid="asgi_rota_sentry")
    signals.task_prerun.connect(_take_up, weak=False, dispatch_uid="asgi_rota_sentry")


def _hand_on(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Before a task is sent: from the request, else from the task that starts this one."""
    try:
        if headers is None:
            return
        here = journey.here()
        told = _told(here) if here is not None else _carried(current_task)
        if told:
            headers[HEADER] = told
    except Exception:
        faults.report("handing the user on to a task")


def _take_up(task: Any = None, **_: Any) -> None:
    """Before a task is run, in the scope that sentry-sdk has opened for it; without one the user would stay on."""
    try:
        told = _carried(task)
        client = sdk.current_client()
        if told and client is not None and client.raw.get_integration("celery") is not None:
            sdk.set_user(told["user"], told.get("role"))
    except Exception:
        faults.report("taking up a task's user")


def _told(here: journey.Journey) -> dict[str, Any] | None:
    user, role = here.user()
    plain = {key: value for key, value in user.items() if isinstance(value, _PLAIN)}
    return {"user": plain, "role": role} if plain else None


def _carried(task: Any) -> dict[str, Any] | None:
    """What this task's message carries; the brokers put headers of their users in one of two places."""
    request = getattr(task, "request", None)
    found = getattr(request, HEADER, None) or (getattr(request, "headers", None) or {}).get(HEADER)
    return dict(found) if isinstance(found, Mapping) and isinstance(found.get("user"), Mapping) else None
