"""What this process counts and tells later: at its end at the latest, and in a forked child nothing of its parent's."""

import atexit
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from typing import Protocol, TypeVar
from weakref import WeakSet

from asgi_rota_sentry import forks

_Noted = TypeVar("_Noted")


def taken(noted: deque[_Noted]) -> list[_Noted]:
    """What is noted by now; of two who take at the same time each gets a part."""
    found: list[_Noted] = []
    with suppress(IndexError):
        found.extend(map(deque.popleft, repeat(noted, len(noted))))
    return found


class Account(Protocol):
    """What is settled at the end of the process."""

    def settle(self) -> None:
        """Tell what was counted until now."""

    def forget(self) -> None:
        """Begin anew, with nothing counted."""


class Accounts:
    """All accounts of one kind in this process, held weakly."""

    def __init__(self) -> None:
        self._known: WeakSet[Account] = WeakSet()
        self._is_registered = False
        forks.in_child(self.forget)

    def add(self, account: Account) -> None:
        """Have this one settled, too."""
        self._known.add(account)

    def settle_later(self, settle: Callable[[], None]) -> bool:
        """To be called when there is something: have `settle` called in a thread of its own, and all settled at exit.

        False where no thread can be started now, so that it is tried again.
        """
        if not self._is_registered:
            self._is_registered = True
            atexit.register(self.settle)  # what is registered last runs first, and the SDK's own comes after
        try:
            start_new_thread(settle, ())  # to which the SDK's threading integration adds nothing
        except RuntimeError:
            return False
        return True

    def settle(self) -> None:
        """Have each tell what it counted."""
        for account in list(self._known):
            account.settle()

    def forget(self) -> None:
        """Have each begin anew."""
        for account in list(self._known):
            account.forget()
