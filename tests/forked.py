"""A forked child of the test."""

import os
import signal
from collections.abc import Callable


def in_child(do: Callable[[], str]) -> str:
    """What this returns in a forked child, which has ten seconds for it; empty when it does not end."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(10)
        os.write(writing, do().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        found = told.read()
    os.waitpid(child, 0)
    return found
