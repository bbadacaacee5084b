"""Servers that the end-to-end tests report to; each is installed into `.e2e/` before, or at its first use."""

from collections.abc import Iterator

import pytest

from tests.e2e.bugsink import Bugsink, bugsink
from tests.e2e.spotlight import Spotlight, spotlight


@pytest.fixture(scope="session")
def bugsink_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    """A Bugsink for the whole run: look events up by their ID."""
    with bugsink(tmp_path_factory.mktemp("bugsink") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def _spotlight() -> Iterator[Spotlight]:
    with spotlight() as server:
        yield server


@pytest.fixture
def spotlight_server(_spotlight: Spotlight) -> Spotlight:
    """A Spotlight that holds nothing yet."""
    _spotlight.clear()
    return _spotlight
