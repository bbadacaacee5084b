"""Feedback by e-mail, to a real SMTP server on this machine."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgi_rota_sentry import RotaSentryMiddleware, Settings, SettingsError
from asgi_rota_sentry.feedback import Feedback
from asgi_rota_sentry.mail import FeedbackMail, _server, compose
from tests.conftest import Get
from tests.smtp import Mailbox, mailbox, self_signed

pytestmark = pytest.mark.anyio

PATH = "/api/error-feedback/"
EVENT = "0123456789abcdef0123456789abcdef"


async def never(scope: Any, receive: Any, send: Any) -> None:
    """An application that nothing may reach."""
    raise AssertionError("the application was called")


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as running:
        yield running


def rota(box: Mailbox, url: str = "", **fields: Any) -> RotaSentryMiddleware:
    given = {"outbox_path": "", "support_email": "support@rota.example", "smtp_url": url or box.url, **fields}
    settings = Settings(**given)
    return RotaSentryMiddleware(never, settings, on_feedback=FeedbackMail.from_settings(settings))


async def test_support_gets_what_was_written_and_can_answer(box: Mailbox, fetch: Get) -> None:
    """On both event loops: plain text with all that is known, and answers go to the visitor."""
    given = {
        "message": "Ich füge\neine Schicht hinzu",
        "event_id": EVENT,
        "name": "Sämi, W.",
        "email": "sam@example.com",
    }
    await fetch(rota(box, mail_from="rota@rota.example"), PATH, "POST", json=given)
    (message,) = box.messages
    assert box.envelopes == [("rota@rota.example", ["support@rota.example"])]
    assert message["Subject"] == "Feedback on error 01234567: Ich füge eine Schicht hinzu"
    assert message["Reply-To"].addresses[0].addr_spec == "sam@example.com"
    assert message["Reply-To"].addresses[0].display_name == "Sämi, W."
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    text = message.get_content().replace("\r\n", "\n")
    assert text.startswith("Ich füge\neine Schicht hinzu\n")
    assert f"Event ID: {EVENT} (not seen" in text


@pytest.mark.parametrize(
    "given",
    [
        {"message": "x\r\nBcc: all@example.com\r\n\r\nhello"},
        {"message": "x", "name": "Sam\r\nBcc: all@example.com"},
        {"message": "x", "name": 'Sam" <all@example.com>, "x'},
        {"message": "x", "name": "\x00\x1b[2J"},
        {"message": "x", "email": "a@example.com", "name": "=?utf-8?q?=0D=0ABcc:_all@example.com?="},
        {"message": "=?utf-8?q?=0D=0ABcc:_all@example.com?="},
        {"message": "x", "email": "postmästare@example.com"},
        {"message": "x", "email": "a..b@example.com"},
        {"message": "x", "email": "o'brien+tag@example.co.uk"},
        {"message": "x", "email": "a@bücher.example"},
        {"message": ".\r\n.\r\nQUIT\r\n"},
        {"message": "<script>alert(1)</script>"},
    ],
)
async def test_nobody_else_is_mailed_whatever_is_written(box: Mailbox, fetch: Get, given: dict[str, str]) -> None:
    """No field makes a header, a recipient or a command of its own; what was written is text."""
    answer = await fetch(rota(box), PATH, "POST", json={"email": "sam@example.com", **given})
    assert answer.status_code == 202
    (message,) = box.messages
    assert box.envelopes == [("support@rota.example", ["support@rota.example"])]
    allowed = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Reply-To"}
    content = {"Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
    assert set(message.keys()) <= allowed | content
    assert message["Bcc"] is None
    assert len(message["To"].addresses) == 1
    assert message.get_content_type() == "text/plain"
    assert not any(ord(character) < 32 for name in message for character in str(message[name]))


@pytest.mark.parametrize(
    "email", ["a@example.com, b@example.com", "a@example.com\nBcc: b@x", "<a@example.com>", "a b@x"]
)
async def test_an_address_that_is_none_or_several_is_refused(box: Mailbox, fetch: Get, email: str) -> None:
    """Only one plain address ever comes near a header."""
    answer = await fetch(rota(box), PATH, "POST", json={"message": "m", "email": email})
    assert answer.status_code == 422
    assert box.messages == []


async def test_a_password_in_the_url_signs_in(box: Mailbox, fetch: Get) -> None:
    """User and password are percent-decoded, as URLs want it."""
    await fetch(rota(box, f"smtp://rota:p%40ss@127.0.0.1:{box.port}"), PATH, "POST", json={"message": "m"})
    assert box.logins == [("rota", "p@ss")]
    assert len(box.messages) == 1


async def test_a_server_that_refuses_or_is_away_costs_the_visitor_nothing(
    box: Mailbox, fetch: Get, sentry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The feedback is kept and answered, the fault is logged and a handled event."""
    server = sentry()
    box.refuse = "554 no"
    began = time.monotonic()
    for url in (box.url, "smtp://127.0.0.1:1"):
        answer = await fetch(rota(box, url), PATH, "POST", json={"message": "m"})
        assert answer.status_code == 202
    assert time.monotonic() - began < 10
    assert len(server.items("feedback")) == 2
    assert sum("feedback hook failed" in record.getMessage() for record in caplog.records) == 2
    assert [event["exception"]["values"][-1]["mechanism"]["handled"] for event in server.events] == [True, True]


