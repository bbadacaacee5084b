"""A small Starlette application that reports errors through the outbox, or through the SDK's own transport.

Environment: `SENTRY_DSN`, `ROTA_SENTRY_…`, `PLAIN_SDK=1` for the SDK's own transport, `SEND_TIMEOUT` in seconds,
`FILE_SIZE_LIMIT` in bytes.
"""

import contextlib
import logging
import os
import resource
import sys
import time
from dataclasses import asdict

import sentry_sdk
from sentry_sdk.transport import HttpTransport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_rota_sentry.outbox import health, transport_for
from asgi_rota_sentry.settings import Settings

logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
HttpTransport.TIMEOUT = float(os.environ.get("SEND_TIMEOUT", "30"))  # type: ignore[assignment]
if "FILE_SIZE_LIMIT" in os.environ:
    limit = int(os.environ["FILE_SIZE_LIMIT"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
settings = Settings.from_env()
plain = bool(os.environ.get("PLAIN_SDK"))
sentry_sdk.init(dsn=settings.dsn, transport=None if plain else transport_for(settings), shutdown_timeout=2)


def fail(number: int) -> None:
    """What goes wrong in a rota."""
    shifts = {"monday": ["SCW1001", "SCW1002"], "tuesday": []}
    shifts["tuesday"][number].lower()


def capture(number: int) -> tuple[str | None, float]:
    """One captured error; its event ID and the seconds that capturing took."""
    try:
        fail(number)
    except IndexError:
        started = time.perf_counter()
        return sentry_sdk.capture_exception(), time.perf_counter() - started
    return None, 0.0


async def boom(request: Request) -> JSONResponse:
    """Capture `n` errors and answer with their IDs."""
    captured = [capture(number) for number in range(int(request.query_params.get("n", "1")))]
    return JSONResponse([event_id for event_id, _ in captured], 500)


async def ping(_: Request) -> JSONResponse:
    """Answer at once, with the process and its memory in MiB."""
    memory = 0.0
    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:  # noqa: ASYNC230, PTH123
        memory = int(statm.read().split()[1]) * resource.getpagesize() / 2**20
    return JSONResponse({"pid": os.getpid(), "memory": memory})


async def state(_: Request) -> JSONResponse:
    """The outbox's health."""
    return JSONResponse(asdict(health()))


app = Starlette(routes=[Route("/boom", boom), Route("/ping", ping), Route("/health", state)])
