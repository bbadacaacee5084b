"""The Starlette example with what a soak needs: more ways to fail, uploads, and `/state/` of its own process."""

import asyncio
import gc
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.e2e.endless_starlette import app, application

__all__ = ["application"]

_KINDS: tuple[type[Exception], ...] = (KeyError, IndexError, TypeError, RuntimeError, AttributeError)


async def boom(request: Request) -> Response:
    """Fail in one of several ways."""
    raise _KINDS[int(request.query_params["kind"])]("a soak's own")


def _broken_work() -> None:
    raise LookupError("after the response")


async def later(request: Request) -> Response:
    """Answer, and fail in the background."""
    return PlainTextResponse("taken", background=BackgroundTask(_broken_work))


async def upload(request: Request) -> Response:
    """How many bytes came."""
    size = 0
    async for part in request.stream():
        size += len(part)
    return PlainTextResponse(str(size))


async def state(request: Request) -> Response:
    """What this process holds, its garbage collected: objects, tasks, threads and open files; all by kind."""
    gc.collect()
    objects = gc.get_objects()
    found = {
        "objects": len(objects),
        "kinds": dict(Counter(type(each).__qualname__ for each in objects).most_common(60)),
        "tasks": _counted(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks()),
        "threads": _counted(thread.name.rstrip("0123456789-") for thread in threading.enumerate()),
        "files": _counted(_files()),
    }
    return JSONResponse(found)


def _counted(names: Any) -> dict[str, int]:
    return dict(Counter(names))


def _files() -> list[str]:
    """The open files' names, numbers left out: `socket:[4711]` is a socket."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(descriptor).partition(":[")[0])  # noqa: PTH115 - `socket:[…]` is no path
        except OSError:
            continue  # the listing's own
    return found


app.routes.extend(
    [
        Route("/boom/", boom),
        Route("/later/", later),
        Route("/upload/", upload, methods=["POST"]),
        Route("/state/", state),
    ]
)
