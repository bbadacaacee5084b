"""The pages a visitor sees when something is missing or broken: HTML, problem+json or plain text."""

from asgi_rota_sentry.pages.answer import Answer, ErrorPages
from asgi_rota_sentry.pages.situation import Situation

__all__ = ["Answer", "ErrorPages", "Situation"]
