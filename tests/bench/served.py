"""One variant under uvicorn: `python -m tests.bench.served '{"variant": …, "app": …, "rate": …, "port": …}'`.

With `"fails": true` every request fails. What uvicorn logs, a line for each request, is written, and thrown away.
"""

import asyncio
import json
import logging
import sys

import uvicorn

from asgi_rota_sentry.types import ASGIApp
from tests.bench.apps import answer, call, fail
from tests.bench.cost import PER_MINUTE, logged
from tests.bench.variants import line_up


async def _build(variant: str, app: str, rate: float | None, fails: bool) -> ASGIApp:
    """The chosen variant, with its client bound and with the integrations' patches only where it has one."""
    lineup = await line_up(app, fail if fails else answer, rate, per_minute=PER_MINUTE if fails else 0)
    chosen = next(each for each in lineup.variants if each.name == variant)
    lineup.bind(chosen)
    if fails:
        for _ in range(PER_MINUTE):  # our budget of full events is used up
            await call(chosen.app)
    return chosen.app


def main(variant: str, app: str, rate: float | None, port: int, fails: bool = False) -> None:
    """Serve on 127.0.0.1 until told to stop."""
    with logged(True):
        logging.getLogger("uvicorn").setLevel(logging.INFO)
        uvicorn.run(asyncio.run(_build(variant, app, rate, fails)), port=port, log_config=None)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
