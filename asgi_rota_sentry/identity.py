"""Who made the request: the user, the role and the preferences, read from what the framework put into the scope."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

PREFERENCES = ("theme", "language", "timezone")
_LONGEST = 200
_ROLES_READ = 20
_UNLOADED = object()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One user as Sentry shows them; every field may be missing.

    `role` becomes the tag `user.role`. `preferences` (`theme`, `language`, `timezone`, …) become the context of that
    name. `email`, `username` leave the process only when personal data is allowed (`Settings.send_default_pii`).
    """

    id: str | None = None
    username: str | None = None
    email: str | None = None
    role: str | None = None
    preferences: Mapping[str, str] = field(default_factory=dict)


class LazyUser:
    """A stand-in in `scope["user"]` for a user that may not be loaded yet."""

    def loaded(self) -> Any:
        """The user as far as the application has loaded them, else None; must not load anything."""
        return None


class Identify(Protocol):
    """Reads the identity out of an ASGI scope; may be sync or async, None stands for an anonymous visitor."""

    def __call__(self, scope: Scope, /) -> Identity | Awaitable[Identity | None] | None:
        """The identity of the request's user; an exception is logged once and changes nothing."""


def read(scope: Scope) -> Identity | None:
    """The identity by shape: an object, a mapping, a dataclass or JWT claims in `scope["user"]`; None when anonymous.

    Never loads anything: a lazy user that the application did not touch counts as anonymous.
    """
    user = _loaded(scope.get("user"))
    if user is None or _get(user, "is_authenticated") is False or _get(user, "is_anonymous") is True:
        return None
    preferences = _preferences(user, scope)
    found = Identity(
        id=_first(user, "id", "pk", "sub", "user_id", "uid"),
        username=_first(user, "username", "preferred_username", "display_name", "name"),
        email=_first(user, "email"),
        role=_role(user),
        preferences=preferences,
    )
    return found if (found.id or found.username or found.email or found.role) else None


def _loaded(user: Any) -> Any:
    """The user itself behind a lazy stand-in (Django's SimpleLazyObject, Channels' own); None if not loaded."""
    if isinstance(user, LazyUser):
        return user.loaded()
    if user is None or "_wrapped" not in getattr(user, "__dict__", {}):
        return user
    wrapped = user.__dict__["_wrapped"]
    return None if wrapped is None or type(wrapped) is object else wrapped


def _get(user: Any, name: str) -> Any:
    """One attribute or key; never triggers a query: what a Django model has not loaded yet is left alone."""
    if isinstance(user, Mapping):
        return user.get(name)
    deferred = getattr(user, "get_deferred_fields", None)
    if deferred is not None and name in deferred():
        return None
    try:
        return getattr(user, name, None)
    except Exception:
        return None


def _first(user: Any, *names: str) -> str | None:
    for name in names:
        text = _text(_get(user, name))
        if text:
            return text
    return None


def _text(value: Any) -> str | None:
    """A short text of a plain value, an enum or an object with a name; None for anything else."""
    if isinstance(value, Enum):
        value = value.value if isinstance(value.value, str) else value.name
    if isinstance(value, str):
        return value[:_LONGEST] or None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int) or type(value).__name__ in ("UUID", "ObjectId", "ULID"):
        return str(value)[:_LONGEST]
    name = getattr(value, "name", None)
    return name[:_LONGEST] if isinstance(name, str) and name else None


def _role(user: Any) -> str | None:
    role = _text(_get(user, "role"))
    if role:
        return role
    for name in ("roles", "groups"):
        texts = _texts(_get(user, name))
        if texts:
            return texts[0]
    return None


def _texts(values: Any) -> list[str]:
    """The texts of a plain list; a manager or a query set is not iterated, since that would make a query."""
    if not isinstance(values, list | tuple | set | frozenset):
        return []
    ordered: Iterable[Any] = values if isinstance(values, list | tuple) else sorted(values, key=str)
    return [text for text in (_text(value) for value in list(ordered)[:_ROLES_READ]) if text]


def _preferences(user: Any, scope: Scope) -> dict[str, str]:
    sources = [_loaded(_get(user, "preferences")), user]
    found: dict[str, str] = {}
    for name in PREFERENCES:
        for source in sources:
            value = _text(_get(source, name)) if source is not None else None
            if value:
                found[name] = value
                break
    if "language" not in found:
        accepted = (request.header(scope, b"accept-language") or "").split(",")[0].split(";")[0].strip()
        if accepted and accepted != "*":
            found["language"] = accepted[:_LONGEST]
    return found
