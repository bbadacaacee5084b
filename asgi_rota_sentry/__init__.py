"""Sentry for any ASGI application: scope, user, breadcrumbs, one transaction per request, 404 and 500 pages."""

from asgi_rota_sentry.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError"]
