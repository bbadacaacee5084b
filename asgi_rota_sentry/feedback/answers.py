"""The answers to a feedback request: pages for people, JSON and problem+json (RFC 9457) for programs."""

import json
from collections.abc import Sequence
from typing import Any

from asgi_rota_sentry import request
from asgi_rota_sentry.feedback.fields import Draft, Fault
from asgi_rota_sentry.pages import Answer, ErrorPages, Situation
from asgi_rota_sentry.pages.accept import HTML, PROBLEM, media_type
from asgi_rota_sentry.pages.headers import encoded, merge
from asgi_rota_sentry.pages.situation import phrase
from asgi_rota_sentry.types import Scope

Extra = Sequence[tuple[bytes, bytes]]

_OWN = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
)


class Answers:
    """Makes the answers in the form that the client likes best; `pages` brings templates and languages."""

    def __init__(self, pages: ErrorPages) -> None:
        self._pages = pages

    def form(self, scope: Scope, event_id: str | None) -> Answer:
        """The form alone."""
        known = _situation(scope, 200, Draft(event_id=event_id))
        return self._pages.feedback(known, url="")

    def taken(self, scope: Scope, draft: Draft, feedback_id: str) -> Answer:
        """What was written has been kept; so it looks to a robot, too."""
        if _wants_page(scope):
            return self._pages.thanks(_situation(scope, 200, draft))
        return _json(scope, 202, "application/json", {"id": feedback_id})

    def refused(
        self, scope: Scope, status: int, faults: Sequence[Fault], draft: Draft | None = None, extra: Extra = ()
    ) -> Answer:
        """What was wrong, with what was written where it could be read."""
        draft = draft or Draft()
        if not _wants_page(scope):
            return _with(_json(scope, status, PROBLEM, _problem(status, faults)), extra)
        words = " ".join(dict.fromkeys(fault.words for fault in faults))
        known = _situation(scope, status, draft)
        return _with(self._pages.feedback(known, draft.message, words, draft.url), extra)


def _wants_page(scope: Scope) -> bool:
    return media_type(request.joined_header(scope, b"accept")) == HTML


def _situation(scope: Scope, status: int, draft: Draft) -> Situation:
    return Situation(
        status=status,
        method=request.method(scope),
        path=request.path(scope),
        root_path=scope.get("root_path") or "",
        accept_language=request.joined_header(scope, b"accept-language"),
        event_id=draft.event_id,
        user_name=draft.name,
        user_email=draft.email,
    )


def _problem(status: int, faults: Sequence[Fault]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "about:blank", "title": phrase(status), "status": status}
    if any(not fault.field for fault in faults):
        found["detail"] = " ".join(fault.detail for fault in faults if not fault.field)
    named = [fault for fault in faults if fault.field]
    if named:
        found.setdefault("detail", "Some fields cannot be taken as they are.")
        found["errors"] = [
            {"field": fault.field, "pointer": f"#/{fault.field}", "detail": fault.detail} for fault in named
        ]
    return found


def _json(scope: Scope, status: int, kind: str, content: dict[str, Any]) -> Answer:
    body = json.dumps(content).encode()
    headers = merge((), encoded([("content-type", kind), *_OWN, ("content-length", str(len(body)))]))
    return Answer(status, headers, b"" if request.method(scope) == "HEAD" else body)


def _with(answer: Answer, extra: Extra) -> Answer:
    return Answer(answer.status, [*answer.headers, *extra], answer.body)
