"""What this project does with feedback: it saves it, to be read in the admin, and mails it to support.

Both run in a thread of the middleware's after the visitor was answered; what they raise is logged and told to Sentry.
"""

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connections

from asgi_rota_sentry.feedback import Feedback
from examples.django_asgi.models import FeedbackMessage


def save(feedback: Feedback) -> None:
    """Save it to the database."""
    try:
        FeedbackMessage.objects.create(
            id=feedback.id,
            event_id=feedback.event_id or "",
            message=feedback.message,
            name=feedback.name,
            email=feedback.email,
            url=feedback.url,
            user_id=feedback.user_id or "",
            role=feedback.role or "",
        )
    finally:
        connections.close_all()  # no request of Django's ends here, which would do it


def mail(feedback: Feedback) -> None:
    """Mail it to support, where the settings name an address; answers go to whoever wrote it."""
    if settings.SUPPORT_EMAIL:
        answer_to = [feedback.email] if feedback.email else None
        EmailMessage(feedback.subject, feedback.text, to=[settings.SUPPORT_EMAIL], reply_to=answer_to).send()
