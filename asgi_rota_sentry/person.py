"""The person behind one request: who it was, from where, and what of that may leave the process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from asgi_rota_sentry import faults, forwarded, identity, request
from asgi_rota_sentry.identity import Identity
from asgi_rota_sentry.types import Scope
from asgi_rota_sentry.values import Network
from asgi_rota_sentry.withheld import Withheld

User = dict[str, Any]
_NOBODY = Identity()
_NAMES = ("username", "email")


class Person:
    """Whose request it is, as far as the application has learnt by the time of asking.

    `personal` says whether name, e-mail and address may leave.
    """

    __slots__ = ("_identify", "_scope", "_trusted", "personal")

    def __init__(
        self,
        scope: Scope,
        identify: Callable[[Scope], Identity | Awaitable[Identity | None] | None],
        *,
        personal: bool,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._scope = scope
        self._identify = identify
        self._trusted = trusted_proxies
        self.personal = personal

    def who(self, sent: request.Sent | None = None) -> Identity:
        """The user, with the preferences that the request tells where the user does not; an anonymous one has no ID.

        `sent` are the headers and cookies of the request, where they are known.
        """
        found = self.identified() or _NOBODY
        try:
            asked = identity.requested(*(sent or request.headers_and_cookies(self._scope)))
        except Exception:
            faults.report("reading the preferences")
            return found
        if not asked:
            return found
        preferences = {**asked, **found.preferences} if found.preferences else asked
        return identity.identity_of({**found.__dict__, "preferences": preferences})

    @property
    def address(self) -> str | None:
        """The client's address, as trusted hops tell it."""
        return forwarded.client_address(self._scope, self._trusted)

    def describe(self, set_by_app: Mapping[str, Any] | None, who: Identity) -> User:
        """The user as an event shows them; what the application set itself is never overwritten."""
        # Whatever else was set is no user: the SDK tells of it as it is.
        theirs = dict(set_by_app) if isinstance(set_by_app, Mapping) else {}
        if self._is_integrations(theirs):
            theirs = {}
        if not is_same(theirs, who):
            # The SDK's integrations fill in what the application left out: here another person's name.
            return {key: value for key, value in theirs.items() if key not in _NAMES or value != getattr(who, key)}
        ours = {"id": who.id, "role": who.role}
        if self.personal:
            ours |= {"username": who.username, "email": who.email}
        return {**theirs, **{key: value for key, value in ours.items() if value and theirs.get(key) is None}}

    def with_address(self, user: User) -> User:
        """The user with the client's address where that may leave, and never with one that a header only claims."""
        given = user.get("ip_address")
        if given is None and not self.personal:
            return user
        address = self.address
        is_invented = isinstance(given, str) and given != address and given in forwarded.claimed_addresses(self._scope)
        if self.personal and address and (given is None or is_invented):
            return {**user, "ip_address": address}
        return {key: value for key, value in user.items() if key != "ip_address"} if is_invented else user

    def withheld(self, who: Identity) -> Withheld | None:
        """What names the person and must not leave; None where all may."""
        if self.personal:
            return None
        user, names = None, {who.username, who.email}
        try:
            user = identity.loaded_user(self._scope)
            if user is not None:
                names |= identity.names_of(user)
        except Exception:  # noqa: S110 - an object that cannot be looked at: reading the identity has told of it
            pass
        names -= {None, "", who.id}
        addresses: set[str | None] = {*forwarded.claimed_addresses(self._scope), forwarded.client_address(self._scope)}
        if self._trusted:
            addresses.add(self.address)
        addresses -= {None, ""}
        return Withheld(cast(set[str], names), cast(set[str], addresses), user)

    def identified(self) -> Identity | None:
        """The user alone, as who reads the identity tells; None for nobody."""
        try:
            return identity.checked(self._identify(self._scope))
        except Exception:
            faults.report("reading the identity")
            return None

    def _is_integrations(self, theirs: User) -> bool:
        """Whether an integration of the SDK copied this user from the scope; the application itself would add to it."""
        if not theirs:
            return False
        user = identity.loaded_user(self._scope)
        if user is None:
            return False
        if theirs == user:  # Litestar's takes a mapping whole, whatever it holds
            return True
        return set(theirs) <= {"id", *_NAMES} and all(
            str(value) in _spellings(user, key) for key, value in theirs.items()
        )


def _spellings(user: Any, key: str) -> set[str]:
    names = {"id": ("id", "pk"), "username": ("username", identity.get(user, "USERNAME_FIELD"))}.get(key, (key,))
    return {str(identity.get(user, name)) for name in names if isinstance(name, str)}


def is_same(theirs: User, who: Identity) -> bool:
    """Whether this user may be who is known: by the same ID, or without one."""
    given = theirs.get("id")
    return given is None or str(given) == who.id
