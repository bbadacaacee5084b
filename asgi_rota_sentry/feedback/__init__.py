"""Feedback: what the visitor was doing, in the visitor's own words.

The 500 page's form posts here, and so can any front end of the same origin: form fields, multipart or JSON, with
`event_id`, `message` (or `comments`), `name`, `email`, `url`.
"""

from asgi_rota_sentry.feedback.entry import Feedback
from asgi_rota_sentry.feedback.hooks import OnFeedback
from asgi_rota_sentry.feedback.route import FeedbackRoute

__all__ = ["Feedback", "FeedbackRoute", "OnFeedback"]
