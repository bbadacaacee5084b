"""How the visitor got there: breadcrumbs of this request and of the same visitor's earlier ones."""

from asgi_rota_sentry.trail.breadcrumbs import (
    Breadcrumb,
    Entry,
    action_entry,
    answer,
    arrival,
    breadcrumb,
    exception,
)
from asgi_rota_sentry.trail.hashing import Key
from asgi_rota_sentry.trail.visitors import SET_COOKIE, Trail

__all__ = [
    "SET_COOKIE",
    "Breadcrumb",
    "Entry",
    "Key",
    "Trail",
    "action_entry",
    "answer",
    "arrival",
    "breadcrumb",
    "exception",
]
