"""Keeping feedback: first on this machine, then on its way to Sentry. It blocks: call it in a worker thread."""

import time
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from asgi_rota_sentry import faults, sdk
from asgi_rota_sentry.feedback.entry import KNOWN, MISSING, UNKNOWN, Feedback
from asgi_rota_sentry.feedback.fields import Draft
from asgi_rota_sentry.feedback.known import EventFacts
from asgi_rota_sentry.outbox import OutboxError
from asgi_rota_sentry.outbox.feedback import HANDED_OVER, KEPT, NOT_SENT, FeedbackStore
from asgi_rota_sentry.scrubbing import Scrubber
from asgi_rota_sentry.settings import Settings


class Keeper:
    """Takes feedback into the outbox's file and to the SDK's transport."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scrubber = Scrubber.from_settings(settings)
        self._store: FeedbackStore | None = None
        if settings.outbox_path:
            self._store = FeedbackStore(
                settings.outbox_path, entries=settings.feedback_max_entries, days=settings.feedback_max_days
            )

    def complete(self, draft: Draft, facts: EventFacts | None) -> Feedback:
        """The feedback that a draft makes: with what is known of its event, and without secrets."""
        client = sdk.current_client()
        environment, release = sdk.environment_and_release(client) if client is not None else ("", "")
        # Asked in any case: how long the answer takes must not tell whether an event exists.
        waits = draft.event_id is not None and self._has_event(draft.event_id)
        event = MISSING if draft.event_id is None else KNOWN if waits or facts is not None else UNKNOWN
        known = facts or EventFacts()
        return Feedback(
            id=uuid4().hex,
            message=self._scrubber.text(draft.message),
            name=self._scrubber.text(draft.name),
            email=draft.email,
            url=self._scrubber.text(draft.url),
            event_id=draft.event_id,
            event=event,
            user_id=known.user_id,
            role=known.role,
            trace_id=known.trace_id,
            environment=environment or self._settings.environment,
            release=release or self._settings.release or "",
            written_at=time.time(),
        )

    def keep(self, feedback: Feedback, *, span_id: str | None, user_agent: str | None) -> bool:
        """Whether the feedback is safe now: on disk, or with a transport that sends it.

        A transport that only keeps what it is given is as good as its file.
        """
        client = sdk.current_client()
        kind = "user_report" if self._settings.feedback_user_report else "feedback"
        envelope_id = feedback.event_id or feedback.id if kind == "user_report" else feedback.id
        written = self._write(feedback, envelope_id)
        taken = False
        if client is not None:
            payload = user_report(feedback) if kind == "user_report" else item(feedback, span_id, user_agent)
            try:
                payload = self._scrubber.payload(payload)
                taken = sdk.hand_over(client, sdk.feedback_envelope(kind, envelope_id, payload))
            except Exception:
                faults.report("handing feedback to the transport")
        if written and not (taken and client is not None and sdk.is_kept_by(client)):
            self._note(feedback, HANDED_OVER if taken else NOT_SENT)
        return written or (taken and client is not None and sdk.has_taken(client))

    def _has_event(self, event_id: str) -> bool:
        try:
            return self._store is not None and self._store.has_event(event_id)
        except OutboxError:
            return False

    def _write(self, feedback: Feedback, envelope_id: str) -> bool:
        if self._store is None:
            return False
        try:
            self._store.add(asdict(feedback) | {"envelope_id": envelope_id, "state": KEPT})
        except OutboxError:
            faults.report("keeping feedback in the outbox's file")
            return False
        return True

    def _note(self, feedback: Feedback, state: str) -> None:
        try:
            if self._store is not None:
                self._store.set_state(feedback.id, state)
        except OutboxError:
            faults.report("noting what became of feedback")


def item(feedback: Feedback, span_id: str | None, user_agent: str | None) -> dict[str, Any]:
    """The payload of Sentry's item type `feedback`: shaped as an event, what was written in a context."""
    written = {
        "message": feedback.message,
        "contact_email": feedback.email,
        "name": feedback.name,
        "url": feedback.url,
        "source": "asgi_rota_sentry",
        "associated_event_id": feedback.event_id,
    }
    contexts: dict[str, Any] = {"feedback": _filled(written)}
    if feedback.trace_id:
        contexts["trace"] = _filled({"trace_id": feedback.trace_id, "span_id": span_id or uuid4().hex[:16]})
    seen = _filled({"url": feedback.url, "headers": _filled({"User-Agent": user_agent})})
    return _filled(
        {
            "event_id": feedback.id,
            "timestamp": feedback.written_at,
            "platform": "python",
            "level": "info",
            "environment": feedback.environment,
            "release": feedback.release,
            "user": _filled({"id": feedback.user_id, "role": feedback.role}),
            "tags": _filled({"user.role": feedback.role, "feedback.event": feedback.event}),
            "request": seen,
            "contexts": contexts,
        }
    )


def user_report(feedback: Feedback) -> dict[str, Any]:
    """The payload of the item type `user_report`, which has no place for more than this."""
    event_id = feedback.event_id or feedback.id
    return {"event_id": event_id, "name": feedback.name, "email": feedback.email, "comments": feedback.message}


def _filled(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}
