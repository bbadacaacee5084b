"""The tables that a person reads."""

import math
from typing import Any

from tests.bench.cost import CASES

SETTLED = 200_000
_SPREAD = "quartiles"
COST_HEAD = (
    f"{'app':<16}{'case':<21}{'bare':>7}{'SDK adds':>11}{_SPREAD:>16}{'ours adds':>12}{_SPREAD:>16}"
    f"{'ratio':>8}{_SPREAD:>15}{'goal':>7}"
)


def cost_line(app: str, case: str, result: dict[str, Any]) -> str:
    """One row of the cost table; all but the ratio and the goal in microseconds."""
    chosen, sdk, ours, ratio = CASES[case], result["sdk"], result["ours"], result["ratio"]
    verdict = "met" if ratio["median"] <= chosen.goal else "missed"
    ratios = f"{ratio['low']:.3f}-{ratio['high']:.3f}"
    return (
        f"{app:<16}{chosen.title:<21}{result['bare']['median']:>7.1f}{sdk['median']:>11.1f}{_range(sdk):>16}"
        f"{ours['median']:>12.1f}{_range(ours):>16}{ratio['median']:>8.3f}"
        f"{ratios:>15}{chosen.goal:>7.2f} {verdict}"
    )


def _range(values: dict[str, float]) -> str:
    return f"{values['low']:.1f}-{values['high']:.1f}"


def share_lines(case: str, result: dict[str, Any]) -> list[str]:
    """Whether each variant sent as many transactions and errors as it should have, and what is wrong where not.

    A sampled share may differ from its rate by 4 standard errors: one honest run in 16,000 does.
    """
    chosen, seen = CASES[case], result["seen"]
    requests, lines = seen["requests"], []
    if "integrations" in result:
        alone, least = result["integrations"]["median"], result["least"]["median"]
        beyond = ": above the goal" if least > chosen.goal else ""
        lines.append(
            f"  the integrations alone, without a middleware, add {alone:.1f}, {least:.3f} of the SDK's{beyond}"
        )
    for name in ("ours", "sdk"):
        if name not in seen:
            continue
        share, rate = seen[name].get("transaction", 0.0), chosen.rate or 0.0
        allowed = 4 * math.sqrt(rate * (1 - rate) / requests)
        if abs(share - rate) > allowed + 1e-9:
            lines.append(
                f"  WRONG: {name} sampled {share:.4f} of {requests} requests instead of {rate} ± {allowed:.4f}"
            )
        elif case == "10":
            lines.append(f"  {name} sampled {share:.4f} of {requests} requests: right (0.1 ± {allowed:.4f})")
        errors, expected = seen[name].get("error", 0.0), float(chosen.raises)
        if errors != expected:
            lines.append(f"  WRONG: {name} told of {errors:.4f} errors per request instead of {expected:.0f}")
        elif chosen.is_storm:
            sent = seen[name].get("event", 0.0) * requests
            lines.append(f"  {name} told of all {requests} errors in {sent:.0f} events: right")
    return lines


def scrubbing_line(result: dict[str, Any]) -> str:
    """What scrubbing adds to the SDK's own time for one error."""
    verdict = "met" if result["share"] <= 0.15 else "missed"
    return (
        f"{'starlette':<16}{result['scrubbing']:.0f} µs on top of the SDK's {result['sdk']:.0f} µs, "
        f"share {result['share']:.3f}, goal 0.15 {verdict} (the process's first error: {result['first']:.0f} µs)"
    )


def memory_line(app: str, result: dict[str, Any]) -> str:
    """What one request in flight holds."""
    verdict = "met" if result["ratio"] <= 0.8 else "missed"
    return (
        f"{app:<16}bare {result['bare'] / 1000:.1f} kB, SDK adds {result['sdk'] / 1000:.1f} kB, "
        f"ours adds {result['ours'] / 1000:.1f} kB, ratio {result['ratio']:.3f}, goal 0.80 {verdict}"
    )


def soak_line(app: str, result: dict[str, Any]) -> str:
    """What the second half of the requests left behind."""
    half, end = result["half"], result["end"]
    left = f"{result['blocks_per_request']:+.4f} a request"
    verdict = "grows" if result["blocks_per_request"] > 0.05 else "no growth"
    if result["requests"] < SETTLED:
        verdict = f"too few to tell (bounded stores fill up first; {SETTLED} will do)"
    return (
        f"{app:<16}{result['requests']} requests in {result['seconds']:.0f} s: allocated blocks "
        f"{half['blocks']} by the half, {end['blocks']} by the end ({left}), peak memory "
        f"{half['resident'] / 1024:.1f} and {end['resident'] / 1024:.1f} MiB: {verdict}"
    )


def throughput_line(app: str, result: dict[str, Any] | None) -> str:
    """Requests per second of the three variants."""
    if result is None:
        return "skipped: wrk is not installed (Debian: apt-get install wrk)"
    bare, ours, sdk = result["bare"], result["ours"], result["sdk"]
    shares = f"ours {ours:.0f}/s ({ours / bare:.0%} of bare), SDK's {sdk:.0f}/s ({sdk / bare:.0%})"
    return f"{app:<16}bare {bare:.0f}/s, {shares}"


def storm_throughput_line(app: str, result: dict[str, Any] | None) -> str:
    """Requests per second where each fails, and the time that one takes more with ours, by that with the SDK's."""
    if result is None:
        return throughput_line(app, result)
    bare, ours, sdk = (1 / result[name] for name in ("bare", "ours", "sdk"))
    ratio, goal = (ours - bare) / (sdk - bare), CASES["storm"].goal
    verdict = "met" if ratio <= goal else "missed"
    return f"{throughput_line(app, result)}, ratio of what they add {ratio:.3f}, goal {goal:.2f} {verdict}"
