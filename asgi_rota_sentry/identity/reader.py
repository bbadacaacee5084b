"""The default reader: what the common frameworks and authentication packages put into the ASGI scope."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

from asgi_rota_sentry.identity import preferences
from asgi_rota_sentry.identity.model import Identity, LazyUser, identity_of
from asgi_rota_sentry.identity.roles import role_in_scopes, role_of
from asgi_rota_sentry.identity.shapes import LONGEST, are_plain, first, get, text, unwrapped
from asgi_rota_sentry.types import Scope

#: The owner of a request whose user is known to be nobody.
ANONYMOUS = ""

_MOST_KINDS = 1024
_Found = TypeVar("_Found")

_IDS = ("id", "pk", "sub", "user_id", "uid")
_WHO = ("is_authenticated", "is_anonymous", *_IDS)
_USERNAMES = ("username", "preferred_username", "display_name", "name")


def read(scope: Scope) -> Identity | None:
    """The identity by shape: an object, a mapping, a dataclass or JWT claims; None when anonymous.

    Looks into `scope["user"]`, then where some applications keep it: `scope["auth"]` (claims), `scope["state"]["user"]`
    (Starlette's `request.state.user`), `scope["session"]["user"]` (a session in a cookie). Never loads anything: a
    lazy user that the application did not touch counts as anonymous.
    """
    return _read(scope, _identity)


def named(scope: Scope) -> Identity | None:
    """As `read`, without the ID and the role: what a page may say."""
    return _read(scope, _named)


def _read(scope: Scope, look: Callable[[Any, Scope], _Found | None]) -> _Found | None:
    user = loaded_user(scope)
    if user is None:
        return None
    stand_in: Any = scope.get("user")
    if not _is_stand_in(stand_in):
        return look(user, scope)
    with stand_in.unasked():
        return look(user, scope)


def _identity(user: Any, scope: Scope) -> Identity | None:
    role = role_of(user) or role_in_scopes(scope.get("auth"))
    found = _with_names(user, _id(user), role)
    return found if (found.id or found.username or found.email or found.role) else None


def _named(user: Any, _: Scope) -> Identity:
    return _with_names(user, None, None)


def _with_names(user: Any, found: str | None, role: str | None) -> Identity:
    """The identity with this ID and this role, and what the user is called."""
    return identity_of(
        {
            "id": found,
            "username": _username(user),
            "email": _email(user),
            "role": role,
            "preferences": preferences.of_user(user),
        }
    )


def loaded_user(scope: Scope) -> Any:
    """The user object as far as it is loaded; None when there is none or it is anonymous."""
    found = scope.get("user")
    if found is not None and _is_plainly_somebody(found):
        return found
    for candidate in _candidates(scope):
        if candidate is not None:
            user = _loaded(candidate)
            if user is not None and not _is_nobody(user):
                return user
    return None


class _PlainKinds(dict[type, bool]):
    """By class, whether who a user of it is may simply be asked for; each found out when it is met."""

    def __missing__(self, kind: type) -> bool:
        if len(self) >= _MOST_KINDS:
            self.clear()
        known = self[kind] = are_plain(kind, _WHO) and not issubclass(kind, LazyUser)
        return known


_plain_kinds = _PlainKinds()


def _is_plainly_somebody(user: Any) -> bool:
    """Whether it is a user, loaded and not anonymous, which most tell when they are simply asked."""
    try:
        return (
            _plain_kinds[type(user)]
            and getattr(user, "is_authenticated", True) is True
            and getattr(user, "is_anonymous", False) is False
        )
    except Exception:  # a property that fails
        return False


def owner(scope: Scope) -> str | None:
    """Whose request this is: the user's ID, `ANONYMOUS` when it is known to be nobody's, None when it is not known.

    What stands for a user without an ID is as `owner_of` says. Cheap enough for every request of a session: of a user
    with an ID nothing else is read.
    """
    user: Any = scope.get("user")
    try:
        if (
            _plain_kinds[type(user)]  # from here on as `_is_plainly_somebody`, without the call
            and getattr(user, "is_authenticated", True) is True
            and getattr(user, "is_anonymous", False) is False
        ):
            found: Any = user.id
            if type(found) is str and (found := found.strip()):
                return found if len(found) <= LONGEST else found[:LONGEST]
            if type(found) is int:
                return str(found)[:LONGEST]
    except Exception:  # noqa: S110 - a property that fails, or no ID: the closer look tells
        pass
    known = None
    for candidate in _candidates(scope):
        user = _loaded(candidate)
        if user is None:
            continue
        if not _is_nobody(user):
            return _id(user) or _read(scope, _owner_by_name)
        known = ANONYMOUS
    return known


def owner_of(who: Identity) -> str | None:
    """As `owner`, of who is known: the ID, or where there is none what tells two names apart without telling them."""
    return who.id or _hidden(who.username or who.email)


def _owner_by_name(user: Any, _: Scope) -> str | None:
    return _hidden(_username(user) or _email(user))


def _hidden(name: str | None) -> str | None:
    return None if name is None else "name:" + blake2b(name.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _candidates(scope: Scope) -> Iterator[Any]:
    yield scope.get("user")
    auth, state = scope.get("auth"), scope.get("state")
    session: Any = scope.get("session")
    if auth is not None and isinstance(auth, Mapping):
        yield auth
    if type(state) is dict:
        yield state.get("user")
    # A dictionary only: the session of Django or Channels is lazy, and looking into it would make a query.
    if dict in type(session).__mro__:
        kept = session.get("user")
        if isinstance(kept, Mapping):
            yield kept


def _loaded(user: Any) -> Any:
    return user.loaded() if _is_stand_in(user) else unwrapped(user)


def _is_stand_in(user: Any) -> bool:
    """Whether it is a stand-in of ours; `isinstance` would make a lazy object of Django's load its user."""
    return issubclass(type(user), LazyUser)


def _is_nobody(user: Any) -> bool:
    return get(user, "is_authenticated") is False or get(user, "is_anonymous") is True


def _id(user: Any) -> str | None:
    return first(user, *_IDS) or _sqlalchemy_id(user)


def _sqlalchemy_id(user: Any) -> str | None:
    """The primary key of an object whose attributes a commit has expired: its identity key is still there."""
    try:
        key = getattr(getattr(user, "_sa_instance_state", None), "key", None)
        return text(key[1][0]) if key and len(key[1]) == 1 else None
    except Exception:  # a `__getattr__` that fails otherwise than with an AttributeError
        return None


def _username(user: Any) -> str | None:
    return first(user, *_USERNAMES) or _of_field(user, "USERNAME_FIELD")


def _email(user: Any) -> str | None:
    return first(user, "email") or _of_field(user, "EMAIL_FIELD")


def _of_field(user: Any, told_by: str) -> str | None:
    """What stands in the field that a custom user model of Django's tells to be this one."""
    field = get(user, told_by)
    return first(user, field) if isinstance(field, str) else None
