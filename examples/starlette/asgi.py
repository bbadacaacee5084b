"""What an ASGI server runs: `uvicorn examples.starlette.asgi:application`."""

from asgi_rota_sentry import RotaSentryMiddleware, init
from examples.starlette.app import app

init()  # reads SENTRY_* and ROTA_SENTRY_* from the environment
application = RotaSentryMiddleware(app)
