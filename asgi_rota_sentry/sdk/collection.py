"""What of a request the option `data_collection` lets the SDK collect: headers, cookies, query parameters, the body.

https://develop.sentry.dev/sdk/foundations/client/data-collection/
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from sentry_sdk import data_collection as _sdk

from asgi_rota_sentry import request
from asgi_rota_sentry.request import FILTERED

# What the attributes begin with that tell of a request's headers.
_HEADER = "http.request.header."
_DENIED: Mapping[str, Any] = {"mode": "denylist"}
_COOKIES = frozenset({"cookie", "set-cookie"})
_MOST_KNOWN = 1_000
_LONGEST_KNOWN = 100
# Private; without it nothing is let through that a list could forbid.
_filtering: Any = getattr(_sdk, "_apply_key_value_collection_filtering", None)


class Collection:
    """The lists of one client, which say for each name whether its value stays, is replaced, or goes with the name.

    `lists` is the SDK's own, resolved option, None where there is none (2.x without `data_collection`): then everything
    stays.
    """

    __slots__ = ("_cookies", "_headers", "_parameters", "_raw_headers", "has_lists", "lists_headers", "takes_bodies")

    def __init__(self, lists: Mapping[str, Any] | None, *, lists_headers: bool = False) -> None:
        found = lists or {}
        #: Whether the attribute of a header is a list.
        self.lists_headers = lists_headers
        self.has_lists = lists is not None
        self._headers = _Names((found.get("http_headers") or {}).get("request") or _DENIED)
        self._cookies = _Names(found.get("cookies") or _DENIED)
        self._parameters = _Names(found.get("url_query_params") or _DENIED)
        self._raw_headers = {personal: _RawHeaders(self, personal=personal) for personal in (False, True)}
        bodies = found.get("http_bodies")
        self.takes_bodies = bodies is None or "incoming_request" in bodies

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that may be collected; the cookies among them are told apart from the header or not at all."""
        if not self.has_lists:
            return dict(headers)
        kept = self._headers.kept(headers)
        return {name: FILTERED if name in _COOKIES else value for name, value in kept.items()}

    def raw_headers(self, *, personal: bool) -> Mapping[bytes, tuple[str, bool] | None]:
        """By the raw name of any header its attribute, and whether its value may be collected; None where neither may.

        Without `personal` the headers that identify a person do not tell their values.
        """
        return self._raw_headers[personal]

    def header(self, name: str) -> bool | None:
        """Whether the value of a header may be collected (True), or its name only (False)."""
        if not self.has_lists:
            return True
        verdict = self._headers.verdict(name)
        return False if verdict and name in _COOKIES else verdict

    def cookies(self, cookies: Mapping[str, str]) -> dict[str, str]:
        """The cookies that may be collected."""
        return self._cookies.kept(cookies) if self.has_lists else dict(cookies)

    def query_string(self, query: str) -> str:
        """The parameters of a query string that may be collected, each as it was written."""
        if not self.has_lists or not query:
            return query
        kept = []
        for parameter in query.split("&"):
            name, _, _ = parameter.partition("=")
            verdict = self._parameters.verdict(unquote_plus(name))
            if verdict is not None:
                kept.append(parameter if verdict else f"{name}={FILTERED}")
        return "&".join(kept)


class _RawHeaders(dict[bytes, tuple[str, bool] | None]):
    """What becomes of the headers with these raw names, each found out when it is met."""

    def __init__(self, collection: Collection, *, personal: bool) -> None:
        super().__init__()
        self._header = collection.header
        self._personal = personal

    def __missing__(self, raw: bytes) -> tuple[str, bool] | None:
        ((name, value),) = request.headers({"headers": [(raw, b"")]}, personal=self._personal).items()
        verdict = self._header(name)
        found = None if verdict is None else (f"{_HEADER}{name}", verdict and value != FILTERED)
        if len(raw) <= _LONGEST_KNOWN and len(self) < _MOST_KNOWN:
            self[raw] = found
        return found


class _Names:
    """One list: by name whether the value stays (True), is replaced (False), or the name goes too (None)."""

    __slots__ = ("_behaviour", "_known")

    def __init__(self, behaviour: Mapping[str, Any]) -> None:
        self._behaviour = behaviour
        self._known: dict[str, bool | None] = {}

    def kept(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values whose names stay."""
        found = {}
        for name, value in values.items():
            verdict = self.verdict(name)
            if verdict is not None:
                found[name] = value if verdict else FILTERED
        return found

    def verdict(self, name: str) -> bool | None:
        """What becomes of the value with this name."""
        if name in self._known:
            return self._known[name]
        verdict = self._judged(name)
        # Nobody's invention of names fills the memory.
        if len(name) <= _LONGEST_KNOWN and len(self._known) < _MOST_KNOWN:
            self._known[name] = verdict
        return verdict

    def _judged(self, name: str) -> bool | None:
        if _filtering is None:
            return None
        found = _filtering(items={name: True}, behaviour=self._behaviour, substitute=False)
        return bool(found[name]) if name in found else None
