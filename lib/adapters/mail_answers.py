"""What a mail server's answers mean (RFC 5321, section 4.2.1: 4xx for now, 5xx for good)."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping

from lib.notifications.channels import Answer, SendOutcome

TOO_LARGE = 552


def judge_mail_error(error: smtplib.SMTPException) -> SendOutcome:
    """Return what a refusal means for the mail and for the channel; the server's own words may name people."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = {code for code, _ in error.recipients.values()}
        return _judge(max(codes) if min(codes) >= 500 else min(codes), Answer.REFUSED, "refuses every recipient")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        reason = (
            "the mail server offers no login or no encryption of this kind; see user, password and mode= of the URL"
        )
        return SendOutcome(Answer.REFUSED, reason)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _judge(error.smtp_code, Answer.REFUSED, "refuses user or password")
    if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != TOO_LARGE:
        return _judge(error.smtp_code, Answer.REFUSED, "refuses the sender")
    if isinstance(error, smtplib.SMTPDataError | smtplib.SMTPSenderRefused):
        return _judge(error.smtp_code, Answer.REJECTED, "does not take this mail")
    code = f" ({error.smtp_code})" if isinstance(error, smtplib.SMTPResponseException) else ""
    return SendOutcome(Answer.UNAVAILABLE, f"the mail server does not talk to us{code}; check host, port and mode=")


def judge_silence(*, doubtful: bool) -> SendOutcome:
    """Tell a server that was not reached, or went away, from one that may have taken the mail."""
    if doubtful:
        return SendOutcome(Answer.UNAVAILABLE, "the mail server's answer was lost on the way", doubtful=True)
    return SendOutcome(Answer.UNAVAILABLE, "no connection to the mail server, or it was lost; check host and port")


def describe_partial(refused: Mapping[str, tuple[int, bytes]], recipients: int) -> str:
    """Say how many did not get the mail that others got; empty when all did."""
    if not refused:
        return ""
    codes = ", ".join(sorted({str(code) for code, _ in refused.values()}))
    return f"not to {len(refused)} of {recipients} recipients: the mail server refuses them ({codes})"


def _judge(code: int, for_good: Answer, what: str) -> SendOutcome:
    if code < 500:
        return SendOutcome(Answer.UNAVAILABLE, f"the mail server {what} for now ({code})")
    remedy = "; set the channel's URL anew" if for_good is Answer.REFUSED else ""
    return SendOutcome(for_good, f"the mail server {what} ({code}){remedy}")