async def test_a_server_whose_certificate_nobody_has_signed_gets_mail(fetch: Get, tmp_path: Path) -> None:
    """As a Postfix of one's own has it: encrypted all the same, where no TLS was asked for."""
    with mailbox(self_signed(tmp_path)) as box:
        await fetch(rota(box), PATH, "POST", json={"message": "m"})
        assert box.encrypted == [True]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_no_connection_stays_open_behind_an_encrypted_mail(fetch: Get, tmp_path: Path) -> None:
    """A server may close its side of TLS late: the event loop beside trio's that mailed has ended by then."""

    async def close_late(server: Any, *_: Any) -> str:
        await server.push("221 Bye")
        time.sleep(0.3)  # noqa: ASYNC251 - the whole server is late
        return "221 Bye"

    with mailbox(self_signed(tmp_path)) as box:
        box.handle_QUIT = close_late  # type: ignore[attr-defined]
        await fetch(rota(box), PATH, "POST", json={"message": "m"})
        assert box.encrypted == [True]
    gc.collect()  # pytest takes the warning of a connection that nobody closed for a failure


async def test_a_certificate_that_nobody_has_signed_gets_no_password(tmp_path: Path) -> None:
    """Where TLS is insisted upon, it must be with the server itself."""
    with mailbox(self_signed(tmp_path)) as box:
        mail = FeedbackMail(f"smtp://u:p@127.0.0.2:{box.port}", "s@rota.example")
        mail._server["hostname"] = "127.0.0.1"  # as if it were beyond a network
        with pytest.raises(OSError, match="self-signed"):
            await mail(Feedback(id="1" * 32, message="m"))
        assert box.logins == []


def test_a_password_goes_over_a_network_only_with_tls() -> None:
    """STARTTLS is insisted upon where there is a password, but on this machine itself."""
    assert _server("smtp://u:p@mail.example:587")["start_tls"] is True
    assert _server("smtps://u:p@mail.example") == {
        "hostname": "mail.example",
        "use_tls": True,
        "username": "u",
        "password": "p",
        "validate_certs": True,
    }
    assert "start_tls" not in _server("smtp://u:p@127.0.0.1:25")


def test_without_server_or_recipient_there_is_no_mail() -> None:
    """Both come from the settings; a URL of another kind is refused at start."""
    assert FeedbackMail.from_settings(Settings(smtp_url="smtp://localhost")) is None
    assert FeedbackMail.from_settings(Settings(support_email="s@x")) is None
    assert FeedbackMail.from_settings(Settings(smtp_url="smtp://localhost", support_email="s@x")) is not None
    with pytest.raises(SettingsError, match="smtp_url is 'http://localhost'; expected a URL such as smtps://"):
        Settings(smtp_url="http://localhost")


@pytest.mark.parametrize("fields", [{}, {"smtp_url": ""}])
async def test_mail_among_other_hooks_may_be_left_out_by_the_settings(
    box: Mailbox, fetch: Get, fields: dict[str, Any]
) -> None:
    """One line of code starts where there is a mail server, and where there is none (on the developer's machine)."""
    given = {"outbox_path": "", "support_email": "support@rota.example", "smtp_url": box.url, **fields}
    settings, kept = Settings(**given), list[Feedback]()
    app = RotaSentryMiddleware(never, settings, on_feedback=[FeedbackMail.from_settings(settings), kept.append])
    assert (await fetch(app, PATH, "POST", json={"message": "hours"})).status_code < 300
    assert [one.message for one in kept] == ["hours"]
    assert len(box.messages) == (0 if fields else 1)


def test_a_long_message_keeps_its_lines() -> None:
    """4,000 characters without a line break pass through SMTP's line length (RFC 5321, section 4.5.3.1.6)."""
    message = compose(Feedback(id="1" * 32, message="x" * 4000), "a@x.example", "b@x.example")
    assert max(map(len, message.as_bytes().split(b"\r\n"))) <= 998
    assert message.get_content().startswith("x" * 4000)
