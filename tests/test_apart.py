"""What the SDK does to send is none of a request's doings, though it begins in the midst of one."""

from typing import Any

import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from tests.ingest import ingest
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("begun_by", ["our init", "the SDK's"])
async def test_the_sending_of_an_event_is_no_span_of_the_request(lifecycle: str, begun_by: str) -> None:
    """Not where the DSN names a port either, which the SDK's own look at its server leaves out."""
    options: dict[str, Any] = {} if lifecycle == "static" else {"trace_lifecycle": lifecycle}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_message("in the midst of it", level="error")
        sentry_sdk.flush()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    with ingest() as server:
        settings = Settings(dsn=server.dsn, traces_sample_rate=1.0, profiles_sample_rate=0.0, outbox_path="")
        if begun_by == "our init":
            init(settings, **options)
        else:
            sentry_sdk.init(dsn=server.dsn, traces_sample_rate=1.0, **options)
        await Wire([{"type": "http.request"}]).run(RotaSentryMiddleware(app, settings), http())
        sentry_sdk.flush()
        assert len(server.items("event")) == 1
        batches = [batch["items"] for batch in server.items("span")]
        spans = [span for found in server.items("transaction") for span in [found, *found["spans"]]]
        spans += [span for batch in batches for span in batch]
        sentry_sdk.get_client().close(timeout=0)
    assert len(spans) == 1
