"""Feedback from end to end: both examples under uvicorn, a real Chromium, Spotlight and an SMTP server."""

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from asgi_rota_sentry.outbox.feedback import FeedbackStore
from examples.server import Server, running
from tests.e2e import browser as chrome
from tests.e2e.spotlight import Spotlight
from tests.smtp import Mailbox, mailbox
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

PATH = "/api/error-feedback/"
MESSAGE = "I was adding Friday shift.\nIt said “abc”."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome.chromium() as opened:
        yield opened


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as running_box:
        yield running_box


def environ(folder: Path, box: Mailbox, **more: str) -> dict[str, str]:
    return {
        "SENTRY_DSN": "",
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "SENTRY_ENVIRONMENT": "test",
        "SENTRY_RELEASE": "rota@1",
        "ROTA_SENTRY_DEBUG": "",
        "ROTA_SENTRY_OUTBOX": str(folder / "outbox.sqlite3"),
        "ROTA_SENTRY_SUPPORT_EMAIL": "support@rota.example",
        "ROTA_SENTRY_MAIL_FROM": "rota@rota.example",
        "ROTA_SENTRY_SMTP_URL": box.url,
        "ROTA_EXAMPLE_SMTP_HOST": "127.0.0.1",
        "ROTA_EXAMPLE_SMTP_PORT": str(box.port),
        **more,
    }


def fail(page: Page, server: Server) -> str:
    """Sign in as the manager and mistype the hours, as the story does; returns the event ID on the page."""
    page.goto(f"{server.url}/login/?as=manager")
    page.goto(f"{server.url}/shifts/create/")
    page.locator("[name=hours]").evaluate("field => field.removeAttribute('type')")
    page.locator("[name=hours]").fill("abc")
    page.locator("main form button, form[method=post] button").first.click()
    return page.locator("#event").inner_text()


def fail_without_script(page: Page, server: Server) -> str:
    """The same without JavaScript, which is also what removes the number field's own check."""
    page.goto(f"{server.url}/login/?as=manager")
    page.goto(f"{server.url}/shifts/create/")
    page.locator("[name=hours]").fill("")
    page.locator("[name=hours]").type("abc")
    page.locator("form[method=post] button").click()
    return page.locator("#event").inner_text()


@pytest.mark.parametrize("example", ["starlette", "django"])
def test_from_the_failure_to_support_with_the_keyboard_only(
    browser: Browser, spotlight_server: Spotlight, box: Mailbox, tmp_path: Path, example: str
) -> None:
    """Fail, read the page, fill in the form by keyboard, be thanked; Sentry and support get it, tied to the event."""
    given = environ(tmp_path, box, SENTRY_DSN=spotlight_server.dsn)
    with running(example, **given) as server, chrome.visit(browser, server.url) as found:
        page = found.page
        event_id = fail(page, server)
        field = "document.activeElement.name"
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate(field) == "message":
                break
        first, second = MESSAGE.split("\n")
        page.keyboard.type(first)
        page.keyboard.press("Enter")
        page.keyboard.type(second)
        for name, text in (("name", "Sam Wood"), ("email", "sam@example.com")):
            page.keyboard.press("Tab")
            assert page.evaluate(field) == name
            page.keyboard.press("Control+A")
            page.keyboard.type(text)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.get_by_role("heading", level=1).inner_text() == "Thank you"
        assert page.get_by_text(event_id).is_visible()
        event = spotlight_server.wait_for_event(event_id)
        (item,) = spotlight_server.wait_for_count("feedback", 1)
        message = wait_until(lambda: box.messages, 15)[0]
    written = item["contexts"]["feedback"]
    assert written["associated_event_id"] == event_id
    assert (written["message"], written["name"], written["contact_email"]) == (MESSAGE, "Sam Wood", "sam@example.com")
    assert written["url"] == "/shifts/create/"
    assert item["user"] == {"id": "SCW1001", "role": "Manager"}
    assert (item["tags"]["user.role"], item["tags"]["feedback.event"]) == ("Manager", "known")
    assert (item["environment"], item["release"]) == ("test", "rota@1")
    assert item["contexts"]["trace"]["trace_id"] == event["contexts"]["trace"]["trace_id"]
    subject = " ".join(message["Subject"].split())  # folding may double a space
    assert subject == f"Feedback on error {event_id[:8]}: I was adding Friday shift. It said “abc”."
    assert (message["To"], message["Reply-To"].addresses[0].addr_spec) == ("support@rota.example", "sam@example.com")
    assert f"Event ID: {event_id}" in message.get_content()
    transactions = [payload["tags"]["http.url"] for payload in spotlight_server.payloads("transaction")]
    assert PATH not in transactions
    (row,) = FeedbackStore(tmp_path / "outbox.sqlite3", create=False).newest()
    assert (row["state"], row["event_id"]) == ("delivered", event_id)


