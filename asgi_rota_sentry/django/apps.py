"""The Django application that brings the system checks."""

from django.apps import AppConfig
from django.core import checks

from asgi_rota_sentry.django.checks import check_setup


class RotaSentryConfig(AppConfig):  # type: ignore[misc]  # Django is untyped
    """`asgi_rota_sentry.django` in `INSTALLED_APPS`; has no models."""

    name = "asgi_rota_sentry.django"
    label = "asgi_rota_sentry"
    verbose_name = "asgi_rota_sentry"

    def ready(self) -> None:
        """Register the checks."""
        checks.register(check_setup)
