"""What has to begin anew in the child of a fork: a lock that a thread of the parent held, what the parent counted."""

import os
from collections.abc import Callable
from threading import RLock
from types import MethodType
from weakref import WeakMethod


def in_child(do: Callable[[], object]) -> None:
    """Have this called in every forked child, a method for as long as its object lives; nothing where none forks."""
    if not hasattr(os, "register_at_fork"):
        return
    if isinstance(do, MethodType):
        reference = WeakMethod(do)

        def do_while_alive() -> None:
            method = reference()
            if method is not None:
                method()

        os.register_at_fork(after_in_child=do_while_alive)
    else:
        os.register_at_fork(after_in_child=do)


class Locked:
    """What has a lock: free in the child of a fork, and one that its holder may take again.

    For the garbage collector may run while it is held, and what it collects may come round to us: of a task that failed
    and was never asked asyncio tells the log, and the SDK makes an event of that, in the same thread.
    """

    def __init__(self) -> None:
        self._renew_lock()
        in_child(self._renew_lock)

    def _renew_lock(self) -> None:
        #: Held with `with`.
        self.lock = RLock()
