"""The Django example: the rota that both promise, and what only Django does."""

import httpx

from examples.contract import RotaContract
from examples.server import Server
from examples.story import Browser


class TestRota(RotaContract):
    """The rota under uvicorn, bare and wrapped."""

    def test_a_form_from_elsewhere_is_refused(self, manager: Browser) -> None:
        """A POST without the form's CSRF token is Django's 403."""
        manager.open("/dashboard/")  # a page without a form, so without a token
        assert manager.submit("/shifts/create/", day="Sunday", hours="5").status_code == 403

    def test_a_foreign_host_is_refused(self, server: Server) -> None:
        """A host header that is not ours is Django's 400."""
        page = httpx.get(f"{server.url}/", headers={"Host": "rota.invalid"}, trust_env=False)
        assert page.status_code == 400
