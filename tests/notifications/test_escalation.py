"""Urgent messages go on to the next channel when one is silent."""

from __future__ import annotations

from lib.notifications.messages import MessageType, Severity
from tests.notifications.samples import PostOffice, make_urgent, titles
from tests.webhooks import WebhookServer


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
