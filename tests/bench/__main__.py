"""`python -m tests.bench`: run what was asked for, each job in a process of its own, and print the tables."""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from tests.bench import report
from tests.bench.cost import CASES
from tests.bench.throughput import throughput
from tests.bench.variants import APPS

PARTS = ("cost", "scrubbing", "memory", "soak", "throughput")
ABOUT = """\
What a request costs with RotaSentryMiddleware and with the SDK's own SentryAsgiMiddleware, over the bare application.

Costs are CPU time (time.process_time_ns: all threads, so that work moved to the SDK's threads counts), in microseconds
added per request. Bare, ours and the SDK's run in small batches in rotating order; each round's difference to its own
bare batch counts; medians with quartiles. Every batch starts with a collected heap and pays for its own garbage
collections and for what the client's batchers hold. Nothing is sent: both clients have a transport that discards.
In a storm every request fails: measured are the errors beyond our default budget of full events a minute, which is used
up before; each is counted, logged (to a file that keeps nothing) and answered with its page. The SDK's sends them all.
Applications: a raw ASGI one; Starlette with the SDK's integrations auto-enabled; Starlette without them."""


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.bench", description=ABOUT, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part (repeatable); default: all")
    parser.add_argument("--case", choices=CASES, action="append", help="only this case of the costs (repeatable)")
    parser.add_argument("--app", choices=APPS, action="append", help="only this application (repeatable)")
    parser.add_argument("--seconds", type=float, default=1.5, help="wall time for each case of the costs; default: 1.5")
    parser.add_argument(
        "--quick", action="store_true", help="0.5 s a case, 200 held, 2,000 requests of soak, one round of throughput"
    )
    parser.add_argument("--held", type=int, default=1000, metavar="N", help="requests held open; default: 1000")
    parser.add_argument("--soak", type=int, default=200_000, metavar="N", help="requests of the soak; default: 200000")
    parser.add_argument("--stream", action="store_true", help='sentry-sdk 2.x with trace_lifecycle="stream"')
    parser.add_argument("--wire", action="store_true", help="serialise envelopes too, as the SDK's sending thread does")
    parser.add_argument("--gc-off", action="store_true", help="no garbage collection within a batch")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    args = parser.parse_args(given)
    if args.quick:
        args.seconds, args.soak, args.held = min(args.seconds, 0.5), min(args.soak, 2_000), min(args.held, 200)
    return args


def _job(**job: Any) -> dict[str, Any]:
    """The result of one job in a process of its own; its error output is shown when it fails."""
    command = [sys.executable, "-m", "tests.bench.worker", json.dumps(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The job {job} failed with exit status {done.returncode}.")
    return dict(json.loads(done.stdout))


def _cost(args: argparse.Namespace, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Every application and case in turn; without the SDK Starlette has no integrations to leave out."""
    apps, cases = args.app or list(APPS), args.case or list(CASES)
    for app in apps:
        for case in cases:
            if app == "starlette-plain" and case == "uninitialised" and "starlette" in apps:
                continue
            if CASES[case].is_blunt and app != apps[0]:
                continue  # it has an application of its own
            how = {"seconds": args.seconds, "wire": args.wire, "collect": not args.gc_off}
            result = _job(kind="cost", app=app, case=case, **how, **options)
            lines = [report.cost_line(app, case, result), *report.share_lines(case, result)]
            yield f"{app} {case}", result, lines


def _parts(args: argparse.Namespace, options: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Every part's heading, then its results, as (part, text, result)."""
    parts, apps = args.part or PARTS, [app for app in args.app or APPS if app != "starlette-plain"]
    if "cost" in parts:
        yield "cost", f"\nAdded per request, µs of CPU time\n{report.COST_HEAD}", None
        for name, result, lines in _cost(args, options):
            yield "cost", "\n".join(lines), (name, result)
    if "scrubbing" in parts:
        yield "scrubbing", "\nScrubbing of a typical error", None
        result = _job(kind="scrubbing", errors=100 if args.quick else 300)
        yield "scrubbing", report.scrubbing_line(result), ("starlette", result)
    if "memory" in parts:
        yield "memory", "\nMemory of a request in flight, at 10 %", None
        for app in apps:
            result = _job(kind="memory", app=app, rate=0.1, requests=args.held, **options)
            yield "memory", report.memory_line(app, result), (app, result)
    if "soak" in parts:
        yield "soak", "\nGrowth over many requests with ours, every one by another visitor", None
        for app in apps[:1]:
            result = _job(kind="soak", app=app, requests=args.soak, **options)
            yield "soak", report.soak_line(app, result), (app, result)
    if "throughput" in parts:
        for text, result in _throughput(apps, quick=args.quick):
            yield "throughput", text, result


def _throughput(apps: list[str], *, quick: bool) -> Iterator[tuple[str, Any]]:
    """Under uvicorn, which logs what fails; then with every request failing."""
    yield "\nuvicorn with its access log, requests per second at 10 %, 16 connections", None
    for app in apps[-1:]:
        rates = throughput(app, 0.1, 1 if quick else 5)
        yield report.throughput_line(app, rates), (app, rates)
    yield "\nThe same in a storm: every request fails, and uvicorn logs that, too", None
    for app in apps:
        rates = throughput(app, 0.1, 1 if quick else 5, fails=True)
        yield report.storm_throughput_line(app, rates), (f"{app} storm", rates)


def main(given: list[str] | None = None) -> None:
    """Run the benchmark with these arguments; those of the process when left out."""
    args, started = _arguments(given), time.monotonic()
    options = {"trace_lifecycle": "stream"} if args.stream else {}
    about = {"sentry_sdk": version("sentry-sdk"), "python": platform.python_version(), "stream": args.stream}
    document: dict[str, Any] = {**about, "parts": {}}
    if not args.json:
        print(f"sentry-sdk {about['sentry_sdk']}{' (streamed)' * args.stream}, Python {about['python']}")
    for part, text, result in _parts(args, options):
        if result is not None:
            document["parts"].setdefault(part, {})[result[0]] = result[1]
        if not args.json:
            print(text, flush=True)
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        print(f"\n{time.monotonic() - started:.0f} s\n")


if __name__ == "__main__":
    main()
