"""What has to begin anew in the child of a fork: a lock that a thread of the parent held, what the parent counted."""

import os
from collections.abc import Callable
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
