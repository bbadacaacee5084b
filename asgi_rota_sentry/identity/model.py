"""What is known of a user, and the two ways in which others may tell it."""

import inspect
from collections.abc import Awaitable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from asgi_rota_sentry.identity.shapes import LONGEST, text
from asgi_rota_sentry.types import Scope


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One user as Sentry shows them; every field may be missing.

    `role` becomes the tag `user.role`. `preferences` (`theme`, `language`, `timezone`, …) become the context of that
    name. `email`, `username` leave the process only when personal data is allowed (`Settings.send_default_pii`). What
    is given and is no text becomes one: a number, a UUID, the value of an enumeration's member.
    """

    id: str | None = None
    username: str | None = None
    email: str | None = None
    role: str | None = None
    preferences: Mapping[str, str] = field(default_factory=dict)

    if TYPE_CHECKING:  # what may be given is more than what it becomes

        def __init__(
            self,
            *,
            id: object = None,  # noqa: A002 - Sentry's name
            username: object = None,
            email: object = None,
            role: object = None,
            preferences: Mapping[Any, object] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        known = self.__dict__
        for name in ("id", "username", "email", "role"):
            known[name] = _as_text(known[name])
        given = known["preferences"]
        told = given if isinstance(given, Mapping) else {}
        known["preferences"] = {str(name): said for name, value in told.items() if (said := _as_text(value))}


def _as_text(value: Any) -> str | None:
    return text(value) or (None if value is None or isinstance(value, str) else str(value)[:LONGEST])


def identity_of(fields: Mapping[str, Any]) -> Identity:
    """An identity with all of its fields given: six times as fast as a frozen dataclass sets them one by one."""
    made = object.__new__(Identity)
    made.__dict__.update(fields)
    return made


def checked(found: Any) -> Identity | None:
    """What an `identify` has found; raises TypeError where that is neither an identity nor nothing."""
    if found is None or isinstance(found, Identity):
        return found
    if inspect.iscoroutine(found):
        found.close()
        raise TypeError("identify gave a coroutine, and is no coroutine function; declare it with `async def`.")
    raise TypeError(f"identify gave a {type(found).__name__}; expected asgi_rota_sentry.Identity, or None.")


class LazyUser:
    """A stand-in in `scope["user"]` for a user that may not be loaded yet."""

    __slots__ = ()

    def loaded(self) -> Any:
        """The user as far as the application has loaded them, else None; must not load anything."""
        return None

    def unasked(self) -> AbstractContextManager[Any]:
        """A context in which reading an attribute of the user cannot make a query; by default it does nothing."""
        return nullcontext()


class Identify(Protocol):
    """Reads the identity out of an ASGI scope: a function, or a coroutine function; None: an anonymous visitor.

    The latter is awaited, for at most a second, before the application is called. A function is asked when there is
    something to tell, and with each answer in a session, whose story is one user's alone.
    """

    def __call__(self, scope: Scope, /) -> Identity | Awaitable[Identity | None] | None:
        """The identity of the request's user; an exception is logged once and changes nothing."""
