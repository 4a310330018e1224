"""Information that waited comes as one message; nothing of it is lost, and what is serious waits for nothing."""

from __future__ import annotations

from datetime import time, timedelta

from lib.notifications.channels import SendOutcome, Subscriber
from lib.notifications.delivery import Pace
from lib.notifications.holding import Holding, QuietHours
from lib.notifications.messages import Attachment, Severity
from lib.notifications.outbox import DeliveryState
from lib.notifications.parts import Part
from lib.notifications.routing import find_next_due
from lib.notifications.sending import send_notifications
from lib.results import Status
from tests.notifications.samples import NOON, PickyChannel, PostOffice, titles
from tests.webhooks import WebhookServer

INFO = {"severity": Severity.INFO}
LUNCH = Holding(QuietHours(time(12), time(14)))  # the tests' clock begins at noon
HOURLY = Holding(collect=timedelta(hours=1))


class Reader(PickyChannel):
    """Shows no files, and keeps what it took."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Part] = []

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        self.read.append(part)
        return super().send(part, severity)


def test_information_of_the_quiet_hours_comes_as_one_message_at_their_end(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=LUNCH)
    chart = Attachment("chart.png", "image/png", b"\x89PNG")
    post_office.record("🚀 BUY SOL/USDT", body="RSI 14 rose above 30.\nPrice 95.", link="http://run/1", **INFO)
    post_office.clock.pass_by(minutes=61)
    post_office.record("🚀 BUY ETH/USDT", attachments=(chart,), **INFO)
    post_office.deliver(discord)
    post_office.clock.pass_by(minutes=58)
    post_office.deliver(discord)
    assert webhooks.requests == 0

    post_office.clock.pass_by(minutes=1)
    post_office.deliver(discord)
    post_office.deliver(discord)

    text, files = webhooks.messages
    assert text.content.replace("\r", "") == (
        "📬 2 messages, 2026-03-02 12:00 to 13:01 UTC\n"
        "12:00 🚀 BUY SOL/USDT\nRSI 14 rose above 30.\n"
        "13:01 🚀 BUY ETH/USDT\nPrice 95.00, stop 100.00.\n"
        "What to do: see messages.txt for the whole texts, each with its link."
    )
    (_, whole), picture = files.files
    assert whole.decode() == (
        "2026-03-02 12:00 UTC  🚀 BUY SOL/USDT\nRSI 14 rose above 30.\nPrice 95.\nhttp://run/1\n\n"
        "2026-03-02 13:01 UTC  🚀 BUY ETH/USDT\nPrice 95.00, stop 100.00."
    )
    assert picture == ("02 chart.png", chart.content)


def test_warnings_and_urgent_messages_pass_through_quiet_hours(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=LUNCH)
    post_office.record("can wait", **INFO)
    post_office.record("warning", severity=Severity.WARNING)
    post_office.record("urgent", severity=Severity.URGENT)

    post_office.deliver(discord)

    assert titles(webhooks) == ["urgent", "warning"]


def test_one_message_that_waited_comes_as_itself(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=HOURLY)
    post_office.record("alone", **INFO)
    post_office.deliver(discord)
    assert webhooks.requests == 0
    post_office.clock.pass_by(hours=1)

    post_office.deliver(discord)

    assert titles(webhooks) == ["alone"]


def test_what_is_recorded_while_others_wait_joins_them_so_that_the_order_stays(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=LUNCH)
    post_office.record("first", **INFO)
    post_office.deliver(discord)
    post_office.clock.pass_by(hours=2, minutes=1)
    post_office.record("second", **INFO)

    post_office.deliver(discord)

    (content,) = [each.content for each in webhooks.messages if not each.files]
    assert content.index("first") < content.index("second")


def test_each_channel_waits_by_its_own_wishes(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    at_once = post_office.subscribe("a", webhooks)
    later = post_office.subscribe("b", other_webhooks, holding=HOURLY)
    post_office.record("first", "second", **INFO)

    post_office.deliver(at_once, later)
    assert (titles(webhooks), titles(other_webhooks)) == (["first", "second"], [])
    post_office.clock.pass_by(hours=1)
    post_office.deliver(at_once, later)

    assert titles(webhooks) == ["first", "second"]
    assert titles(other_webhooks)[0] == "📬 2 messages, 2026-03-02 12:00 to 12:00 UTC"


def test_a_channel_whose_quiet_hours_are_taken_away_gets_what_waited_at_once(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    post_office.record("first", "second", **INFO)
    post_office.deliver(post_office.subscribe("discord", webhooks, holding=LUNCH))

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert titles(webhooks)[0].startswith("📬 2 messages")


def test_a_night_of_many_messages_and_files_loses_none_and_makes_a_few_digests(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=HOURLY)
    expected = [f"message {number:03}" for number in range(95)]
    post_office.record(*expected[:50], **INFO)
    for number, title in enumerate(expected[50:]):
        post_office.record(title, attachments=(Attachment("a.png", "image/png", f"{number}".encode()),), **INFO)
    post_office.deliver(discord)
    post_office.clock.pass_by(hours=1)

    post_office.deliver(discord, seconds=600)

    texts = [content for message in webhooks.messages for name, content in message.files if name == "messages.txt"]
    whole = "\n".join(text.decode() for text in texts)
    assert [title for title in expected if whole.count(title) == 1] == expected
    pictures = [content for message in webhooks.messages for name, content in message.files if name != "messages.txt"]
    assert pictures == [f"{number}".encode() for number in range(45)]
    assert len(texts) == 3
    states = {row.title: row.state for row in post_office.rows()}
    assert {states[title] for title in expected} == {DeliveryState.DIGESTED}


def test_a_channel_without_files_gets_the_whole_texts(post_office: PostOffice) -> None:
    mail = Reader()
    subscriber = Subscriber(mail, holding=HOURLY)
    post_office.record("first", body="one\ntwo", **INFO)
    post_office.record("second", body="three\nfour", **INFO)
    post_office.deliver(subscriber)
    post_office.clock.pass_by(hours=1)

    post_office.deliver(subscriber)

    (part,) = mail.read
    assert all(word in part.body for word in ("first", "one", "two", "second", "three", "four"))


def test_long_texts_that_waited_are_cut_nowhere(post_office: PostOffice) -> None:
    mail = Reader()
    subscriber = Subscriber(mail, holding=HOURLY)
    for number in range(30):
        post_office.record(f"message {number}", body=f"{'word ' * 600}end {number}.", **INFO)
    post_office.deliver(subscriber)
    post_office.clock.pass_by(hours=1)

    post_office.deliver(subscriber)

    told = " ".join(part.body for part in mail.read).split()
    assert told.count("word") == 30 * 600
    assert {title.partition(" (")[0] for title in mail.taken} == {"📬 6 messages, 2026-03-02 12:00 to 12:00 UTC"}


def test_two_passes_at_once_make_one_digest_and_a_lost_race_changes_nothing(post_office: PostOffice) -> None:
    store, mail = post_office.store, PickyChannel()
    subscriber = Subscriber(mail, holding=HOURLY)
    post_office.record("first", "second", **INFO)
    post_office.deliver(subscriber)
    now = post_office.clock.now() + timedelta(hours=1)
    (first, second) = store.load_held_messages("mail", 10)
    assert store.release_held("mail", (first,), None, now)

    assert not store.release_held("mail", (first, second), None, now)

    assert {row.title: row.state for row in post_office.rows()} == {"first": "pending", "second": "held"}


def test_the_result_says_what_is_held_and_calls_nothing_undelivered(post_office: PostOffice) -> None:
    subscriber = Subscriber(PickyChannel(), holding=LUNCH)
    post_office.record("first", "second", **INFO)
    pace = Pace(sleep=post_office.clock.sleep, jitter=lambda: 0.0)

    result = send_notifications(post_office.store, [subscriber], post_office.clock, pace=pace)

    assert result.status is Status.SKIPPED
    assert result.items[0].detail == "2 held until 14:00 UTC"
    assert (result.counts["held"], result.undelivered) == (2, ())
    due_at = find_next_due(post_office.store, [subscriber], NOON, timedelta(minutes=2))
    assert due_at == NOON + timedelta(hours=2)
