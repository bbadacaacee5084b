"""What an ASGI server runs: `uvicorn examples.django_asgi.asgi:application`, after `migrate`."""

import os

from django.core.asgi import get_asgi_application

from asgi_rota_sentry import RotaSentryMiddleware, init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_asgi.settings")

init()  # reads SENTRY_* and ROTA_SENTRY_* from the environment
app = get_asgi_application()
application = RotaSentryMiddleware(app)
