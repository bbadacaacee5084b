"""A program that uses all public names, as a user with a strict type checker would write it; it is never run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.asgi import get_asgi_application
from falcon.asgi import App as Falcon
from fastapi import FastAPI
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from asgi_rota_sentry import (
    Identify,
    Identity,
    RotaSentryMiddleware,
    Settings,
    SettingsError,
    init,
    record_action,
    sentry_options,
)
from asgi_rota_sentry.feedback import Feedback
from asgi_rota_sentry.mail import FeedbackMail
from asgi_rota_sentry.outbox import health


def who(scope: Scope) -> Identity | None:
    return Identity(id="1", role="Manager", preferences={"theme": "dark"})


async def who_async(scope: Mapping[str, Any]) -> Identity | None:
    return Identity(id=uuid4(), role=7, preferences={"theme": None})


def save(feedback: Feedback) -> None:
    print(feedback.message, feedback.event_id)


async def save_async(feedback: Feedback) -> None:
    print(feedback.subject)


async def by_hand(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})


def asgi2(scope: dict[str, Any]) -> Callable[[Receive, Send], Awaitable[None]]:
    async def instance(receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    return instance


settings = Settings(traces_sample_rate=0.2, exclude_paths=("/healthz",), slow_request_routes=(("/reports/*", 2.0),))
settings = Settings(
    exclude_paths=["/healthz"],
    trusted_proxies=["10.0.0.0/8", ip_network("fd00::/8")],
    slow_request_routes={"/reports/*": 2.0},
    session_cookies="sessionid,session",
    scrub_keys={"pin"},
    outbox_path=Path("outbox.sqlite3"),
    pages_dir=Path("pages"),
)
excluded: tuple[str, ...] = settings.exclude_paths
proxies: tuple[IPv4Network | IPv6Network, ...] = settings.trusted_proxies
limits: tuple[tuple[str, float], ...] = settings.slow_request_routes
path: str = settings.outbox_path
settings = replace(settings, exclude_paths=["/healthz", "/ready"])
init(settings, before_send=lambda event, hint: event)
options: dict[str, Any] = sentry_options(settings)
try:
    Settings.from_env({"SENTRY_DSN": "nonsense"})
except SettingsError as error:
    faults: tuple[str, ...] = error.faults

identify: Identify = who
applications = [
    RotaSentryMiddleware(Starlette(), settings, identify=who, on_feedback=save),
    RotaSentryMiddleware(FastAPI(), identify=who_async, on_feedback=[save, save_async]),
    RotaSentryMiddleware(Litestar(), identify=lambda scope: Identity(id=scope["user"].id)),
    RotaSentryMiddleware(Quart(__name__), on_feedback=FeedbackMail.from_settings(settings)),
    RotaSentryMiddleware(Falcon(), on_feedback=[save, FeedbackMail.from_settings(settings)]),
    RotaSentryMiddleware(get_asgi_application()),
    RotaSentryMiddleware(by_hand),
    RotaSentryMiddleware(asgi2),
    RotaSentryMiddleware(RotaSentryMiddleware(Starlette())),
    Starlette(middleware=[Middleware(RotaSentryMiddleware, settings)]),
]
FastAPI().add_middleware(RotaSentryMiddleware, settings=settings)

record_action("click", "by position", button="save", category="of shifts")
record_action(category="click", message="by name", button="save")
print(health().queued, health().fault)
