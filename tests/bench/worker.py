"""One job in a process of its own, because the SDK's integrations and clients stay for a process's whole life."""

import asyncio
import json
import sys
from typing import Any

from tests.bench.cost import CASES, measure
from tests.bench.memory import in_flight, soak
from tests.bench.scrubbing import scrubbing


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job, `{"kind": "cost" | "memory" | "soak", …}`, and give its result as plain data."""
    job = dict(job)
    kind = job.pop("kind")
    if kind == "cost":
        return asyncio.run(measure(job.pop("app"), CASES[job.pop("case")], **job))
    if kind == "scrubbing":
        return asyncio.run(scrubbing(**job))
    if kind == "memory":
        return asyncio.run(in_flight(**job))
    return asyncio.run(soak(**job))


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
