"""What an ASGI server runs: `uvicorn examples.django_asgi.asgi:application`, after `migrate`."""

import os

from django.core.asgi import get_asgi_application

from asgi_rota_sentry import RotaSentryMiddleware, init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_asgi.settings")

init()  # reads SENTRY_* and ROTA_SENTRY_* from the environment
app = get_asgi_application()

from examples.django_asgi import feedback  # noqa: E402 - it uses models, which are there from here on

application = RotaSentryMiddleware(app, on_feedback=[feedback.save, feedback.mail])
