"""Half a minute of the soak; `make soak` is half an hour of it."""

from pathlib import Path

import pytest

from tests.soak.run import soak

pytestmark = pytest.mark.e2e


def test_half_a_minute_leaves_nothing_behind(tmp_path: Path) -> None:
    """Memory is flat after the warm-up; no task, thread or file stays; every end is as it must be; no event is lost."""
    result = soak(30, tmp_path)
    assert result.faults == [], result.report()
    assert result.traffic is not None
    assert min(result.traffic.done[what] for what in ("error", "leaves_a_stream", "leaves_a_websocket")) > 0