@pytest.mark.parametrize("example", ["starlette", "django"])
def test_without_javascript_and_with_a_mistake(browser: Browser, box: Mailbox, tmp_path: Path, example: str) -> None:
    """The form comes again with what was wrong and what was typed; mended, it is taken. Every page passes axe."""
    with (
        running(example, **environ(tmp_path, box)) as server,
        chrome.visit(browser, server.url, java_script_enabled=False) as found,
    ):
        page = found.page
        event_id = fail_without_script(page, server)
        page.get_by_label("What were you doing?").fill(MESSAGE)
        page.get_by_label("Your e-mail").fill("sam=?x@example.com")  # the browser's own check lets it pass
        page.locator("[type=email]").press("Enter")
        assert page.get_by_role("alert").inner_text() == "This e-mail address does not look right."
        assert page.get_by_label("What were you doing?").input_value() == MESSAGE
        assert page.locator("[name=event_id]").input_value() == event_id
        assert page.locator("[name=url]").input_value() == "/shifts/create/"
        page.get_by_label("Your e-mail").fill("sam@example.com")
        page.get_by_role("button", name="Send").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Thank you"
        (row,) = FeedbackStore(tmp_path / "outbox.sqlite3", create=False).newest()
        assert (row["message"], row["event_id"], row["url"]) == (MESSAGE, event_id, "/shifts/create/")
        assert wait_until(lambda: len(box.messages), 15) == 1


def test_every_page_of_the_endpoint_is_accessible(browser: Browser, box: Mailbox, tmp_path: Path) -> None:
    """The form alone, the form with a fault and the thank-you page: valid, silent, fitting, clean for axe-core."""
    event_id = "0123456789abcdef0123456789abcdef"
    looks = [(320, "light"), (320, "dark"), (1280, "light"), (1280, "dark")]
    with running("starlette", **environ(tmp_path, box, ROTA_SENTRY_FEEDBACK_RATE="")) as server:
        address = f"{server.url}{PATH}?event_id={event_id}"
        chrome.check_page(browser, address, looks)
        for width, scheme in looks:
            with chrome.visit(browser, address, width, scheme) as found:
                page = found.page
                page.get_by_label("What were you doing?").fill(f"Adding a shift, {width} {scheme}.")
                page.locator("form").evaluate("form => { form.noValidate = true; form.email.value = 'sam'; }")
                for title in ("Tell us what happened", "Thank you"):
                    page.get_by_role("button", name="Send").click()
                    page.wait_for_load_state("networkidle")
                    assert page.get_by_role("heading", level=1).inner_text() == title
                    chrome.check_fits(found)
                    chrome.check_axe(found)
                    if title != "Thank you":
                        page.get_by_label("Your e-mail").fill("sam@example.com")


def test_the_admin_shows_what_was_written(browser: Browser, box: Mailbox, tmp_path: Path) -> None:
    """The Django example's managers read feedback in the admin, where markup is text; staff are not let in."""
    with running("django", **environ(tmp_path, box)) as server:
        message = "<script>document.title = 'owned'</script>"
        assert httpx.post(f"{server.url}{PATH}", json={"message": message}, trust_env=False).status_code == 202
        wait_until(lambda: box.messages, 15)
        with chrome.visit(browser, f"{server.url}/login/?as=manager") as found:
            found.page.goto(f"{server.url}/admin/django_asgi/feedbackmessage/")
            assert found.page.get_by_text(message).is_visible()
            found.page.locator("#result_list th.field-written_at a").click()
            found.page.locator(".field-message").get_by_text(message).wait_for()
            assert found.page.title() != "owned"
        with chrome.visit(browser, f"{server.url}/login/?as=staff") as found:
            found.page.goto(f"{server.url}/admin/django_asgi/feedbackmessage/")
            assert found.page.get_by_text(message).count() == 0


