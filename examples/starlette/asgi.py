"""What an ASGI server runs: `uvicorn examples.starlette.asgi:application`."""

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from asgi_rota_sentry.mail import FeedbackMail
from examples.starlette.app import app

settings = Settings.from_env()  # reads SENTRY_* and ROTA_SENTRY_*
init(settings)
# Feedback goes to ROTA_SENTRY_SUPPORT_EMAIL by way of ROTA_SENTRY_SMTP_URL; without them nobody is mailed.
application = RotaSentryMiddleware(app, settings, on_feedback=FeedbackMail.from_settings(settings))
