"""Mail to a local SMTP server that wants a login: what arrives, and what each answer of the server means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from lib.adapters.channels import make_channel
from lib.errors import SettingsError
from lib.notifications.channels import Answer, SendOutcome, Subscriber
from lib.notifications.messages import Attachment, Severity
from lib.notifications.outbox import DeliveryState
from lib.notifications.parts import Part
from tests.mail_servers import PASSWORD, MailServer, run_mail_server
from tests.notifications.samples import PostOffice, open_post_office

# aiosmtpd does not like what the tests ask of it: a login without encryption.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

PNG = Attachment("equity.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
HTML = Attachment("Überblick.html", "text/html", "<p>Ünïcode 🛑</p>".encode())
TEXT = "Price 95 < 100 & falling, @everyone\n.\n  indented\n\nWhat to do: sell.\nhttp://127.0.0.1:4200/runs/flow-run/1?a=1&b=2"
TITLE = "🛑 Stop loss triggered: SOL/USDT <demo> & more"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture
def post_office(database_url: str) -> Iterator[PostOffice]:
    with open_post_office(database_url) as office:
        yield office


def post(url: str, *files: Attachment, title: str = TITLE, body: str = TEXT) -> SendOutcome:
    return make_channel("mail", url).send(Part(title, body, files), Severity.URGENT)


def texts_of(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_a_mail_says_the_same_as_html_and_as_plain_text(mail_server: MailServer) -> None:
    assert post(mail_server.url) == SendOutcome(Answer.DELIVERED)

    (mail,) = mail_server.mails
    plain, html = texts_of(mail)
    assert (mail["Subject"], mail["To"]) == (TITLE, "owner@example.com")
    assert mail["From"] == "FKS <fks@example.com>"
    assert plain.split() == TEXT.split()
    assert [line for line in plain.splitlines() if line.strip()] == [
        re.sub("^ +", " ", line) for line in TEXT.splitlines() if line
    ]
    assert "Price 95 &lt; 100 &amp; falling, @everyone<br>" in html
    assert "<b>What to do:</b> sell.<br>" in html
    link = "http://127.0.0.1:4200/runs/flow-run/1?a=1&amp;b=2"
    assert f'<a href="{link}">{link}</a>' in html
    assert "&nbsp;" not in html  # or no line would wrap on a phone


def test_charts_are_shown_in_the_text_and_every_file_can_be_saved(mail_server: MailServer) -> None:
    assert post(mail_server.url, PNG, HTML).answer is Answer.DELIVERED

    (mail,) = mail_server.mails
    _, html = texts_of(mail)
    files = {part.get_filename(): part for part in mail.walk() if part.get_filename()}
    assert {name: part.get_content_type() for name, part in files.items()} == {
        PNG.name: "image/png",
        HTML.name: "text/html",
    }
    assert [part.get_payload(decode=True) for part in files.values()] == [PNG.content, HTML.content]
    assert html.count("<img ") == 1
    assert 'src="cid:equity.png"' in html
    assert files[PNG.name]["Content-ID"] == "<equity.png>"
    assert files[PNG.name].get_content_disposition() == "inline"
    assert files[HTML.name].get_content_disposition() == "attachment"


def test_a_picture_whose_name_no_content_id_holds_is_attached(mail_server: MailServer) -> None:
    odd = Attachment("the 'new' (old) Übersicht.png", "image/png", PNG.content)

    assert post(mail_server.url, odd).answer is Answer.DELIVERED

    (mail,) = mail_server.mails
    assert "<img" not in texts_of(mail)[1]
    (file,) = [part for part in mail.walk() if part.get_filename()]
    assert (file.get_filename(), file.get_content_disposition()) == (odd.name, "attachment")


def test_all_recipients_get_one_mail(mail_server: MailServer) -> None:
    url = mail_server.url_of(PASSWORD, "/a@example.com/b@example.com", "&cc=c@example.com&bcc=d@example.com")

    assert post(url) == SendOutcome(Answer.DELIVERED)

    assert [sorted(one) for one in mail_server.recipients] == [[f"{name}@example.com" for name in "abcd"]]
    assert "d@example.com" not in mail_server.mails[0].as_string()


@pytest.mark.parametrize(
    ("command", "answer", "expected", "words"),
    [
        ("MAIL", "450 busy", Answer.UNAVAILABLE, "refuses the sender for now (450)"),
        ("MAIL", "550 not yours", Answer.REFUSED, "refuses the sender (550); set the channel's URL anew"),
        ("MAIL", "552 too large", Answer.REJECTED, "does not take this mail (552)"),
        ("RCPT", "451 greylisted", Answer.UNAVAILABLE, "refuses every recipient for now (451)"),
        ("RCPT", "550 no such user owner@example.com", Answer.REFUSED, "refuses every recipient (550)"),
        ("DATA", "451 try later", Answer.UNAVAILABLE, "does not take this mail for now (451)"),
        ("DATA", "554 spam", Answer.REJECTED, "does not take this mail (554)"),
    ],
)
def test_each_answer_of_a_mail_server_has_its_reaction(
    mail_server: MailServer, command: str, answer: str, expected: Answer, words: str
) -> None:
    mail_server.answer_next(command, answer)

    outcome = post(mail_server.url)

    assert (outcome.answer, outcome.doubtful, mail_server.mails) == (expected, False, [])
    assert words in outcome.reason
    assert "owner@" not in outcome.reason


def test_a_wrong_password_is_a_refusal_that_a_person_must_mend_and_is_not_shown(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(1):
        outcome = post(mail_server.url_of("another-passw0rd"))

    assert outcome.answer is Answer.REFUSED
    assert "refuses user or password (535)" in outcome.reason
    assert "passw0rd" not in outcome.reason + caplog.text


def test_a_server_that_offers_no_encryption_gets_no_password(mail_server: MailServer) -> None:
    outcome = post(mail_server.url.replace("mailto://", "mailtos://"))
    assert (outcome.answer, mail_server.logins) == (Answer.REFUSED, 0)
    assert "no encryption" in outcome.reason


def test_what_one_recipient_does_not_get_is_delivered_and_said(
    mail_server: MailServer, post_office: PostOffice
) -> None:
    url = mail_server.url_of(PASSWORD, "/a@example.com/b@example.com")
    mail = Subscriber(make_channel("mail", url))
    mail_server.answer_next("RCPT", "250 OK", "550 unknown")
    post_office.record("first")

    (report,) = post_office.deliver(mail)
    post_office.clock.pass_by(minutes=5)
    post_office.deliver(mail)

    assert len(mail_server.mails) == 1
    assert report.given_up == [("first", "not to 1 of 2 recipients: the mail server refuses them (550)")]
    assert [row.state for row in post_office.rows()] == [DeliveryState.DELIVERED]


def test_a_server_that_is_slow_to_answer_before_the_text_has_certainly_not_taken_it(mail_server: MailServer) -> None:
    mail_server.answer_next("MAIL", "hang")
    outcome = post(mail_server.url.replace("cto=2", "cto=0.2"))
    assert (outcome.answer, outcome.doubtful) == (Answer.UNAVAILABLE, False)


def test_a_server_that_takes_the_text_and_does_not_say_so_may_have_it(mail_server: MailServer) -> None:
    mail_server.answer_next("DATA", "hang")
    outcome = post(mail_server.url.replace("cto=2", "cto=0.2"))
    assert (outcome.answer, outcome.doubtful) == (Answer.UNAVAILABLE, True)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    outcome = post("mailto://fks:secret@127.0.0.1:1/owner@example.com?from=fks@example.com")
    assert (outcome.answer, outcome.doubtful) == (Answer.UNAVAILABLE, False)
    assert "no connection to the mail server" in outcome.reason


def test_twenty_thousand_characters_and_a_report_arrive_in_one_mail(
    mail_server: MailServer, post_office: PostOffice
) -> None:
    body = "\n".join(f"line {number:04} of **a** long `report` with dots\n." for number in range(500))
    post_office.record("📊 Report", body=body, attachments=(PNG, HTML))

    post_office.deliver(Subscriber(make_channel("mail", mail_server.url)))

    (mail,) = mail_server.mails
    assert texts_of(mail)[0].split() == body.split()
    assert len([part for part in mail.walk() if part.get_filename()]) == 2


def test_a_mail_url_without_an_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="FKS_CHANNELS__MAIL__URL"):
        make_channel("mail", "mailto://fks:secret@example.com/no-address-at-all?from=fks@example.com")
