"""The one role that stands for a user: the word that alert rules and tags are about."""

from collections.abc import Iterable
from typing import Any

from asgi_rota_sentry.identity.shapes import first, get, texts

# From the highest down; a word of the role's name is enough (`shift-manager` ranks as `manager`).
_RANKS: tuple[frozenset[str], ...] = (
    frozenset({"superuser", "superadmin", "root", "owner"}),
    frozenset({"admin", "administrator", "sysadmin"}),
    frozenset({"manager", "director", "head"}),
    frozenset({"supervisor", "lead", "leader", "moderator", "auditor"}),
    frozenset({"editor", "staff", "employee", "worker", "support"}),
    frozenset({"member", "user", "customer", "viewer", "reader"}),
    frozenset({"guest", "anonymous"}),
)
_BETWEEN = 4.5  # a role of no known rank: below those that lead, above those that everybody has
_PREFIXES = ("role:", "roles:", "role/", "role_", "ROLE_")
_NO_ROLES = frozenset({"default-roles", "offline_access", "uma_authorization"})  # what Keycloak gives to everybody


def role_of(user: Any) -> str | None:
    """The user's role: `role`, a single `group`, the highest of `roles` or `groups`, else what Django's flags say.

    Keycloak's `realm_access.roles` counts as `roles`. Django's `is_superuser` reads `superuser`, `is_staff` `staff`.
    """
    one = first(user, "role", "group")
    if one:
        return _plain(one)
    sources = ((user, "role"), (user, "roles"), (get(user, "realm_access"), "roles"), (user, "groups"))
    for source, name in sources:
        best = highest(texts(source, name))
        if best:
            return best
    if get(user, "is_superuser") is True:
        return "superuser"
    return "staff" if get(user, "is_staff") is True else None


def role_in_scopes(auth: Any) -> str | None:
    """The role among the scopes of Starlette's `AuthCredentials`: `role:manager`, or a scope that is a role's name.

    Other scopes are permissions (`read:items`), which are no roles.
    """
    scopes = texts(auth, "scopes") if auth is not None else ()
    marked = [scope for scope in scopes if scope.startswith(_PREFIXES)]
    known = [scope for scope in scopes if ":" not in scope and _rank(scope) != _BETWEEN]
    return highest(marked or known)


def highest(roles: Iterable[str]) -> str | None:
    """The highest of several roles by the order of ranks; of equal ones the first."""
    named = [_plain(role) for role in roles if not role.startswith(tuple(_NO_ROLES))]
    return min(named, key=_rank, default=None)


def _plain(role: str) -> str:
    for prefix in _PREFIXES:
        if role.startswith(prefix) and len(role) > len(prefix):
            return role[len(prefix) :]
    return role


def _rank(role: str) -> float:
    words = set(role.lower().replace("-", " ").replace("_", " ").replace("/", " ").split())
    return next((float(rank) for rank, known in enumerate(_RANKS) if words & known), _BETWEEN)
