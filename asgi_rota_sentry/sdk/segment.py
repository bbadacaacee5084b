"""The request's segment span where spans are streamed: sentry-sdk 2.x by option, 3.x always."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from sentry_sdk import traces
from sentry_sdk.scope import Scope

from asgi_rota_sentry import faults
from asgi_rota_sentry.breakdown import REST
from asgi_rota_sentry.sdk import chance, children, chosen
from asgi_rota_sentry.sdk.background import Background
from asgi_rota_sentry.sdk.client import Client
from asgi_rota_sentry.sdk.origin import ORIGIN
from asgi_rota_sentry.sdk.scope import RequestScope

# As the SDK spells a scope's user on spans and logs.
_USER_ATTRIBUTES = {
    "user.id": "id",
    "user.name": "username",
    "user.email": "email",
    "user.ip_address": "ip_address",
}

# The route, where an integration of the SDK's tells of it.
_ROUTE = "http.route"

# The breakdown of a request that had no span in it.
_ALL_REST = f"breakdown.{REST}.ms"


class SegmentSpan:
    """A streamed segment span."""

    sampled: bool

    def __init__(self, segment: Any, client: Client, *, is_adopted: bool = False) -> None:
        self._segment = segment
        self._client = client
        self._is_adopted = is_adopted
        self.sampled = bool(segment.sampled)
        # Private; the SDK's own span without attributes takes none.
        self._held = getattr(segment, "_attributes", None) if self.sampled else None
        is_watched = self.sampled and children.is_watched(client.raw)
        self._children = children.collect(segment) if is_watched else None

    def name(self) -> tuple[str, str]:
        """The present name and its source."""
        attributes = self._segment.get_attributes()
        return self._segment.name or "", str(attributes.get("sentry.segment.name.source") or "url")

    def rename(self, name: str, source: str) -> None:
        """Name the segment; with a route also what an integration calls that, which knows no mount around it."""
        self._segment.name = name
        told = {"sentry.segment.name.source": source}
        if source == "route" and self._held is not None and _ROUTE in self._held and name.startswith("/"):
            told[_ROUTE] = name
        self._put(told, plain=True)

    def set_status_code(self, status: int) -> None:
        """Note the HTTP status; as in the SDK, an answer of 400 and more is an error."""
        self._segment.status = "error" if status >= 400 else "ok"
        self._put({"http.response.status_code": status}, plain=True)

    def fail(self) -> None:
        """Mark the segment as failed by an exception."""
        self._segment.status = "error"

    def cancel(self) -> None:
        """Mark the segment as given up by the client; its status knows only `ok` and `error`."""
        self._put({"asgi.cancelled": True}, plain=True)

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Attach attributes."""
        self._put(data)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Attach tags as attributes."""
        self._put(tags, plain=True)

    def set_user(self, user: Mapping[str, Any], preferences: Mapping[str, str]) -> None:
        """Note whose request it was: no event processor sees a streamed span."""
        attributes = {name: user[key] for name, key in _USER_ATTRIBUTES.items() if user.get(key)}
        if "user.ip_address" in attributes:
            attributes["client.address"] = attributes["user.ip_address"]
        self._put({**attributes, **{f"preferences.{key}": value for key, value in preferences.items()}})

    def set_request(self, attributes: Mapping[str, Any]) -> None:
        """Attach what is told of the request."""
        self._put(attributes, plain=True)

    def _put(self, attributes: Mapping[str, Any], *, plain: bool = False) -> None:
        """Set attributes: those that are plain at once, for the SDK sets and looks at one after the other."""
        held = self._held
        if (
            held is not None
            and held is self._segment._attributes
            and (plain or all(map(_is_plain, attributes.values())))
        ):
            held.update(attributes)
        else:
            self._segment.set_attributes(dict(attributes))

    def end(self, at: datetime | None = None) -> None:
        """End and send the segment, which tells where its time went."""
        if self._children is not None:
            self._break_down(self._children, at)
        if at is None or self._is_adopted:
            children.close(self._segment)
        else:
            self.pass_on(at)
        if not self._is_adopted:
            self._finish(at)

    def pass_on(self, at: datetime) -> None:
        """Have the spans that begin from here on be those of a span for the background."""
        if self._children is not None and not self._is_adopted and self._children.background is None:
            self._children.background = Background(self._segment, at)

    def _finish(self, at: datetime | None) -> None:
        scope = getattr(self._segment, "_scope", None)
        held = getattr(scope, "_span", None)
        if at is None or not self.sampled or not chosen.end(self._client, self._segment, at):
            self._segment.end(at)
        if scope is None:
            return
        if not self.sampled:
            self._segment._scope = None  # a segment knows itself, and would keep the scope with it
        # Until the scope is left, what runs on hangs under the segment, and tells other services of its decision.
        scope._span = held

    def follow(self, since: datetime, until: datetime, *, failed: bool) -> None:
        """Send a segment of its own for what ran on in the background."""
        if not self._is_adopted:
            (self._background or Background(self._segment, since)).end(until, failed=failed)

    def has_more(self) -> bool:
        """Whether spans hang under the one for the background, which must be sent, then."""
        return self._background is not None and self._background.has_begun

    @property
    def _background(self) -> Background | None:
        """What has the spans that began when the answer was out, where those are noted."""
        return None if self._children is None else self._children.background

    def let_go(self) -> None:
        """Streamed spans are sent by themselves."""

    def _break_down(self, ended: children.Children, at: datetime | None) -> None:
        try:
            at = at or datetime.now(UTC)
            children.add_open(ended, self._segment, at)
            if not ended.spans and not ended.unseen:
                elapsed = at - self._segment.start_timestamp
                self._put({_ALL_REST: round(max(0.0, elapsed.total_seconds()) * 1000, 3)}, plain=True)
                return
            found = children.of_segment(self._segment, ended, at)
            self._put({f"breakdown.{key}": value for key, value in found.flat().items()}, plain=True)
            if found.repeated is not None:
                self.set_tags({"n_plus_one": "true"})
        except Exception:
            faults.report("breaking down the time of a request")


def begin(scope: RequestScope, asgi_scope: Any, *, kind: str, name: str, draw: float | None) -> SegmentSpan:
    """The span of a request, as the draw decides, or the SDK (`draw` None)."""
    scope.make_now()
    if draw is None:
        Scope.set_custom_sampling_context({"asgi_scope": asgi_scope})
    else:
        _hand_on(draw, scope.current)
    segment = None
    if draw is not None and draw < scope.client.traces_sample_rate and not scope.client.ignores_spans:
        segment = chosen.begin(scope.client, scope.current, name=name, attributes=attributes_of(kind), draw=draw)
    if segment is None:
        segment = traces.start_span(name=name, attributes=attributes_of(kind), parent_span=None)
    # The SDK's integrations put the route on the server's segment, which they find here.
    scope.current._server_segment_span = segment
    return SegmentSpan(segment, scope.client)


def _is_plain(value: Any) -> bool:
    """Whether the SDK takes this as an attribute just as it is."""
    kind = type(value)
    return kind is str or kind is int or kind is bool or (kind is float and isfinite(value))


def attributes_of(kind: str) -> dict[str, Any]:
    """What the segment of a request, `http` or `websocket`, has from the beginning."""
    return {
        "sentry.segment.name.source": "url",
        "sentry.origin": ORIGIN,
        "sentry.op": f"{kind}.server",
        "network.protocol.name": kind,
    }


def _hand_on(draw: float, current: Scope) -> None:
    """Have the SDK decide by this draw, and tell it to other services."""
    current.get_active_propagation_context().baggage = chance.baggage(draw)
