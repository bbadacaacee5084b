"""One variant under uvicorn: `python -m tests.bench.served '{"variant": …, "app": …, "rate": …, "port": …}'`."""

import asyncio
import json
import sys

import uvicorn

from asgi_rota_sentry.types import ASGIApp
from tests.bench.apps import answer
from tests.bench.variants import line_up


async def _build(variant: str, app: str, rate: float | None) -> ASGIApp:
    """The chosen variant, with its client bound and with the integrations' patches only where it has one."""
    lineup = await line_up(app, answer, rate)
    chosen = next(each for each in lineup.variants if each.name == variant)
    lineup.bind(chosen)
    return chosen.app


def main(variant: str, app: str, rate: float | None, port: int) -> None:
    """Serve on 127.0.0.1 until told to stop."""
    uvicorn.run(asyncio.run(_build(variant, app, rate)), port=port, access_log=False, log_config=None)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
