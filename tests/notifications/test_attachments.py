"""Files go with their message: behind its text where a channel posts, with it where a channel mails."""

from __future__ import annotations

from datetime import timedelta

from lib.notifications.channels import Answer, FilePlace, SendOutcome, Subscriber
from lib.notifications.messages import LARGEST_ATTACHMENT_BYTES, Attachment, Severity
from lib.notifications.parts import REPEAT_NOTE, Part
from tests.notifications.samples import NOON, PostOffice, titles
from tests.webhooks import WebhookServer

CHART = Attachment("equity.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
TABLE = Attachment("positions.html", "text/html", "<p>Ünïcode 🛑</p>".encode())


class Mailbox:
    """Takes text and files at once, as mail does; the files only where it is told to."""

    name = "mail"
    max_characters = 5000
    file_place = FilePlace.WITH_TEXT

    def __init__(self, *, takes_files: bool = True) -> None:
        self.takes_files = takes_files
        self.down = False
        self.tried = 0
        self.taken: list[Part] = []

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        self.tried += 1
        if self.down or (part.attachments and not self.takes_files):
            return SendOutcome(Answer.UNAVAILABLE, "552 too large")
        self.taken.append(part)
        return SendOutcome(Answer.DELIVERED)


def test_the_files_arrive_byte_for_byte_behind_the_text(post_office: PostOffice, webhooks: WebhookServer) -> None:
    post_office.record("📊 Report", attachments=(CHART, TABLE))

    (report,) = post_office.deliver(post_office.subscribe("discord", webhooks))

    text, files = webhooks.messages
    assert (text.content, text.files) == ("📊 Report\r\nPrice 95.00, stop 100.00.", ())
    assert files.content == "📊 Report\r\n📎 equity.png, positions.html"
    assert files.files == ((CHART.name, CHART.content), (TABLE.name, TABLE.content))
    assert files.payload["allowed_mentions"] == {"parse": [], "users": [], "roles": []}
    assert files.query == {"wait": ["true"]}
    assert (report.delivered, report.given_up) == (1, [])


def test_ten_files_and_eight_megabytes_go_in_a_post(post_office: PostOffice, webhooks: WebhookServer) -> None:
    small = [Attachment(f"{number:02}.txt", "text/plain", b"x") for number in range(12)]
    large = [Attachment(f"{name}.bin", "application/zip", bytes(LARGEST_ATTACHMENT_BYTES)) for name in "ab"]
    post_office.record("📊 Report", attachments=(*small, *large))

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert [len(message.files) for message in webhooks.messages] == [0, 10, 2, 1, 1]
    assert [name for message in webhooks.messages for name, _ in message.files] == [each.name for each in small + large]


def test_a_failure_between_text_and_files_repeats_no_text(post_office: PostOffice, webhooks: WebhookServer) -> None:
    post_office.record("📊 Report", attachments=(CHART,))
    post_office.record("next")
    webhooks.answer_next(200, takes=True)
    webhooks.answer_next(503)

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert [(message.content.split("\r\n")[0], len(message.files)) for message in webhooks.messages] == [
        ("📊 Report", 0),
        ("next", 0),
        ("📊 Report", 1),
    ]


def test_a_sender_killed_between_text_and_files_repeats_only_the_files_and_says_so(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("📊 Report", attachments=(CHART,))
    webhooks.answer_next(200, takes=True, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "60"})
    post_office.deliver(discord)
    now = post_office.clock.now() + timedelta(seconds=60)
    assert post_office.store.claim("discord", "the dead one", now, now + timedelta(minutes=2)) is not None
    post_office.clock.pass_by(minutes=3)

    post_office.deliver(discord)

    text, files = webhooks.messages
    assert REPEAT_NOTE not in text.content
    assert REPEAT_NOTE in files.content
    assert files.files == ((CHART.name, CHART.content),)


def test_files_that_discord_rejects_lose_no_text_and_are_reported(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    post_office.record("📊 Report", attachments=(CHART,))
    post_office.record("next")
    webhooks.answer_next(200, takes=True)
    webhooks.answer_next(413)

    (report,) = post_office.deliver(post_office.subscribe("discord", webhooks))

    assert titles(webhooks) == ["📊 Report", "next"]
    assert report.delivered == 2
    assert report.given_up == [("📊 Report", "its files are not: Discord answered 413: it does not take this message")]
    assert post_office.store.load_undelivered(NOON, 10) == []


def test_an_urgent_message_whose_text_is_through_goes_to_no_other_channel_for_its_files(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, min_severity=Severity.URGENT)
    phone = Subscriber(phone.channel, frozenset({"risk"}), order=2)  # type: ignore[arg-type]  # a StrEnum's value
    post_office.record("urgent", severity=Severity.URGENT, attachments=(CHART,))
    webhooks.answer_next(200, takes=True)
    webhooks.answer_next(503, times=50)

    for _ in range(12):
        reports = post_office.deliver(discord, phone)
        assert post_office.store.load_undelivered(NOON, 10) == []
        post_office.clock.pass_by(minutes=5)

    assert titles(webhooks) == ["urgent"]
    assert titles(other_webhooks) == []
    assert webhooks.requests == 1 + 12
    assert reports[0].backlog is None


def test_a_mail_carries_its_files(post_office: PostOffice) -> None:
    mail = Mailbox()
    post_office.record("📊 Report", attachments=(CHART, TABLE))

    post_office.deliver(Subscriber(mail))

    assert mail.taken == [Part("📊 Report", "Price 95.00, stop 100.00.", (CHART, TABLE))]


def test_a_mail_whose_files_are_not_taken_goes_without_them_and_the_files_are_reported(post_office: PostOffice) -> None:
    mail = Mailbox(takes_files=False)
    post_office.record("📊 Report", attachments=(CHART,))
    given_up = []

    for _ in range(30):
        (report,) = post_office.deliver(Subscriber(mail))
        given_up += report.given_up
        post_office.clock.pass_by(minutes=5)

    assert mail.taken == [Part("📊 Report", "Price 95.00, stop 100.00.")]
    assert given_up == [("📊 Report", "its files are not: 552 too large")]
    assert mail.tried == 3 + 1 + 12


def test_a_mail_server_that_was_down_gets_text_and_files(post_office: PostOffice) -> None:
    mail = Mailbox()
    mail.down = True
    post_office.record("📊 Report", attachments=(CHART,))
    for _ in range(12):
        post_office.deliver(Subscriber(mail))
        post_office.clock.pass_by(minutes=5)
    mail.down = False

    post_office.deliver(Subscriber(mail))

    assert [part.attachments for part in mail.taken] == [(), (CHART,)]
    assert mail.taken[1].body == "📎 equity.png"


def test_a_channel_without_files_gets_the_text(post_office: PostOffice) -> None:
    phone = Mailbox()
    phone.file_place = FilePlace.NOWHERE
    post_office.record("📊 Report", attachments=(CHART,))

    (report,) = post_office.deliver(Subscriber(phone))

    assert [(part.title, part.attachments) for part in phone.taken] == [("📊 Report", ())]
    assert report.given_up == []
