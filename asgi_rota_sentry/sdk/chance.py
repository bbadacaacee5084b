"""The draws and the IDs of traces and spans, from a source of randomness of our own.

An application may seed Python's own, so that two of its processes draw the same. The SDK asks the system for the
randomness of a UUID, which takes many times longer; nothing hangs on an ID's being hard to guess.
"""

import random

from sentry_sdk.tracing_utils import Baggage

from asgi_rota_sentry import forks

_source = random.Random()  # noqa: S311 - as above
forks.in_child(_source.seed)


def draw() -> float:
    """A number from 0 up to 1 with six digits, as the SDK hands one on in `sample_rand`."""
    return int(_source.random() * 1_000_000) / 1_000_000


def baggage(drawn: float) -> Baggage:
    """What tells other services of a draw, with the six digits that it has."""
    return Baggage({"sample_rand": f"{drawn:.6f}"})


def trace_id() -> str:
    """The ID of a new trace: 16 bytes in hexadecimal."""
    return f"{_source.getrandbits(128):032x}"


def span_id() -> str:
    """The ID of a new span: 8 bytes in hexadecimal."""
    return f"{_source.getrandbits(64):016x}"
