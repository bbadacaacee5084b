"""The exceptions that one request has seen, without keeping them alive where that can be helped.

An exception holds its traceback, and so all variables of all its frames, while a websocket may be open for days.
"""

import weakref
from collections import deque
from collections.abc import Callable, Container
from typing import NamedTuple

from asgi_rota_sentry.expected import first_leaf, leaves

#: Of a request's errors and events, so many of the last are remembered.
MOST = 50


class _Entry(NamedTuple):
    """One exception, or one group, by the IDs of its members, and the ID of its event."""

    members: dict[int, Callable[[], BaseException | None]]
    event_id: str

    def has(self, leaf: BaseException) -> bool:
        """Whether it is a member: just this object, for an ID is used again."""
        known = self.members.get(id(leaf))
        return known is not None and known() is leaf


class Seen:
    """The last exceptions of a request, each with the ID of its event; a group counts as one, however large."""

    __slots__ = ("_entries", "_keeps")

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=MOST)
        self._keeps = True

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._entries)

    def __contains__(self, exc: BaseException) -> bool:
        """Whether this exception, or each member of this group, was seen."""
        entries = self._entries
        return bool(entries) and all(any(entry.has(leaf) for entry in entries) for leaf in leaves(exc))

    def add(self, exc: BaseException, event_id: str) -> None:
        """Note an exception, or the members of a group, and the ID of its event, "" where there is none."""
        members = {}
        for leaf in leaves(exc):
            known = self._reference(leaf)
            if known is not None:
                members[id(leaf)] = known
        if members:
            self._entries.append(_Entry(members, event_id))

    def event_id_of(self, exc: BaseException, accepted: Container[str]) -> str | None:
        """The first accepted event of this exception, or of a group's first member; None where there is none."""
        first = first_leaf(exc)
        for entry in self._entries:
            if entry.event_id in accepted and entry.has(first):
                return entry.event_id
        return None

    def keep_no_more(self) -> None:
        """From now on note only what can be noted without keeping it alive."""
        self._keeps = False

    def clear(self) -> None:
        """Forget them all."""
        self._entries.clear()

    def _reference(self, exc: BaseException) -> Callable[[], BaseException | None] | None:
        try:
            return weakref.ref(exc)
        except TypeError:  # the built-in exceptions have no weak references
            return (lambda: exc) if self._keeps else None
