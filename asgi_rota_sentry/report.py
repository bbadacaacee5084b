"""What is told of one request: by its span, as a slow one, by the counts, and to the page in place of a bare answer."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from asgi_rota_sentry import counters, expected, faults, identity, request, route, sdk, semantics
from asgi_rota_sentry.enrichment import Enrichment, Event
from asgi_rota_sentry.identity import Identity
from asgi_rota_sentry.pages import Situation
from asgi_rota_sentry.person import Person
from asgi_rota_sentry.record import Record

# From when on what runs after the last byte is work in the background, and not the end of the request, even where no
# spans of it would be lost.
_BACKGROUND_SECONDS = 0.25
# The name of a request that could not be described.
_UNKNOWN = "(unknown)"
# What slow requests without a route have in its place: their paths may be without number.
_NO_ROUTE = "(no route)"


class Report(Record):
    """The reports on one request."""

    __slots__ = ()

    def _end_span(self) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        if span.sampled:
            try:
                self._describe(span)
            except Exception:
                faults.report("describing a request")
                # What must not leave may not be taken out of its name yet.
                span.rename(_UNKNOWN, "custom")
            self._ended_span = span
        try:
            if span.sampled and self._sentry is not None:
                self._sentry.run(span.end, self._end_of_span())
            else:
                span.end()
        finally:
            self._last_knowledge = None

    def _end_of_span(self) -> datetime | None:
        """When the span ends; None where the clock was put back meanwhile: the SDK counts on from the beginning then.

        Sentry takes no end before that.
        """
        return datetime.fromtimestamp(self._ended_at, UTC) if self._ended_at > self._arrived_at else None

    def _pass_on(self) -> None:
        """The answer is out, though the span has not ended: what begins from here on is work in the background."""
        span, at = self._span, self._end_of_span()
        if span is not None and span.sampled and at is not None:
            span.pass_on(at)

    def _follow(self, span: sdk.RequestSpan) -> None:
        """Give what ran on after the last byte a span of its own."""
        now = (self._failed_with is not None and self._raised_at) or time.time()
        if self._passed_at and (now - self._passed_at >= _BACKGROUND_SECONDS or span.has_more()):
            since, until = (datetime.fromtimestamp(moment, UTC) for moment in (self._ended_at, now))
            if self._sentry is not None:
                self._sentry.run(span.follow, since, until, failed=self._failed_with is not None)
        else:
            span.let_go()

    def _note_raised(self) -> None:
        """Remember when an exception came after the last byte: to make its event may take longer than what ran on."""
        if self._passed_at and not self._raised_at:
            self._raised_at = time.time()

    def _failed_afterwards(self, exc: BaseException) -> bool:
        """Whether it was the work in the background that failed, and not the request."""
        if not self._passed_at:
            return False
        return self._raised_at - self._passed_at >= _BACKGROUND_SECONDS or expected.is_of_background(exc)

    def _describe(self, span: sdk.RequestSpan) -> None:
        """Give a sampled span its name and its tags."""
        # The span's own event, which is about to be made, is told the same.
        knowledge = self._last_knowledge = self._knowledge()
        named = span.name()
        if self._sentry is not None:
            named = self._sentry.span_name(*named)
        name, source = knowledge.transaction_name(*named)
        tags = {"http.method": request.method(self._scope), "http.url": request.path(self._as_sent())}
        if self._status:
            tags["http.status_code"] = str(self._status)
        if self._is_slow():
            tags["slow"] = "true"
        user, who = knowledge.user(self._set_user)
        if who.role:
            tags["user.role"] = who.role
        facts: Event = {"type": "transaction", "transaction": name, "tags": tags}
        if self._client is not None and self._client.streaming:
            self._describe_streamed(facts, knowledge)
        else:
            tags["asgi.type"] = str(self._scope.get("type"))
        span.rename(facts["transaction"], source)
        span.set_tags(facts["tags"])
        if self._close_code is not None:
            span.set_data({"websocket.close_code": self._close_code})
        if "request" in facts:
            span.set_request(facts["request"])
        span.set_user(user if knowledge.person.personal else {"id": user.get("id")}, who.preferences)

    def _describe_streamed(self, facts: Event, knowledge: Enrichment) -> None:
        """Add what a transaction's event would tell of the request, and withhold here what is not when it is sent.

        A span of a layer around us is sent when we have left.
        """
        client, is_ours = self._client, self._sentry is not None and not self._sentry.is_adopted
        if client is not None and is_ours:
            personal = knowledge.person.personal
            facts["request"] = semantics.of_request(self._as_sent(), client.collection, personal=personal)
        withhold = self._withholding()
        if withhold is not None and not (client is not None and client.scrubs_spans and is_ours):
            withhold(facts)

    def _is_slow(self) -> bool:
        slow, elapsed = self._config.slow, self._answered_at - self._arrived_at
        if elapsed <= slow.least:
            return False
        path = request.local_path({"path": self._path or "", "root_path": self._root_path})
        names = [path, route.template(self._scope, self._app)]
        if self._sentry is not None:
            # Where the scope says nothing (Django), the SDK or the framework may know the route.
            names.append(self._called(self._sentry)[0])
        return elapsed > slow.limit(*names)

    def _called(self, sentry: sdk.RequestScope) -> tuple[str, str]:
        """What the request is called by now, and the source of that name."""
        return self._knowledge().transaction_name(*sentry.transaction())

    def _tell_slow(self, sentry: sdk.RequestScope) -> None:
        """Warn of a slow request, in the log and as an event of its route; what has none is told as one."""
        called, source = self._called(sentry)
        method, seconds = request.known_method(self._scope), self._answered_at - self._arrived_at
        kind = called = called.removeprefix(f"{method} ")  # as in `GET 404`
        if source == "url":
            # The path is the client's, who writes no line of the log.
            called, kind = request.quoted(called), _NO_ROUTE
        counters.count("requests.slow")
        if self._config.slow.is_to_be_told(f"{method} {kind}"):
            digits = 1 if seconds >= 1 else 3  # a limit may be some milliseconds
            faults.logger.warning("Slow request: %s %s took %.*f s.", method, called, digits, seconds)
            sdk.capture_slow_request(method, kind, seconds)

    def _count(self, sentry: sdk.RequestScope, status: int) -> None:
        """Count the request, which was answered with this status (0: it was not), and tell of a slow one."""
        is_slow = self._answered_at - self._arrived_at > self._config.slow.least and self._is_slow()
        if is_slow:
            self._tell_slow(sentry)
        metering = self._config.metering
        if metering is None or not sentry.client.has_metrics:
            return
        known, source = sentry.transaction()
        if self.find_route is not None:
            known, source = route.found_by(self.find_route, known, source, status)
        named = route.name_of_route(self._scope, self._app, status, known, source)
        errors = sentry.errors
        others: tuple[int, ...] = ()
        if errors is not None or is_slow or self._pages:
            captured, ignored = (errors.captured, errors.ignored) if errors is not None else (0, 0)
            others = captured, ignored, int(is_slow), self._pages
        metering.note("" if named is None else named[0], status, others)

    def _situation(self, status: int, event_id: str | None) -> Situation:
        """What the page in place of a bare answer is told."""
        sent = request.headers_and_cookies(self._scope)
        who, firsts = self._who(sent), sent[0]
        are_all = len(firsts) == len(request.raw_headers(self._scope))  # as nearly always
        sentry, client = self._sentry, self._client
        is_reported = event_id is not None and client is not None and client.reports
        return Situation(
            status=status,
            method=request.method(self._scope),
            path=request.path(self._as_sent()),
            root_path=self._root_path,
            accept=self._asked(b"accept", firsts, are_all=are_all),
            accept_language=self._asked(b"accept-language", firsts, are_all=are_all),
            event_id=event_id,
            trace_id=sentry.trace_id if sentry is not None else None,
            reported=is_reported,
            kept=is_reported or (client is not None and client.keeps),
            user_name=who.username,
            user_email=who.email,
            theme=who.preferences.get("theme"),
            language=who.preferences.get("language"),
        )

    def _asked(self, name: bytes, firsts: Mapping[bytes, bytes], *, are_all: bool) -> str | None:
        """What the client asks for, on however many lines; `firsts` are the first ones, which may be all."""
        if are_all and name in firsts:
            return firsts[name].decode("latin-1")
        return request.joined_header(self._scope, name)

    def _who(self, sent: request.Sent) -> Identity:
        """The user, for a page: what else is known of the request is not looked for. `sent`: headers and cookies."""
        if self._last_knowledge is not None:
            return self._last_knowledge.who()
        identify = self._identify
        person = Person(self._scope, identity.named if identify is identity.read else identify, personal=False)
        return person.who(sent)
