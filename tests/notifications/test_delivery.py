"""Delivery on a real PostgreSQL, by the real Apprise, to a local server that speaks Discord's contract."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from lib.adapters.database.engine import make_engine
from lib.adapters.database.notifications import NotificationStore
from lib.notifications.channels import Answer, SendOutcome, Subscriber
from lib.notifications.messages import MessageType, Severity
from lib.notifications.outbox import DeliveryState, Settlement
from lib.notifications.parts import REPEAT_NOTE, Part
from tests.notifications.samples import DrivenClock, PostOffice, make_message, make_urgent
from tests.webhooks import WebhookServer


def route_to_discord(post_office: PostOffice) -> datetime:
    """Give what is recorded to the channel "discord" without sending it."""
    now = post_office.clock.now()
    post_office.store.save_routes({key: ["discord"] for key in post_office.store.load_unrouted(10)}, now)
    return now


def titles(webhooks: WebhookServer) -> list[str]:
    return [content.splitlines()[0] for content in webhooks.contents]


def test_a_message_is_recorded_once_per_key_for_ever(post_office: PostOffice) -> None:
    assert post_office.store.record(make_message("first", deduplication_key="same"))
    assert not post_office.store.record(make_message("again", deduplication_key="same"))


def test_a_message_reaches_its_channel_once(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("🛑 STOP LOSS triggered: SOL/USDT")

    first, second = post_office.deliver(discord), post_office.deliver(discord)

    assert webhooks.contents == ["🛑 STOP LOSS triggered: SOL/USDT\r\nPrice 95.00, stop 100.00."]
    assert (first[0].delivered, second[0].delivered) == (1, 0)
    assert [(row.state, row.attempts, row.last_error) for row in post_office.rows()] == [("delivered", 1, "")]


def test_urgent_messages_go_first_then_the_oldest(post_office: PostOffice, webhooks: WebhookServer) -> None:
    post_office.record("old", "newer")
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.record("newest")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert titles(webhooks) == ["urgent", "old", "newer", "newest"]


def test_a_channel_gets_only_the_types_and_severities_it_subscribed_to(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    everything = post_office.subscribe("all", webhooks)
    risks = post_office.subscribe(
        "risks", other_webhooks, types=frozenset({MessageType.RISK}), min_severity=Severity.WARNING
    )
    post_office.record("a stop")
    post_office.record("a high risk", type=MessageType.RISK)
    post_office.record("a small risk", type=MessageType.RISK, severity=Severity.INFO)

    post_office.deliver(everything, risks)

    assert titles(webhooks) == ["a stop", "a high risk", "a small risk"]
    assert titles(other_webhooks) == ["a high risk"]


def test_an_urgent_message_that_nobody_subscribed_to_goes_to_the_first_channel(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    reports_only = post_office.subscribe("reports", webhooks, types=frozenset({MessageType.REPORT}))
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.record("not urgent")

    post_office.deliver(reports_only)

    assert titles(webhooks) == ["urgent"]


def test_a_channel_added_later_gets_no_old_messages(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    first = post_office.subscribe("first", webhooks)
    post_office.deliver()
    post_office.record("told to nobody")
    post_office.deliver()
    post_office.record("told to the first")
    post_office.deliver(first)
    post_office.record("told to both")
    post_office.deliver(first, post_office.subscribe("second", other_webhooks))

    assert titles(webhooks) == ["told to the first", "told to both"]
    assert titles(other_webhooks) == ["told to both"]
    assert [each.title for each in post_office.store.load_undelivered(DrivenClock().now(), 10)] == ["told to nobody"]


def test_a_failure_is_tried_again_with_growing_waits_and_the_order_is_kept(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first", "second")
    webhooks.answer_next(503, times=3)

    post_office.deliver(discord, seconds=60)

    assert post_office.clock.slept == [5, 10, 20]
    assert titles(webhooks) == ["first", "second"]


def test_all_channels_down_for_an_hour_lose_and_repeat_nothing_and_keep_the_order(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    channels = [post_office.subscribe("a", webhooks), post_office.subscribe("b", other_webhooks)]
    webhooks.down = other_webhooks.down = True
    expected = []
    for minute in range(0, 60, 5):
        expected.append(f"message at minute {minute}")
        post_office.record(expected[-1])
        reports = post_office.deliver(*channels)
        assert [report.delivered for report in reports] == [0, 0]
        post_office.clock.pass_by(minutes=5)
    webhooks.down = other_webhooks.down = False
    post_office.clock.pass_by(minutes=5)

    post_office.deliver(*channels)
    post_office.deliver(*channels)

    assert titles(webhooks) == titles(other_webhooks) == expected
    assert webhooks.requests < 100


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Retry-After": "7"}},
        {"headers": {"Retry-After": "8"}, "body": {"message": "limited", "retry_after": 6.5, "global": False}},
        {"headers": {"X-RateLimit-Reset-After": "6.25"}},
        {"headers": {"X-RateLimit-Reset": f"{DrivenClock().now().timestamp() + 7.5}"}},
        {"headers": {"X-RateLimit-Reset": f"{DrivenClock().now().timestamp() + 7:.0f}"}},
    ],
)
def test_a_429_is_waited_for_as_long_as_discord_says(
    post_office: PostOffice, webhooks: WebhookServer, how: dict[str, Any]
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first", "second")
    webhooks.answer_next(429, **how)

    post_office.deliver(discord)

    assert [6.2 < wait < 7.6 for wait in post_office.clock.slept] == [True]
    assert titles(webhooks) == ["first", "second"]


def test_an_urgent_message_waits_too_when_the_channel_asked_to_be_left_in_peace(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(429, headers={"Retry-After": "90"})
    post_office.deliver(discord)
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.clock.pass_by(seconds=30)
    post_office.deliver(discord)
    assert webhooks.requests == 1

    post_office.clock.pass_by(seconds=60)
    post_office.deliver(discord)

    assert titles(webhooks) == ["urgent", "first"]


def test_a_retry_after_of_years_silences_a_channel_for_an_hour_at_most(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(429, headers={"Retry-After": "1e300"})
    post_office.deliver(discord)
    post_office.clock.pass_by(hours=1)

    post_office.deliver(discord)

    assert titles(webhooks) == ["first"]


def test_a_used_up_allowance_is_waited_for(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first", "second")
    webhooks.answer_next(200, takes=True, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "2.5"})

    post_office.deliver(discord)

    assert post_office.clock.slept == [2.5]
    assert titles(webhooks) == ["first", "second"]


@pytest.mark.parametrize("status", [401, 404])
def test_a_revoked_webhook_is_given_up_after_five_attempts_and_says_why(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer, status: int
) -> None:
    revoked, working = post_office.subscribe("revoked", webhooks), post_office.subscribe("works", other_webhooks)
    post_office.record("first")
    webhooks.answer_next(status, times=5)

    reports = post_office.deliver(revoked, working, seconds=600)

    assert webhooks.requests == 5
    assert [(title, f"{status}" in reason) for title, reason in reports[0].given_up] == [("first", True)]
    assert {row.channel: row.state for row in post_office.rows()} == {"revoked": "failed", "works": "delivered"}
    assert titles(other_webhooks) == ["first"]


def test_a_message_that_discord_rejects_does_not_hold_up_the_next(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("bad", "good")
    webhooks.answer_next(400, body={"message": "Invalid Form Body", "code": 50035})

    (report,) = post_office.deliver(discord)

    assert titles(webhooks) == ["good"]
    assert [title for title, _ in report.given_up] == ["bad"]


def test_a_message_whose_answer_was_lost_is_repeated_and_says_so(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first", "second")
    webhooks.answer_next(0, takes=True)

    post_office.deliver(discord)

    assert titles(webhooks) == ["first", "first", "second"]
    assert [REPEAT_NOTE in content for content in webhooks.contents] == [False, True, False]


def test_a_dead_sender_is_noticed_when_its_claim_runs_out(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first", "second")
    now = route_to_discord(post_office)
    assert post_office.store.claim("discord", "the dead one", now, now + timedelta(minutes=2)) is not None

    post_office.deliver(discord)
    assert webhooks.contents == []
    post_office.clock.pass_by(minutes=2)
    post_office.deliver(discord)

    assert titles(webhooks) == ["first", "second"]
    assert [REPEAT_NOTE in content for content in webhooks.contents] == [True, False]


def test_a_message_over_which_three_senders_died_is_given_up(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("deadly", "harmless")
    post_office.store.save_routes(
        {key: ["discord"] for key in post_office.store.load_unrouted(10)}, DrivenClock().now()
    )
    for owner in ("first", "second", "third"):
        now = post_office.clock.now()
        assert post_office.store.claim("discord", owner, now, now + timedelta(minutes=2)) is not None
        post_office.clock.pass_by(minutes=2)

    (report,) = post_office.deliver(discord)

    assert titles(webhooks) == ["harmless"]
    assert [title for title, _ in report.given_up] == ["deadly"]


def test_a_sender_that_was_too_slow_does_not_overwrite_its_successor(post_office: PostOffice) -> None:
    post_office.record("first")
    now = route_to_discord(post_office)
    slow = post_office.store.claim("discord", "slow", now, now + timedelta(minutes=2))
    later = now + timedelta(minutes=3)
    assert slow is not None
    assert post_office.store.claim("discord", "successor", later, later + timedelta(minutes=2)) is not None

    failed = Settlement(DeliveryState.FAILED, 0, 0, 0, 0, later, "too late")
    assert not post_office.store.settle(slow.delivery_id, "slow", failed, later)
    assert [row.claimed_by for row in post_office.rows()] == ["successor"]


def test_an_urgent_message_goes_on_to_the_next_channel_after_two_minutes(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=frozenset({MessageType.RISK}))
    webhooks.down = True
    assert post_office.store.record(make_urgent("urgent"))
    post_office.record("can wait")

    post_office.deliver(discord, phone)
    post_office.clock.pass_by(seconds=60)
    post_office.deliver(discord, phone)
    assert titles(other_webhooks) == []
    post_office.clock.pass_by(seconds=60)
    post_office.deliver(discord, phone)
    post_office.clock.pass_by(minutes=5)
    webhooks.down = False
    post_office.deliver(discord, phone)

    assert titles(other_webhooks) == ["urgent"]
    assert titles(webhooks) == ["urgent", "can wait"]


def test_a_channel_that_hangs_does_not_delay_another(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    hangs, works = post_office.subscribe("hangs", webhooks), post_office.subscribe("works", other_webhooks)
    release = threading.Event()
    reply = webhooks.answer_next(503, held=release)
    post_office.record("first", "second")
    delivering = threading.Thread(target=post_office.deliver, args=(hangs, works))
    delivering.start()
    assert reply.arrived.wait(10)
    deadline = threading.Event()
    while len(other_webhooks.messages) < 2 and not deadline.wait(0.02):
        pass
    release.set()
    delivering.join()

    assert titles(other_webhooks) == ["first", "second"]


def test_two_senders_at_once_send_each_message_once_and_in_order(
    post_office: PostOffice, webhooks: WebhookServer, database_url: str
) -> None:
    expected = [f"message {number:02}" for number in range(30)]
    post_office.record(*expected)
    engines = [make_engine(database_url) for _ in range(3)]
    start = threading.Barrier(len(engines))

    def send(office: PostOffice) -> None:
        start.wait()
        for _ in range(10):
            office.deliver(office.subscribe("discord", webhooks))

    threads = [
        threading.Thread(target=send, args=(PostOffice(NotificationStore(engine), post_office.clock),))
        for engine in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()

    assert titles(webhooks) == expected


def test_twenty_thousand_characters_arrive_whole_in_numbered_parts(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    lines = [f"line {number:04} of a long report" for number in range(740)]
    post_office.record("📊 Report", body="\n".join(lines))
    webhooks.answer_next(200, times=3, takes=True)
    webhooks.answer_next(503)

    post_office.deliver(post_office.subscribe("discord", webhooks))

    count = len(webhooks.messages)
    assert titles(webhooks) == [f"📊 Report ({number}/{count})" for number in range(1, count + 1)]
    assert [line for content in webhooks.contents for line in content.splitlines()[1:]] == lines


def test_a_title_of_twenty_thousand_characters_is_not_lost_either(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    title = " ".join(f"word{number}" for number in range(2500))
    post_office.record(title, body="the body", deduplication_key="long")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    told = " ".join(line for content in webhooks.contents for line in content.splitlines()[1:])
    assert told.split() == [*title.split(), "the", "body"]


def test_an_urgent_message_overtakes_the_rest_of_a_long_one(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("long", body="word " * 800)
    webhooks.answer_next(200, takes=True, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "60"})
    post_office.deliver(discord)
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.clock.pass_by(minutes=1)

    post_office.deliver(discord)

    assert titles(webhooks) == ["long (1/3)", "urgent", "long (2/3)", "long (3/3)"]


def test_nobody_is_called_by_what_a_text_mentions(post_office: PostOffice, webhooks: WebhookServer) -> None:
    post_office.record("@everyone look", body="@here and <@123> and <@&7>, mail bob@example.com")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    (message,) = webhooks.messages
    assert message.calls == ()
    assert message.payload["allowed_mentions"] == {"parse": [], "users": [], "roles": []}
    assert "@everyone" not in message.content
    assert "<@" not in message.content
    assert "bob@example.com" in message.content


def test_what_waits_for_a_channel_that_is_gone_is_given_up_after_three_days(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    webhooks.down = True
    post_office.record("first")
    post_office.deliver(post_office.subscribe("gone", webhooks))
    post_office.clock.pass_by(days=3, seconds=30)

    post_office.deliver()

    assert [(row.state, row.last_error) for row in post_office.rows()] == [
        ("failed", "the channel is no longer configured")
    ]


def test_a_channel_that_was_down_for_longer_than_three_days_still_gets_a_few_attempts(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    post_office.clock.pass_by(days=4)
    webhooks.answer_next(503, times=3)

    post_office.deliver(discord, seconds=60)

    assert titles(webhooks) == ["first"]


class PickyChannel:
    """Takes every message but those it cannot deliver, and says each time that it is unavailable."""

    name = "mail"
    max_characters = 5000

    def __init__(self, *undeliverable: str) -> None:
        self.undeliverable = set(undeliverable)
        self.tried: list[str] = []
        self.taken: list[str] = []

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        self.tried.append(part.title)
        if part.title in self.undeliverable:
            return SendOutcome(Answer.UNAVAILABLE, "no answer")
        self.taken.append(part.title)
        return SendOutcome(Answer.DELIVERED)


def deliver_every_five_minutes(office: PostOffice, channel: PickyChannel, passes: int) -> None:
    for _ in range(passes):
        office.deliver(Subscriber(channel))
        office.clock.pass_by(minutes=5)


def test_an_urgent_message_that_cannot_be_delivered_does_not_hold_up_the_others(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    post_office.record("third")

    deliver_every_five_minutes(post_office, mail, 4)

    assert mail.taken == ["second", "third"]


def test_several_messages_that_cannot_be_delivered_do_not_hold_up_the_others(post_office: PostOffice) -> None:
    bad = [f"bad {number}" for number in range(6)]
    mail = PickyChannel(*bad)
    post_office.record(*bad, "good", severity=Severity.URGENT)

    deliver_every_five_minutes(post_office, mail, 40)

    assert mail.taken == ["good"]


def test_nobody_waits_for_the_backoff_of_a_message_that_was_overtaken(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    deliver_every_five_minutes(post_office, mail, 4)
    post_office.deliver(Subscriber(mail))
    assert mail.tried[-1] == "bad"

    post_office.record("third", "fourth")
    reports = post_office.deliver(Subscriber(mail))

    assert mail.taken == ["second", "third", "fourth"]
    assert reports[0].backlog is not None
    assert reports[0].backlog.waiting == 1
    assert reports[0].backlog.resume_at > post_office.clock.now()


def test_a_message_that_was_overtaken_is_still_tried_and_arrives(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    deliver_every_five_minutes(post_office, mail, 6)
    mail.undeliverable.clear()

    deliver_every_five_minutes(post_office, mail, 1)

    assert mail.taken == ["second", "bad"]


def test_a_channel_that_is_down_is_left_in_peace_and_keeps_the_order(post_office: PostOffice) -> None:
    expected = [f"message {number:02}" for number in range(40)]
    mail = PickyChannel(*expected)
    post_office.record(*expected)
    deliver_every_five_minutes(post_office, mail, 12 * 24)
    assert len(mail.tried) <= 4 * 12 * 24
    mail.undeliverable.clear()
    post_office.clock.pass_by(minutes=5)

    deliver_every_five_minutes(post_office, mail, 1)

    assert mail.taken == expected


def test_an_old_urgent_message_that_has_just_failed_goes_on_in_the_same_pass(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=frozenset({MessageType.RISK}))
    webhooks.down = True
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.record("can wait")
    post_office.clock.pass_by(seconds=110)

    reports = post_office.deliver(discord, phone)
    post_office.clock.pass_by(minutes=5)
    post_office.deliver(discord, phone)

    assert [(report.name, report.delivered) for report in reports] == [("discord", 0), ("phone", 1)]
    assert titles(other_webhooks) == ["urgent"]


def test_an_old_urgent_message_that_its_channel_takes_stays_there(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=frozenset({MessageType.RISK}))
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.clock.pass_by(hours=1)

    post_office.deliver(discord, phone)

    assert (titles(webhooks), titles(other_webhooks)) == (["urgent"], [])


def test_an_urgent_message_that_is_given_up_goes_on_in_the_same_pass(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=frozenset({MessageType.RISK}))
    webhooks.answer_next(400)
    post_office.record("urgent", severity=Severity.URGENT)

    post_office.deliver(discord, phone)

    assert titles(other_webhooks) == ["urgent"]


class TickingClock(DrivenClock):
    """Passes a second each time it is read."""

    def now(self) -> datetime:
        self.pass_by(seconds=1)
        return super().now()


@pytest.mark.parametrize("late", range(6))
def test_a_message_whose_time_comes_while_the_pass_looks_is_sent_in_that_pass(
    post_office: PostOffice, webhooks: WebhookServer, late: int
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(503)
    post_office.deliver(discord, seconds=1)
    assert webhooks.contents == []
    clock = TickingClock(post_office.clock.now() + timedelta(seconds=5 - late))

    PostOffice(post_office.store, clock).deliver(discord, seconds=600)

    assert titles(webhooks) == ["first"]
