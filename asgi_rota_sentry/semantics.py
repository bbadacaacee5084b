"""A request in the attributes of Sentry's conventions, under the names that the SDK's own ASGI integration gives them.

https://getsentry.github.io/sentry-conventions/attributes/
"""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

_LOCAL_ADDRESSES = frozenset({"127.0.0.1", "::1"})
_LOCAL_HOSTS = _LOCAL_ADDRESSES | {"localhost"}
_HOSTS = (b"host", b"x-forwarded-host")
_BELOW_LOCAL_HOSTS = tuple(f".{host}" for host in _LOCAL_HOSTS)


class Collection(Protocol):
    """What of a request may be collected."""

    has_lists: bool
    #: Whether each header's attribute is a list, as in 3.x.
    lists_headers: bool

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that may be collected."""

    def raw_headers(self, *, personal: bool) -> Mapping[bytes, tuple[str, bool] | None]:
        """By a header's raw name its attribute, and whether its value may be collected; None where neither may."""

    def cookies(self, cookies: Mapping[str, str]) -> dict[str, str]:
        """The cookies that may be collected."""

    def query_string(self, query: str) -> str:
        """The parameters that may be collected."""


def of_everything(scope: Scope, address: str | None, *, personal: bool) -> dict[str, Any]:
    """What all spans, logs and metrics of the request tell of it; `address` is the client's."""
    headers = request.first_headers(scope)
    is_localhost = address in _LOCAL_ADDRESSES or _asks_for_localhost(headers, scope.get("server"))
    found: dict[str, Any] = {"sentry.is_localhost": is_localhost}
    user_agent = headers.get(b"user-agent")
    if user_agent:
        found["user_agent.original"] = user_agent.decode("latin-1")
    if personal and address:
        found["user.ip_address"] = address
    return found


def _asks_for_localhost(headers: Mapping[bytes, bytes], server: Any) -> bool:
    """Whether the request is for a name of this machine: what Sentry's inbound filter goes by."""
    hosts = [_host(value.decode("latin-1")) for name in _HOSTS if (value := headers.get(name))]
    if server and not headers.get(b"host"):
        hosts.append(str(server[0]))
    return any(host in _LOCAL_HOSTS or host.endswith(_BELOW_LOCAL_HOSTS) for host in hosts)


def _host(value: str) -> str:
    """The host of `rota.example:8000`, or of `[::1]:8000`."""
    return value.partition("]")[0][1:] if value.startswith("[") else value.partition(":")[0]


def of_request(scope: Scope, collection: Collection, *, personal: bool) -> dict[str, Any]:
    """What the request's own span tells of it.

    Without lists of what may be collected (2.x), path and query are told only with `personal`, as by the SDK.
    """
    found = _headers(scope, collection.raw_headers(personal=personal))
    if collection.lists_headers:
        found = {name: [value] for name, value in found.items()}
    if scope.get("method"):
        found["http.request.method"] = request.method(scope)
    if personal or collection.has_lists:
        url = request.url(scope)
        query = collection.query_string(request.query_string(scope))
        query = query if collection.has_lists else unquote(query)
        found["url.path"] = request.path(scope)
        found["url.full"] = f"{url}?{query}" if query else url
        if query:
            found["http.query"] = query
    return found


def _headers(scope: Scope, known: Mapping[bytes, tuple[str, bool] | None]) -> dict[str, Any]:
    """The headers that may be collected, repeated ones joined."""
    found: dict[str, Any] = {}
    for raw_name, raw_value in request.raw_headers(scope):
        told = known[raw_name if type(raw_name) is bytes else bytes(raw_name)]
        if told is None:
            continue
        attribute, is_told = told
        if not is_told:
            found[attribute] = request.FILTERED
        elif attribute in found:
            found[attribute] += ", " + str(raw_value, "latin-1")
        else:
            found[attribute] = str(raw_value, "latin-1")
    return found
