"""Who made the request: the user, the role and the preferences, as far as the application has loaded them."""

from asgi_rota_sentry.identity.model import Identify, Identity, LazyUser, checked, identity_of
from asgi_rota_sentry.identity.names import names_of
from asgi_rota_sentry.identity.preferences import requested
from asgi_rota_sentry.identity.reader import ANONYMOUS, loaded_user, named, owner, owner_of, read
from asgi_rota_sentry.identity.shapes import get

__all__ = [
    "ANONYMOUS",
    "Identify",
    "Identity",
    "LazyUser",
    "checked",
    "get",
    "identity_of",
    "loaded_user",
    "named",
    "names_of",
    "owner",
    "owner_of",
    "read",
    "requested",
]
