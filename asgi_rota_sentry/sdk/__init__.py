"""The only room that knows sentry-sdk: its options, the request's span, the capture of errors, its private names.

Works on sentry-sdk 2.x with transactions, 2.x with streamed spans (`trace_lifecycle="stream"`) and 3.x.
"""

from asgi_rota_sentry.sdk.capture import RequestScope, add_breadcrumb, capture_exception, muted, remember_exception
from asgi_rota_sentry.sdk.client import Client, current_client
from asgi_rota_sentry.sdk.feedback import environment_and_release, feedback_envelope, hand_over, is_kept_by
from asgi_rota_sentry.sdk.options import Hooks, build_options, initialise
from asgi_rota_sentry.sdk.span import RequestSpan, adopt_span, continue_trace, start_span

__all__ = [
    "Client",
    "Hooks",
    "RequestScope",
    "RequestSpan",
    "add_breadcrumb",
    "adopt_span",
    "build_options",
    "capture_exception",
    "continue_trace",
    "current_client",
    "environment_and_release",
    "feedback_envelope",
    "hand_over",
    "initialise",
    "is_kept_by",
    "muted",
    "remember_exception",
    "start_span",
]
