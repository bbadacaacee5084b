"""What the tests of both examples share: the example under uvicorn, once bare and once wrapped, and a browser on it."""

from collections.abc import Iterator

import httpx
import pytest

from examples.server import Server, running
from examples.story import Browser

pytest.register_assert_rewrite("examples.contract")


@pytest.fixture(scope="module", params=["app", "application"], ids=["bare", "wrapped"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example of the test's own folder, in a process of its own: Django and the SDK allow one setup each."""
    outbox = tmp_path_factory.mktemp("outbox") / "outbox.sqlite3"
    target = f"{request.module.__package__}.asgi:{request.param}"
    with running(target, SENTRY_DSN="", ROTA_SENTRY_DEBUG="", ROTA_SENTRY_OUTBOX=str(outbox)) as served:
        yield served


@pytest.fixture
def wrapped(request: pytest.FixtureRequest) -> bool:
    """Whether the middleware is around the example."""
    return bool(request.node.callspec.params["server"] == "application")


@pytest.fixture
def browser(server: Server) -> Iterator[Browser]:
    """A visitor who is not signed in."""
    with httpx.Client(base_url=server.url, timeout=10, trust_env=False) as client:
        yield Browser(client)


@pytest.fixture
def manager(browser: Browser) -> Browser:
    """A visitor who is signed in as the manager."""
    browser.open("/login/?as=manager")
    return browser
