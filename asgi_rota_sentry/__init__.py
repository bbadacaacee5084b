"""Sentry for any ASGI application: scope, user, breadcrumbs, one transaction per request, 404 and 500 pages."""

from asgi_rota_sentry.identity import Identify, Identity
from asgi_rota_sentry.middleware import RotaSentryMiddleware, record_action
from asgi_rota_sentry.settings import Settings, SettingsError
from asgi_rota_sentry.start import init, sentry_options

__all__ = [
    "Identify",
    "Identity",
    "RotaSentryMiddleware",
    "Settings",
    "SettingsError",
    "init",
    "record_action",
    "sentry_options",
]
