"""The headers by which a request says which trace it belongs to: Sentry's, and W3C's."""

import re
from collections.abc import Mapping

#: The names of those headers, as ASGI has them.
NAMES = frozenset({b"sentry-trace", b"baggage", b"traceparent"})

# Trace ID, parent ID and decision, as the SDK reads them.
_is_sentry_trace = re.compile(r"[ \t]*(00-)?[0-9a-f]{32}(-?[0-9a-f]{16})?(-?[01]|-00)?[ \t]*").fullmatch


def trace_headers(headers: Mapping[bytes, bytes]) -> dict[str, str] | None:
    """The headers that continue a trace: Sentry's own where they are well formed, else what W3C's tell of the parent.

    A malformed one of Sentry's gives way, too. A `traceparent` names the trace and the parent, but its sampling flag is
    another system's decision, so the draw stays ours (https://www.w3.org/TR/trace-context/).
    """
    found = {name.decode(): headers[name].decode("latin-1") for name in NAMES if name in headers}
    parts = found.pop("traceparent", "").strip().split("-")
    if _is_traceparent(parts) and not _is_sentry_trace(found.get("sentry-trace", "")):
        found["sentry-trace"] = f"{parts[1]}-{parts[2]}"
    return found or None


def _is_traceparent(parts: list[str]) -> bool:
    """Version, trace ID, parent ID and flags in lower-case hexadecimal; no ID is all zeros.

    Versions after `00` may have more.
    """
    if (parts[0] == "00" and len(parts) > 4) or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return False
    hexadecimal = all(character in "0123456789abcdef" for part in parts[:4] for character in part)
    return hexadecimal and bool(parts[1].strip("0")) and bool(parts[2].strip("0"))
