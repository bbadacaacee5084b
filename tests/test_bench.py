"""The benchmark computes what it says; no time is asserted, because a machine may be as slow as it likes."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.bench import report
from tests.bench.cost import summary
from tests.bench.throughput import throughput
from tests.bench.variants import errors_told

ROOT = Path(__file__).parent.parent


@cache
def run(*arguments: str) -> dict[str, Any]:
    """One tiny run of the benchmark in a process of its own, as JSON."""
    command = [sys.executable, "-m", "tests.bench", "--seconds", "0.01", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["parts"])


def test_what_is_added_is_the_difference_to_the_bare_app_within_each_round() -> None:
    """A machine that becomes slower between rounds changes neither the medians' meaning nor the ratio."""
    rounds = [{"bare": slow, "ours": slow + 10, "sdk": slow + 40} for slow in (1.0, 500.0, 20.0, 3.0)]
    result = summary(rounds)
    assert result["ours"]["median"] == 10
    assert result["sdk"]["median"] == 40
    assert set(result["ratio"].values()) == {0.25}


@pytest.mark.parametrize("app", ["raw", "starlette", "starlette-plain"])
def test_every_request_at_100_percent_is_one_transaction_in_both(app: str) -> None:
    """The variants that are compared really did their work: one transaction a request, from ours and from the SDK's."""
    result = run("--part", "cost", "--case", "100", "--app", app)["cost"][f"{app} 100"]
    assert result["rounds"] >= 3
    assert {name: result["seen"][name]["transaction"] for name in ("ours", "sdk")} == {"ours": 1.0, "sdk": 1.0}


@pytest.mark.parametrize("app", ["raw", "starlette"])
def test_every_failing_request_is_one_error_event_in_both(app: str) -> None:
    """The raising case measures captured errors, none dropped by a limit and none captured twice."""
    result = run("--part", "cost", "--case", "raises", "--app", app)["cost"][f"{app} raises"]
    assert {name: result["seen"][name]["event"] for name in ("ours", "sdk")} == {"ours": 1.0, "sdk": 1.0}


@pytest.mark.parametrize("case", ["storm", "storm-blunt"])
def test_in_a_storm_every_error_is_told_of_in_few_events(case: str) -> None:
    """Ours sends less than one event for a hundred errors, the SDK's one for each; both tell of all of them."""
    result = run("--part", "cost", "--case", case, "--app", "raw")["cost"][f"raw {case}"]
    assert {name: result["seen"][name]["error"] for name in ("ours", "sdk")} == {"ours": 1.0, "sdk": 1.0}
    assert result["seen"]["sdk"]["event"] == 1.0
    assert 0 < result["seen"]["ours"]["event"] < 0.01


def test_an_uncounted_error_is_said() -> None:
    """Errors that no event tells of are reported as wrong, one in a thousand, too."""
    seen = {"requests": 1_000, "ours": {"error": 0.999, "event": 0.001}, "sdk": {"error": 1.0, "event": 1.0}}
    wrong, right = (line for line in report.share_lines("storm", {"seen": seen}) if "errors" in line)
    assert "WRONG: ours told of 0.9990 errors per request" in wrong
    assert "sdk told of all 1000 errors in 1000 events: right" in right


def test_an_event_tells_of_its_own_error_and_of_the_counted_ones() -> None:
    """A full event of one and those that it counts; one that stands for counted ones alone only of them."""
    budget: dict[str, Any] = {"not_sent": 7}
    assert errors_told({}) == 1
    assert errors_told({"contexts": {"error_budget": budget}}) == 8
    assert errors_told({"contexts": {"error_budget": {**budget, "event_id": "abc"}}}) == 7


def test_the_integrations_alone_cost_what_no_middleware_can_take_away() -> None:
    """Where they are in the application, their part is told; they make no transaction by themselves."""
    result = run("--part", "cost", "--case", "100", "--app", "starlette")["cost"]["starlette 100"]
    assert result["integrations"]["median"] < result["sdk"]["median"]
    assert set(result["seen"]) == {"requests", "ours", "sdk"}
    assert result["seen"]["sdk"]["transaction"] == 1.0


def test_a_client_is_bound_for_its_own_batches_only() -> None:
    """With tracing off neither variant sends a transaction, and without a client nothing is sent at all."""
    parts = run("--part", "cost", "--case", "off", "--case", "uninitialised", "--app", "raw")["cost"]
    assert all("transaction" not in parts["raw off"]["seen"][name] for name in ("ours", "sdk"))
    assert set(parts["raw uninitialised"]["seen"]) == {"requests"}


def test_memory_and_growth_are_measured() -> None:
    """Requests held open hold memory, more with the SDK's middleware than without."""
    parts = run("--part", "memory", "--part", "soak", "--held", "50", "--soak", "200", "--app", "raw")
    assert parts["memory"]["raw"]["bare"] > 0
    assert parts["memory"]["raw"]["sdk"] > 0
    assert parts["soak"]["raw"]["requests"] == 200


def test_a_wrong_sampled_share_is_said() -> None:
    """A share far from its rate is reported as wrong, one within chance as right."""
    seen = {"requests": 10_000, "ours": {"transaction": 0.2}, "sdk": {"transaction": 0.103}}
    wrong, right = report.share_lines("10", {"seen": seen})
    assert "WRONG: ours sampled 0.2000" in wrong
    assert "sdk sampled 0.1030 of 10000 requests: right" in right


def test_without_wrk_the_throughput_is_skipped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without wrk gets a line that says what is missing, not an error."""
    monkeypatch.setenv("PATH", "")
    assert throughput("raw", 0.1, 1) is None
    assert "wrk is not installed" in report.throughput_line("raw", None)


def test_what_a_storm_adds_is_told_by_what_the_sdks_adds() -> None:
    """By the time that a request takes: with 1 ms bare, 1.9 ms and 10 ms it is a tenth, which meets the goal."""
    found = {"bare": 1_000.0, "ours": 1_000 / 1.899, "sdk": 100.0}
    assert "add 0.100, goal 0.10 met" in report.storm_throughput_line("raw", found)
    assert "add 0.200, goal 0.10 missed" in report.storm_throughput_line("raw", found | {"ours": 1_000 / 2.8})
    assert "wrk is not installed" in report.storm_throughput_line("raw", None)
