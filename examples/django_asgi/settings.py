"""Django's settings for the staff rota; those that matter for the error tracking say so."""

import os
from pathlib import Path

SECRET_KEY = os.environ.get("ROTA_EXAMPLE_SECRET_KEY", "only for this example")
DEBUG = False  # with True, Django shows its own yellow pages in place of the friendly ones
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "examples.django_asgi.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.admin",  # where feedback is read
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "examples.django_asgi",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "asgi_rota_sentry.django.IdentityMiddleware",  # after authentication: tells Sentry whose request it is
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ROTA_EXAMPLE_DATABASE", Path(__file__).with_name("rota.sqlite3")),
    }
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parents[1] / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "django_asgi.Worker"
LOGIN_URL = "/"
STATIC_URL = "static/"

# Feedback is mailed there; without an address nobody is mailed.
SUPPORT_EMAIL = os.environ.get("ROTA_SENTRY_SUPPORT_EMAIL", "")
DEFAULT_FROM_EMAIL = os.environ.get("ROTA_SENTRY_MAIL_FROM") or SUPPORT_EMAIL or "rota@localhost"
EMAIL_HOST = os.environ.get("ROTA_EXAMPLE_SMTP_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("ROTA_EXAMPLE_SMTP_PORT", "25"))
EMAIL_TIMEOUT = 10
