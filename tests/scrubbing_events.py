"""A Starlette and a Django application with a secret in every field; prints what would be sent as JSON.

Run as `python -m tests.scrubbing_events starlette|django '[{"option": …}, …]'` by `test_scrubbing_events.py`. Every
secret is made by `secret(place)` at run time, so that no line of code holds one.
"""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import MemoryTransport
from tests.wire import http

PLACES = (
    *(
        "query",
        "path",
        "header",
        "bearer",
        "cookie",
        "form",
        "form_nested",
        "local",
        "nested",
        "repr",
        "bytes",
        "exception",
    ),
    *(
        "crumb",
        "crumb_data",
        "log_param",
        "tag",
        "extra",
        "context",
        "argv",
        "url",
        "span",
        "span_data",
        "again",
        "user",
    ),
    *("json_text", "environ", "logged", "metric", "sentry_log"),
)


def secret(place: str) -> str:
    """A made-up secret of this place, long enough to be told from anything else."""
    return f"fk{place.replace('_', '')}Q7w-4711x"


class Client:
    """An object that shows what it should not."""

    def __repr__(self) -> str:
        return f"<Client user='ada' password='{secret('repr')}'>"


def report_all() -> None:
    """What a developer may tell Sentry about a request."""
    sentry_sdk.set_tag("api_key", secret("tag"))
    sentry_sdk.set_user({"id": "SCW1001", "session_id": secret("user")})
    sentry_sdk.set_context("billing", {"iban": secret("context"), "plan": "basic"})
    sentry_sdk.get_current_scope().set_extra("vendor", {"deep": [{"client_secret": secret("extra")}]})
    sentry_sdk.get_current_scope().set_extra("argv", ["run", "--token", secret("argv")])
    sentry_sdk.get_current_scope().set_extra("environ", {"DB_PASSWORD": secret("environ"), "HOME": "/srv"})
    sentry_sdk.add_breadcrumb(category="http", message=f"GET https://x.example/?token={secret('crumb')}&page=2")
    sentry_sdk.add_breadcrumb(category="query", data={"headers": {"X-Auth-Token": secret("crumb_data")}})
    sentry_sdk.add_breadcrumb(category="click", message=f"User sent {secret('extra')}")
    logging.getLogger("rota").warning("login of %s with password=%s", "ada", secret("log_param"))
    sentry_sdk.metrics.count("logins", 1, attributes={"password": secret("metric"), "plan": "basic"})
    sentry_sdk.logger.warning("no login with password={password}", password=secret("sentry_log"))
    logging.getLogger("rota").error("could not log in: token=%s", secret("logged"))


def fail(form: Any) -> None:
    """Has secrets in its locals and in what it raises."""
    password = secret("local")
    config = {"db": [{"url": f"postgres://rota:{secret('url')}@db/rota", "secret_key": secret("nested")}]}
    client, raw = Client(), f"password={secret('bytes')}&x=1".encode()
    text = json.dumps({"user": "ada", "refresh_token": secret("json_text")})
    note = f"seen elsewhere: {secret('form')} {secret('extra')}"
    with start_span(f"GET https://x.example/?api_key={secret('span')}&page=2") as span:
        set_data(span, "http.query", f"password={secret('span_data')}")
    raise ValueError(f"bad token={secret('exception')} for {len((password, config, client, raw, text, note, form))}")


def start_span(name: str) -> Any:
    """A span, as either SDK and lifecycle makes it."""
    if HAS_TRANSACTIONS and sentry_sdk.get_client().options.get("trace_lifecycle") != "stream":
        return sentry_sdk.start_span(op="http.client", name=name)
    from sentry_sdk import traces

    return traces.start_span(name)


def set_data(span: Any, key: str, value: str) -> None:
    """Data of a span, as either SDK keeps it."""
    (span.set_data if hasattr(span, "set_data") else span.set_attribute)(key, value)


def starlette_app() -> Any:
    """Starlette with one view that takes everything."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def view(request: Request) -> Response:
        form = dict(await request.form())
        report_all()
        return Response(str(fail(form)))

    return Starlette(routes=[Route("/reset/{token}", view, methods=["POST"])])


def django_app() -> Any:
    """Django with the same view."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def view(request: HttpRequest, token: str) -> HttpResponse:
        form = request.POST.dict()
        report_all()
        return HttpResponse(str(fail(form)))

    settings.configure(
        SECRET_KEY="x" * 50,
        ROOT_URLCONF=(path("reset/<token>", view),),
        ALLOWED_HOSTS=["*"],
        LOGGING_CONFIG=None,
    )
    django.setup()
    return get_asgi_application()


def request() -> tuple[Any, bytes]:
    """A visitor's request with a secret wherever one may be."""
    form = {"day": "mon", "password": secret("form"), "card[number]": secret("form_nested")}
    body = urlencode(form).encode()
    headers = [
        (b"host", b"rota.example"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", str(len(body)).encode()),
        (b"x-api-key", secret("header").encode()),
        (b"authorization", f"Bearer {secret('bearer')}".encode()),
        (b"cookie", f"theme=dark; sessionid={secret('cookie')}; csrftoken={secret('again')}".encode()),
    ]
    query = urlencode({"page": "2", "access_token": secret("query")}).encode()
    where = f"/reset/{secret('path')}aB3dE5gH7jK9mN2"
    scope = http(method="POST", path=where, raw_path=where.encode(), query_string=query, headers=headers)
    return scope, body


async def call(app: Any, scope: Any, body: bytes) -> None:
    """One request, as a server makes it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        del message

    with suppress(ValueError):
        await app(scope, receive, send)


def sent(app: Any, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The items that the application sends with these options."""
    transport = MemoryTransport()
    pii = given.pop("pii", False)
    settings = Settings(
        dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, send_default_pii=pii, slow_request_seconds=60
    )
    if HAS_TRANSACTIONS:
        given.setdefault("enable_logs", True)
    init(settings, transport=transport, trace_propagation_targets=[], **given)
    scope, body = request()
    asyncio.run(call(RotaSentryMiddleware(app, settings), scope, body))
    sentry_sdk.flush()
    return [
        {"type": item.type, "payload": json.loads(item.get_bytes())}
        for envelope in transport.envelopes
        for item in envelope.items
    ]


def main(framework: str, options: list[dict[str, Any]]) -> None:
    """Make the events with one set of options after the other, and print them."""
    sys.argv = ["manage.py", f"--password={secret('argv')}"]
    app = starlette_app() if framework == "starlette" else django_app()
    print(json.dumps([sent(app, given) for given in options]))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
