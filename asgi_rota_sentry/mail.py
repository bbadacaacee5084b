"""Feedback by e-mail over SMTP, for applications without a mailer of their own. Needs the extra `mail`.

RotaSentryMiddleware(app, on_feedback=FeedbackMail.from_settings(settings))
"""

import asyncio
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio

from asgi_rota_sentry.feedback.entry import Feedback
from asgi_rota_sentry.settings import Settings

_SECONDS = 30.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class FeedbackMail:
    """A hook for `on_feedback` that mails each feedback `to` somebody; answers go to whoever wrote it.

    `smtp_url` is `smtp://` or `smtps://` (TLS from the start) with host and, where needed, user, password and port.
    STARTTLS is used where the server offers it, and insisted upon before a password is sent over a network. Where TLS
    is insisted upon, the server's certificate must be trusted. `sender` is `to` when left out. Raises `ImportError`
    when the extra `mail` is not installed.
    """

    def __init__(self, smtp_url: str, to: str, sender: str | None = None) -> None:
        try:
            import aiosmtplib  # noqa: PLC0415 - an extra
        except ImportError as fault:
            raise ImportError("Mailing feedback needs aiosmtplib: install asgi_rota_sentry[mail].") from fault
        self._smtp = aiosmtplib
        self._server = _server(smtp_url)
        self._to = to
        self._sender = sender or to

    @classmethod
    def from_settings(cls, settings: Settings) -> "FeedbackMail | None":
        """Mail to `support_email` through `smtp_url`, from `mail_from`; None where one of the first two is not set.

        `on_feedback` takes None, too, alone and among other hooks.
        """
        if settings.smtp_url is None or settings.support_email is None:
            return None
        return cls(settings.smtp_url, settings.support_email, settings.mail_from)

    async def __call__(self, feedback: Feedback) -> None:
        """Send the e-mail. Raises what the library raises: `OSError` and `aiosmtplib.SMTPException`."""
        message = compose(feedback, self._to, self._sender)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # another event loop than the library's, such as trio's
            await anyio.to_thread.run_sync(asyncio.run, self._send_alone(message))
        else:
            await self._smtp.send(message, timeout=_SECONDS, **self._server)

    async def _send_alone(self, message: EmailMessage) -> None:
        """Send it in a loop that ends then: it does not wait until the other side has closed TLS, too."""
        transport: Any = None
        try:
            async with self._smtp.SMTP(timeout=_SECONDS, **self._server) as client:
                transport = client.transport
                await client.send_message(message)
        finally:
            if transport is not None:
                transport.abort()
                await asyncio.sleep(0)


def _server(smtp_url: str) -> dict[str, Any]:
    """The options of `aiosmtplib.send` that a URL stands for."""
    parts = urlsplit(smtp_url)
    given: dict[str, Any] = {"hostname": parts.hostname, "use_tls": parts.scheme == "smtps"}
    if parts.port:
        given["port"] = parts.port
    if parts.username:
        given |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
        if parts.scheme == "smtp" and parts.hostname not in _LOOPBACK:
            given["start_tls"] = True
    # Whoever could forge a certificate could as well hide that TLS is offered (RFC 7435), and a mail server of one's
    # own often has one that nobody has signed, as Debian's Postfix.
    given["validate_certs"] = given["use_tls"] or "start_tls" in given
    return given


def compose(feedback: Feedback, to: str, sender: str) -> EmailMessage:
    """The e-mail: plain text, with the visitor's address as `Reply-To` where it is a plain one (RFC 5322)."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = feedback.subject
    message["Date"] = formatdate(feedback.written_at)
    message["Message-ID"] = make_msgid(feedback.id, domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that nobody's holiday notice answers
    if feedback.email and feedback.email.isascii():
        with suppress(ValueError, IndexError):  # the standard library's parser is stricter than ours
            message["Reply-To"] = Address(feedback.name, addr_spec=feedback.email)
    message.set_content(feedback.text)
    return message
