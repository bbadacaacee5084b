"""Scrubbing: a payload for Sentry in, the same without passwords, keys, tokens, card numbers and the like out.

Pure functions: nothing here knows the SDK, and nothing but `command` does I/O.
"""

from asgi_rota_sentry.scrubbing.changes import Removal
from asgi_rota_sentry.scrubbing.cut import LONGEST, whole_words
from asgi_rota_sentry.scrubbing.scrubber import Report, Scrubber
from asgi_rota_sentry.scrubbing.spans import FILTERED

__all__ = ["FILTERED", "LONGEST", "Removal", "Report", "Scrubber", "whole_words"]
