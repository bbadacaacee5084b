"""What scrubbing adds to the SDK's own time for a typical error, in CPU time."""

import logging
import secrets
import statistics
import time
from typing import Any

import httpx
import sentry_sdk
from sentry_sdk.transport import Transport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_rota_sentry.scrubbing import Scrubber

_WARM_UP = 30
_BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "referer": "https://rota.example/shifts/",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
}


class _Discard(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        del envelope


async def _create_shift(request: Request) -> Response:
    form = await request.form()
    staff = {"id": "SCW1001", "name": "Ada", "role": "Manager", "hours": [8, 8, 4]}
    logging.getLogger("rota").info("shift on %s for %s", form["day"], staff["id"])
    return Response(str(int(str(form["hours"]))))


async def scrubbing(errors: int = 300) -> dict[str, Any]:
    """Microseconds of the scrubber and of the SDK (event, capture) for an error of a new visitor each time."""
    scrubber, spent, whole = Scrubber(), [], []

    def before_send(event: Any, _hint: Any) -> Any:
        start = time.process_time_ns()
        scrubbed = scrubber.payload(event)
        spent.append(time.process_time_ns() - start)
        return scrubbed

    # The error is captured below, where its time can be taken, and not by an integration.
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=_Discard(), before_send=before_send, default_integrations=False
    )
    app = Starlette(routes=[Route("/shifts/create/{day}", _create_shift, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://rota.example") as client:
        for number in range(errors + _WARM_UP):
            day = f"2026-03-{number % 28 + 1:02}"
            cookies = f"sessionid={secrets.token_hex(16)}; csrftoken={secrets.token_hex(16)}; theme=dark"
            form = {"hours": "abc", "day": day, "csrfmiddlewaretoken": secrets.token_urlsafe(32)}
            try:
                await client.post(
                    f"/shifts/create/{day}?page={number}", data=form, headers={**_BROWSER, "cookie": cookies}
                )
            except ValueError as error:
                start = time.process_time_ns()
                sentry_sdk.capture_exception(error)
                whole.append(time.process_time_ns() - start)
    ours = statistics.median(spent[_WARM_UP:]) / 1000
    sdk = statistics.median(whole[_WARM_UP:]) / 1000 - ours
    return {"errors": errors, "scrubbing": ours, "sdk": sdk, "share": ours / sdk, "first": spent[0] / 1000}
