"""One piece of feedback: what a visitor wrote about an error, and what is known about it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from asgi_rota_sentry.feedback.fields import without_encoded_words

MISSING, UNKNOWN, KNOWN = "missing", "unknown", "known"
"""What is known of the event that feedback names: none is named; this server has not seen it; it has."""

_SUBJECT_LENGTH = 60


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What a visitor wrote, checked and without secrets; what `on_feedback` gets.

    `id` is the feedback's own ID, `event_id` that of the error it is about (32 hexadecimal digits, None for none);
    `event` is `known`, `unknown` or `missing`. `message` may have several lines, every other text is one line and may
    be empty. `written_at` is in seconds since 1970. `user_id`, `role` and `trace_id` are those of the event, where
    this process has seen it: whoever met the error, which need not be who wrote. Texts are the visitor's: escape
    them for where they are shown.
    """

    id: str
    message: str
    name: str = ""
    email: str = ""
    url: str = ""
    event_id: str | None = None
    event: str = MISSING
    user_id: str | None = None
    role: str | None = None
    trace_id: str | None = None
    environment: str = ""
    release: str = ""
    written_at: float = 0.0

    @property
    def subject(self) -> str:
        """One line for the subject of an e-mail or the title of a list, safe to put into a header."""
        words = without_encoded_words(" ".join(self.message.split()))
        words = words if len(words) <= _SUBJECT_LENGTH else words[: _SUBJECT_LENGTH - 1] + "…"
        return f"Feedback on error {self.event_id[:8]}: {words}" if self.event_id else f"Feedback: {words}"

    @property
    def text(self) -> str:
        """All of it as plain text, for the body of an e-mail."""
        when = datetime.fromtimestamp(self.written_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        event = self.event_id or ""
        if self.event_id and self.event == UNKNOWN:
            event += " (not seen by the process that took the feedback)"
        known = {
            "Name": self.name,
            "E-mail": self.email,
            "Page": self.url,
            "Event ID": event,
            "User": self.user_id,
            "Role": self.role,
            "Environment": self.environment,
            "Release": self.release,
            "Written": when,
            "Feedback ID": self.id,
        }
        return "\n".join([self.message, "", *(f"{name}: {value}" for name, value in known.items() if value), ""])
