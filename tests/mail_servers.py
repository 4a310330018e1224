"""A local mail server for tests: it keeps what it was sent, wants a login, and can be told how to answer."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "fks", "passw0rd-of-the-mailbox"


class MailServer:
    """The server and what it saw. `answers` are given, by command, in place of its own; "hang" gives none."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answers: dict[str, deque[str]] = {"MAIL": deque(), "RCPT": deque(), "DATA": deque()}
        self.logins = 0
        self.slow_to_leave = asyncio.Event()

    @property
    def url(self) -> str:
        """The channel's URL, with the right password."""
        return self.url_of(PASSWORD)

    def url_of(self, password: str, recipients: str = "/owner@example.com", options: str = "") -> str:
        """The channel's URL."""
        return f"mailto://{USER}:{password}@127.0.0.1:{self.port}{recipients}?from=fks@example.com&cto=2{options}"

    def answer_next(self, command: str, *answers: str) -> None:
        """Answer the next commands of this kind like this."""
        self.answers[command].extend(answers)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any) -> AuthResult:
        self.logins += 1
        given = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=given, handled=given)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._answer("MAIL") or "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (answer := await self._answer("RCPT")) is not None and not answer.startswith("250"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        answer = await self._answer("DATA", hangs_after=lambda: self._keep(envelope))
        if answer is not None and not answer.startswith("250"):
            return answer
        self._keep(envelope)
        return "250 Taken"

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))

    async def _answer(self, command: str, hangs_after: Any = None) -> str | None:
        if not self.answers[command]:
            return None
        answer = self.answers[command].popleft()
        if answer == "hang":
            if hangs_after:
                hangs_after()
            await self.slow_to_leave.wait()
            return "421 Too late"
        return answer


@contextmanager
def run_mail_server() -> Iterator[MailServer]:
    """Run the server on a free port of this machine; without a login it takes nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mail = MailServer(free.getsockname()[1])
    controller = Controller(
        mail,
        hostname="127.0.0.1",
        port=mail.port,
        authenticator=mail.authenticate,
        auth_required=True,
        auth_require_tls=False,
        decode_data=False,
    )
    controller.start()
    try:
        yield mail
    finally:
        controller.loop.call_soon_threadsafe(mail.slow_to_leave.set)
        controller.stop()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A running mail server."""
    with run_mail_server() as server:
        yield server
