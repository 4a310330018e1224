"""Mail: Apprise reads the URL and builds the mail; we hand it to the server, as Apprise hides what that answers.

Apprise answers False for a wrong password as for a server that is down, and with several recipients it sends a mail to
each: when the second is refused, a repeat would reach the first again. Here all recipients are in one transaction, so
that one answer tells what became of the mail.
"""

from __future__ import annotations

import html
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

from apprise import AppriseAttachment, NotifyFormat
from apprise.attachment.memory import AttachMemory
from apprise.plugins.email import NotifyEmail
from apprise.plugins.email.common import AppriseEmailException, EmailMessage, SecureMailMode

from lib.adapters.discretion import discreet
from lib.adapters.mail_answers import describe_partial, judge_mail_error, judge_silence
from lib.notifications.channels import Answer, FilePlace, SendOutcome
from lib.notifications.messages import Attachment, Severity
from lib.notifications.parts import Part

LONGEST_SECONDS = 50.0  # a channel has a minute
TEXT_PATIENCE = 3  # a server may look at the whole mail before it answers; times the patience of a step
INLINE = re.compile(r"[\w.-]+", re.ASCII)  # names that a Content-ID holds as they are
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")
P = ParamSpec("P")
T = TypeVar("T")


class MailChannel:
    """A channel of mail to one or several people."""

    file_place = FilePlace.WITH_TEXT

    def __init__(self, name: str, plugin: NotifyEmail) -> None:
        self.name = name
        self.max_characters: int = plugin.body_maxlen
        self._plugin = plugin

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        """Send one mail to all recipients."""
        del severity  # the subject's emoji says it
        with discreet():
            try:
                mail = self._build(part)
            except AppriseEmailException:
                reason = "the mail cannot be signed or encrypted; see pgp= of the channel's URL"
                return SendOutcome(Answer.REFUSED, reason)
            return self._submit(mail)

    def _build(self, part: Part) -> EmailMessage:
        plugin = self._plugin
        first, *others = plugin.targets
        as_html = plugin.notify_format == NotifyFormat.HTML
        mails: Iterator[EmailMessage] = NotifyEmail.prepare_emails(
            subject=part.title,
            body=render_html(part) if as_html else part.body,
            notify_format=plugin.notify_format,
            from_addr=(plugin.from_addr[0] or plugin.app_id, plugin.from_addr[1]),
            to=[first],
            cc=plugin.cc | {address for _, address in others},
            bcc=plugin.bcc,
            reply_to=plugin.reply_to,
            smtp_host=plugin.smtp_host,
            attach=to_apprise(part.attachments),
            headers={"X-Application": plugin.app_id, **plugin.headers},
            names=plugin.names,
            pgp=plugin.pgp,
            pgp_mode=plugin.pgp_mode,
            inline=as_html and all(INLINE.fullmatch(file.name) for file in find_pictures(part)),
            tzinfo=plugin.tzinfo,
        )
        return next(mails)

    def _submit(self, mail: EmailMessage) -> SendOutcome:
        session = None
        try:
            session = _Session(self._plugin)
            return session.transfer(str(self._plugin.from_addr[1]), mail.to_addrs, mail.body)
        except smtplib.SMTPServerDisconnected:
            return judge_silence(doubtful=session is not None and session.in_doubt)
        except smtplib.SMTPException as error:
            return judge_mail_error(error)
        except OSError:
            return judge_silence(doubtful=session is not None and session.in_doubt)
        finally:
            if session is not None:
                session.close()


class _Session:
    """One conversation with a mail server; each step has its time, and all together have most of a minute."""

    def __init__(self, plugin: NotifyEmail) -> None:
        self.in_doubt = False
        self._deadline = time.monotonic() + LONGEST_SECONDS
        self._patience: float = plugin.socket_connect_timeout
        context = ssl.create_default_context()
        if not plugin.verify_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if plugin.secure_mode == SecureMailMode.SSL:
            self._server: smtplib.SMTP = smtplib.SMTP_SSL(
                plugin.smtp_host, plugin.port or 0, timeout=self._patience, context=context
            )
        else:
            self._server = smtplib.SMTP(plugin.smtp_host, plugin.port or 0, timeout=self._patience)
        try:
            if plugin.secure_mode == SecureMailMode.STARTTLS:
                self._step(self._server.starttls, context=context)
            if plugin.user and plugin.password:
                self._step(self._server.login, plugin.user, plugin.password)
        except BaseException:
            self.close()
            raise

    def transfer(self, sender: str, recipients: Sequence[str], body: str) -> SendOutcome:
        """Hand the mail over; raises as `smtplib.SMTP.sendmail` does."""
        self._step(self._server.ehlo_or_helo_if_needed)
        options = [f"size={len(body)}"] if self._server.has_extn("size") else []
        code, reply = self._step(self._server.mail, sender, options)
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, reply, sender)
        answers = {recipient: self._step(self._server.rcpt, recipient) for recipient in recipients}
        refused = {recipient: answer for recipient, answer in answers.items() if answer[0] not in (250, 251)}
        if len(refused) == len(recipients):
            raise smtplib.SMTPRecipientsRefused(refused)
        self._patience *= TEXT_PATIENCE
        self.in_doubt = True
        code, reply = self._step(self._server.data, body)
        if code != 250:
            raise smtplib.SMTPDataError(code, reply)
        return SendOutcome(Answer.DELIVERED, describe_partial(refused, len(recipients)))

    def close(self) -> None:
        """End the connection without waiting for a farewell."""
        self._server.close()

    def _step(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the minute of a channel is over")
        if self._server.sock is not None:
            self._server.sock.settimeout(min(self._patience, left))
        return call(*args, **kwargs)


def render_html(part: Part) -> str:
    """Return the text as HTML that any mail program shows: lines, links, and the pictures below."""
    lines = [
        LINK.sub(lambda link: f'<a href="{link[0]}">{link[0]}</a>', html.escape(line, quote=False))
        for line in part.body.splitlines()
    ]
    text = "<br>".join(re.sub(r"^What to do:", "<b>What to do:</b>", line) for line in lines)
    pictures = "".join(
        f'\n<p><img src="cid:{file.name}" alt="{file.name}" style="max-width:100%"></p>'
        for file in find_pictures(part)
        if INLINE.fullmatch(file.name)
    )
    return (
        '<html><body style="font-family:sans-serif;font-size:16px;line-height:1.4">\n'
        f"<p>{text}</p>{pictures}\n</body></html>"
    )


def find_pictures(part: Part) -> list[Attachment]:
    """Return the files that a mail shows in its text."""
    return [file for file in part.attachments if file.media_type.startswith("image/")]


def to_apprise(files: Sequence[Attachment]) -> AppriseAttachment | None:
    """Return the files as Apprise takes them; None when there are none."""
    if not files:
        return None
    return AppriseAttachment(
        [
            AttachMemory(file.content, name=file.name, mimetype=file.media_type)  # type: ignore[no-untyped-call]  # Apprise
            for file in files
        ]
    )
