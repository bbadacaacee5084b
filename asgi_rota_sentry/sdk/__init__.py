"""The only room that knows sentry-sdk: its options, the request's scope and span, the capture of errors, envelopes.

Works on sentry-sdk 2.x with transactions, 2.x with streamed spans (`trace_lifecycle="stream"`) and 3.x.
"""

from asgi_rota_sentry.sdk.capture import (
    add_breadcrumb,
    capture_exception,
    capture_slow_request,
    flush,
    is_reported_in_litestar,
    isolated,
    muted,
    remember_exception,
    set_user,
    was_seen,
)
from asgi_rota_sentry.sdk.client import Client, current_client
from asgi_rota_sentry.sdk.collection import Collection
from asgi_rota_sentry.sdk.feedback import (
    environment_and_release,
    feedback_envelope,
    hand_over,
    has_taken,
    is_kept_by,
)
from asgi_rota_sentry.sdk.guard import install as install_guard
from asgi_rota_sentry.sdk.layer import layer
from asgi_rota_sentry.sdk.left_out import leave_out
from asgi_rota_sentry.sdk.logged import capture_logged
from asgi_rota_sentry.sdk.metrics import send_sums
from asgi_rota_sentry.sdk.options import Hooks, build_options, initialise
from asgi_rota_sentry.sdk.scope import RequestScope
from asgi_rota_sentry.sdk.settled import is_settled, mark_settled
from asgi_rota_sentry.sdk.span import RequestSpan, continue_trace, start_span
from asgi_rota_sentry.sdk.tallies import capture_tally
from asgi_rota_sentry.sdk.wsgi import install as install_in_wsgi

__all__ = [
    "Client",
    "Collection",
    "Hooks",
    "RequestScope",
    "RequestSpan",
    "add_breadcrumb",
    "build_options",
    "capture_exception",
    "capture_logged",
    "capture_slow_request",
    "capture_tally",
    "continue_trace",
    "current_client",
    "environment_and_release",
    "feedback_envelope",
    "flush",
    "hand_over",
    "has_taken",
    "initialise",
    "install_guard",
    "install_in_wsgi",
    "is_kept_by",
    "is_reported_in_litestar",
    "is_settled",
    "isolated",
    "layer",
    "leave_out",
    "mark_settled",
    "muted",
    "remember_exception",
    "send_sums",
    "set_user",
    "start_span",
    "was_seen",
]
