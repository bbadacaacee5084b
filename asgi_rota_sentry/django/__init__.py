"""The Django bridge: what Django knows of the user, handed to the ASGI scope without ever asking Django for more.

Put `asgi_rota_sentry.django.IdentityMiddleware` directly behind `AuthenticationMiddleware` in `MIDDLEWARE`, and
`asgi_rota_sentry.django` into `INSTALLED_APPS` for the system checks.
"""

from asgi_rota_sentry.django.middleware import IdentityMiddleware
from asgi_rota_sentry.django.user import RequestUser

__all__ = ["IdentityMiddleware", "RequestUser"]
