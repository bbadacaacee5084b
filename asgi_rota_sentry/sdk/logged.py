"""An exception that a framework answers itself, and only logs, where log records are no events.

They are none in sentry-sdk 3.x, and in 2.x where it is told so. Of these frameworks the SDK has no integration for
ASGI: nobody else would see the exception.
"""

import logging

from sentry_sdk.integrations.logging import EventHandler

from asgi_rota_sentry.sdk.layer import layer

# The loggers of Falcon and BlackSheep.
_LOGGERS = ("falcon", "blacksheep.server")

_handler = EventHandler(logging.ERROR)


class _Noting(logging.Filter):
    """Tells whoever opened the layer of each exception, and keeps nothing back.

    A handler would: what nobody handles, Python writes to the standard error.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Note the record."""
        around = layer.get(None)
        if record.exc_info and record.levelno >= logging.ERROR and hasattr(around, "note_logged"):
            around.note_logged(record)
        return True


_noting = _Noting()
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_noting)


def capture_logged(record: logging.LogRecord) -> None:
    """Make of the record the event that the SDK's logging integration makes of it, unless its exception has one."""
    _handler.emit(record)
