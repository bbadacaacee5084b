"""How a fault of the scrubber itself is told: one line for each kind, and nothing of what was being scrubbed."""

import logging

_logger = logging.getLogger("asgi_rota_sentry")
_told: set[tuple[str, str]] = set()
_MOST_KINDS = 100


def tell(what: str, fault: Exception) -> None:
    """Log that `what` could not be scrubbed, once for each kind of fault.

    Neither the exception's text nor its traceback is logged, for a secret may be in them; and no error is logged,
    because the SDK would make an event of it.
    """
    kind = what, type(fault).__name__
    if kind not in _told and len(_told) < _MOST_KINDS:
        _told.add(kind)
        _logger.warning("%s could not be scrubbed (%s); it was replaced by [Filtered].", *kind)
