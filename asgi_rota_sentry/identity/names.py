"""What else a user is called: the words that must not leave where personal data is not allowed."""

from typing import Any

from asgi_rota_sentry.identity.shapes import get, worth_asking

_NAMES = (
    "username",
    "preferred_username",
    "email",
    "name",
    "display_name",
    "nickname",
    "full_name",
    "first_name",
    "last_name",
    "given_name",
    "family_name",
    "phone",
    "phone_number",
)
# Which field is the one, as a custom user model of Django's tells.
_FIELDS = ("USERNAME_FIELD", "EMAIL_FIELD")
_ASKED = _NAMES + _FIELDS


def names_of(user: Any) -> set[str]:
    """The texts by which this user object names its person."""
    found = set()
    for name in worth_asking(user, _ASKED):
        value = get(user, name)
        if name in _FIELDS and isinstance(value, str):
            value = get(user, value)
        if isinstance(value, str) and value:
            found.add(value)
    return found