def test_another_sites_page_cannot_post(browser: Browser, box: Mailbox, tmp_path: Path) -> None:
    """A form on another site, posted by a real browser, is refused and leaves nothing."""
    with running("starlette", **environ(tmp_path, box)) as server, chrome.visit(browser, server.url) as found:
        evil = server.url.replace("127.0.0.1", "localhost")  # another site to the browser
        found.page.goto(f"{evil}/")
        form = f"""() => {{
            document.body.innerHTML = '<form method=post><input name=message value=x></form>';
            document.forms[0].action = '{server.url}{PATH}';
            document.forms[0].submit();
        }}"""
        with found.page.expect_response(f"**{PATH}") as answered:
            found.page.evaluate(form)
        assert answered.value.status == 403
        assert not Path(tmp_path / "outbox.sqlite3").exists() or not FeedbackStore(tmp_path / "outbox.sqlite3").newest()


def _bad_request(client: httpx.Client, url: str, seed: int) -> int:
    """One hostile request of many kinds, by its seed; returns the status."""
    dice = random.Random(seed)
    kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "text/plain",
        "",
    ]
    body: bytes = dice.choice(
        [
            dice.randbytes(dice.randrange(3000)),
            b"{" * dice.randrange(5000),
            json.dumps({"message": dice.choice([7, None, [], {}, "", " "]), "event_id": "x"}).encode(),
            b"message=&email=" + dice.randbytes(50),
            b"x" * dice.randrange(16_385, 60_000),
            b"--b\r\n" + dice.randbytes(300),
        ]
    )
    method = dice.choice(["POST", "POST", "POST", "PUT", "DELETE"])
    headers = {"content-type": dice.choice(kinds), "accept": dice.choice(["*/*", "text/html"])}
    if dice.random() < 0.1:
        headers["sec-fetch-site"] = "cross-site"
    return client.request(method, url, content=body, headers=headers).status_code


def _slow_request(port: int) -> int:
    """A body that comes a byte a tenth of a second; returns the status that ends it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(0.1)
        for _ in range(100):
            connection.sendall(b"x")
            try:
                return int(connection.recv(200).split()[1])
            except TimeoutError:
                continue
    raise AssertionError("never answered")


@pytest.mark.parametrize("example", ["starlette", "django"])
@pytest.mark.parametrize("rate", ["", "10/minute"])
def test_a_load_of_bad_requests(box: Mailbox, tmp_path: Path, example: str, rate: str) -> None:
    """600 bad and 20 slow requests, 12 at a time, get 4xx only, and the application serves on meanwhile."""
    given = environ(tmp_path, box, ROTA_SENTRY_FEEDBACK_RATE=rate, ROTA_SENTRY_FEEDBACK_SECONDS="1")
    one_each = httpx.Limits(max_keepalive_connections=0)  # a connection for each request
    with (
        running(example, **given) as server,
        ThreadPoolExecutor(12) as pool,
        httpx.Client(trust_env=False, timeout=20, limits=one_each) as client,
    ):
        slow = [pool.submit(_slow_request, int(server.url.rsplit(":", 1)[1])) for _ in range(20)]
        bad = [pool.submit(_bad_request, client, f"{server.url}{PATH}", seed) for seed in range(600)]
        while not all(job.done() for job in [*slow, *bad]):
            began = time.monotonic()
            assert client.get(f"{server.url}/healthz").text == "ok"
            assert time.monotonic() - began < 5
            time.sleep(0.2)
        statuses = {job.result() for job in bad}
        assert {status // 100 for status in statuses} == {4}
        assert {job.result() for job in slow} <= {408, 429}
        assert (429 in statuses) == bool(rate)
        assert "Traceback" not in server.output()
        assert "A fault while" not in server.output()
    assert FeedbackStore(tmp_path / "outbox.sqlite3").newest() == []
    assert box.messages == []
