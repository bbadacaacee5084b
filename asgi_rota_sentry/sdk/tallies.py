"""What Sentry is told of errors that were counted instead of sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sentry_sdk

from asgi_rota_sentry.tally import Tally

_CONTEXT = "error_budget"


def put_tally(event: dict[str, Any], tally: Tally) -> None:
    """Have an event tell of those of its kind that were not sent since the last one that was."""
    event.setdefault("contexts", {})[_CONTEXT] = {
        "not_sent": tally.count,
        "first": _text(tally.first),
        "last": _text(tally.last),
    }


def exception_value(tally: Tally, mechanism: Mapping[str, Any]) -> dict[str, Any]:
    """What Sentry groups an error by, of the example that was noted of it."""
    frames = [
        {"abs_path": path, "filename": path, "module": module, "function": function, "lineno": line}
        for path, module, function, line in tally.frames
    ]
    return {
        "type": tally.type_name,
        "module": tally.type_module,
        "value": tally.message,
        "mechanism": dict(mechanism),
        "stacktrace": {"frames": frames},
    }


def capture_tally(tally: Tally) -> str | None:
    """Send an event that stands for counted errors alone; filed under their issue, since it has their stack trace."""
    value = exception_value(tally, {"type": "asgi_rota_sentry", "handled": False})
    event: dict[str, Any] = {"level": "error", "exception": {"values": [value]}}
    put_tally(event, tally)
    if tally.stands_for:
        event["contexts"][_CONTEXT]["event_id"] = tally.stands_for
    with sentry_sdk.isolation_scope() as scope:
        # Of whatever request this thread may have been started in.
        scope.clear()
        sentry_sdk.get_current_scope().clear()
        return sentry_sdk.capture_event(event)  # type: ignore[arg-type]


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
