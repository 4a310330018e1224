"""When the next delivery pass has something to do, and how long one takes at most."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import text

from lib.notifications.channels import Subscriber
from lib.notifications.delivery import Pace, deliver_due
from lib.notifications.messages import MessageType, Severity
from lib.notifications.routing import find_next_due
from lib.ports import SystemClock
from tests.notifications.samples import PickyChannel, PostOffice
from tests.webhooks import WebhookServer

TWO_MINUTES = timedelta(minutes=2)


def next_due(office: PostOffice, *subscribers: Subscriber) -> datetime | None:
    return find_next_due(office.store, subscribers, office.clock.now(), TWO_MINUTES)


def test_nothing_is_due_when_everything_is_delivered_or_nobody_is_told(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    assert next_due(post_office) is None

    post_office.deliver(discord)

    assert next_due(post_office, discord) is None


def test_a_message_recorded_since_the_last_pass_is_due_now(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.deliver(discord)
    post_office.record("first")
    assert next_due(post_office, discord) == post_office.clock.now()


def test_the_next_attempt_is_due_when_the_channel_may_be_tried_again(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(429, headers={"Retry-After": "90"})
    post_office.deliver(discord)

    assert next_due(post_office, discord) == post_office.clock.now() + timedelta(seconds=90)


def test_an_urgent_message_is_due_when_it_goes_on_to_the_next_channel(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=frozenset({MessageType.RISK}))
    post_office.record("urgent", severity=Severity.URGENT)
    webhooks.answer_next(429, headers={"Retry-After": "600"})
    post_office.deliver(discord, phone)

    due_at = next_due(post_office, discord, phone)

    assert due_at == post_office.clock.now() + TWO_MINUTES
    post_office.clock.pass_by(minutes=2)
    post_office.deliver(discord, phone)
    assert len(other_webhooks.messages) == 1
    assert next_due(post_office, discord, phone) == post_office.clock.now() + timedelta(minutes=8)


def test_what_another_sender_has_claimed_is_due_when_that_one_counts_as_dead(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    now = post_office.route("discord")
    assert post_office.store.claim("discord", "another", now, now + timedelta(minutes=2)) is not None

    assert next_due(post_office, discord) == now + timedelta(minutes=2)


def test_ten_thousand_waiting_messages_hold_a_pass_up_no_longer_than_it_may_take(post_office: PostOffice) -> None:
    queued = text(
        "INSERT INTO notifications (type, severity, title, body, deduplication_key, created_at)"
        " SELECT 'risk', 'warning', 'message ' || number, 'text', 'key ' || number, now()"
        " FROM generate_series(1, 10000) AS number"
    )
    with post_office.store._engine.begin() as connection:
        connection.execute(queued)
    mail, clock = PickyChannel(), SystemClock()
    started = monotonic()

    (report,) = deliver_due(post_office.store, [Subscriber(mail)], clock, Pace(budget_seconds=1))

    assert monotonic() - started < 15  # to route them takes two seconds, on a busy machine several
    assert report.backlog is not None
    assert 0 < report.delivered == 10000 - report.backlog.waiting
    now = clock.now()
    assert find_next_due(post_office.store, [Subscriber(mail)], now, TWO_MINUTES) == now
