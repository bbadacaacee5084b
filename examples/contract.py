"""The rota that both examples promise, as tests that each example's `test_app.py` runs against itself."""

import httpx
import pytest

from examples.rota import DAYS
from examples.server import Server
from examples.story import Browser


class RotaContract:
    """Every route of the rota, seen by a browser; the fixtures are in `conftest.py`."""

    def test_home_offers_both_people(self, browser: Browser) -> None:
        """The front door lets a visitor choose who to be."""
        page = browser.open("/")
        assert page.status_code == 200
        assert "/login/?as=manager" in page.text
        assert "/login/?as=staff" in page.text

    @pytest.mark.parametrize(
        ("name", "number", "role", "theme"),
        [("manager", "SCW1001", "Manager", "dark"), ("staff", "SCW1002", "Staff", "light")],
    )
    def test_login_leads_to_the_dashboard(
        self, browser: Browser, name: str, number: str, role: str, theme: str
    ) -> None:
        """Signing in shows the person's own number, role and theme."""
        page = browser.open(f"/login/?as={name}")
        assert browser.visits == [("GET", "/login/", 302), ("GET", "/dashboard/", 200)]
        assert f"<dd>{number}</dd>" in page.text
        assert f"<dd>{role}</dd>" in page.text
        assert f'data-theme="{theme}"' in page.text
        assert ("Create Shift" in page.text) == (role == "Manager")

    def test_login_as_nobody_known_is_refused(self, browser: Browser) -> None:
        """There are just two people."""
        assert browser.open("/login/?as=admin").status_code == 400
        assert browser.open("/login/").status_code == 400

    @pytest.mark.parametrize("path", ["/dashboard/", "/shifts/", "/shifts/1/"])
    def test_pages_of_the_rota_need_a_session(self, browser: Browser, path: str) -> None:
        """A visitor without a session is sent to the front door."""
        page = browser.open(path)
        assert [(visited, status // 100) for _, visited, status in browser.visits] == [(path, 3), ("/", 2)]
        assert "Log in as manager" in page.text

    def test_logout_ends_the_session(self, manager: Browser) -> None:
        """After logging out the dashboard is closed."""
        assert "Log in as manager" in manager.open("/logout/").text
        assert manager.open("/dashboard/").url.path == "/"

    def test_shifts(self, manager: Browser) -> None:
        """All shifts are listed, each has a page of its own."""
        listed = manager.open("/shifts/")
        assert listed.status_code == 200
        assert "Thursday" in listed.text
        page = manager.open("/shifts/3/")
        assert page.status_code == 200
        assert "<dd>Thursday</dd>" in page.text
        assert "<dd>scw1002</dd>" in page.text

    @pytest.mark.parametrize("path", ["/shifts/99999/", "/shifts/abc/", "/no-such-page/"])
    def test_what_is_not_there_is_a_404(self, manager: Browser, path: str) -> None:
        """An unknown shift and an unknown page are not found."""
        assert manager.open(path).status_code == 404

    def test_a_shift_is_created(self, manager: Browser) -> None:
        """The form's shift is on the rota, in its creator's name."""
        form = manager.open("/shifts/create/?via=button")
        assert form.status_code == 200
        assert all(f"<option>{day}</option>" in form.text for day in DAYS)
        page = manager.submit("/shifts/create/", day="Sunday", hours="5")
        assert manager.visits[-2] == ("POST", "/shifts/create/", 303)
        assert page.status_code == 200
        assert "<dd>Sunday</dd>" in page.text
        assert "<dd>5</dd>" in page.text
        assert "<dd>scw1001</dd>" in page.text

    def test_a_day_that_is_none_is_refused(self, manager: Browser) -> None:
        """The day is validated."""
        manager.open("/shifts/create/")
        assert manager.submit("/shifts/create/", day="Someday", hours="5").status_code == 400

    def test_hours_that_are_no_number_fail(self, manager: Browser, wrapped: bool) -> None:
        """The fault of the story is a 500; wrapped, the page shows the event ID to tell support."""
        manager.open("/shifts/create/")
        page = manager.submit("/shifts/create/", day="Sunday", hours="abc")
        assert page.status_code == 500
        event_id = page.headers.get("X-Sentry-Event-ID", "")
        assert (len(event_id) == 32) == wrapped
        assert event_id in page.text

    def test_only_managers_create_shifts(self, browser: Browser) -> None:
        """Staff and strangers are forbidden to."""
        assert browser.open("/shifts/create/").status_code == 403
        browser.open("/login/?as=staff")
        assert browser.open("/shifts/create/").status_code == 403

    def test_search(self, browser: Browser) -> None:
        """Search finds days and workers in any case, nothing for nothing, and escapes what was typed."""
        assert "Tuesday" in browser.open("/search/?q=tues").text
        assert "Thursday" in browser.open("/search/?q=SCW1002").text
        assert "No shifts here" in browser.open("/search/?q=").text
        assert "<script>" not in browser.open("/search/?q=<script>").text

    @pytest.mark.parametrize(
        ("query", "text"), [("seconds=0.1", "0.1 s"), ("seconds=nan", "0 s"), ("seconds=x", "0 s")]
    )
    def test_slow(self, browser: Browser, query: str, text: str) -> None:
        """The slow page takes as long as it was told, and not at all when it was told nonsense."""
        assert browser.open(f"/slow/?{query}").text == f"That took {text}."

    def test_stream(self, browser: Browser) -> None:
        """The stream arrives whole."""
        page = browser.open("/stream/")
        assert page.text.startswith("Monday 8 h scw1001\nTuesday 6 h scw1002\nThursday 8 h scw1002\n")

    def test_stream_breaks_off(self, server: Server) -> None:
        """The failing stream delivers what it had and then ends without its end."""
        received = []
        with httpx.stream("GET", f"{server.url}/stream/?fail=1", trust_env=False) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                received.extend(response.iter_bytes())
        assert b"".join(received) == b"Monday 8 h scw1001\nTuesday 6 h scw1002\n"

    def test_health(self, browser: Browser) -> None:
        """The health check says ok and nothing else."""
        assert browser.open("/healthz").text == "ok"

    def test_feedback_is_taken(self, server: Server, wrapped: bool) -> None:
        """What a visitor writes is taken by the middleware; the bare application knows nothing of it."""
        answer = httpx.post(f"{server.url}/api/error-feedback/", json={"message": "It broke."}, trust_env=False)
        assert (answer.status_code == 202) == wrapped
        assert (answer.status_code in (403, 404, 405)) != wrapped
