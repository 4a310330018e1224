"""What follows when a channel is down, asks to wait, refuses, or is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lib.notifications.messages import Severity
from tests.notifications.samples import DrivenClock, PostOffice, titles
from tests.webhooks import Allowance, WebhookServer


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


def test_urgent_messages_of_an_outage_come_first_and_all_keep_their_order(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    channels = [post_office.subscribe("a", webhooks), post_office.subscribe("b", other_webhooks)]
    webhooks.down = other_webhooks.down = True
    urgent, others = [], []
    for minute in range(0, 60, 5):
        others.append(f"message at minute {minute}")
        post_office.record(others[-1])
        urgent.append(f"urgent at minute {minute}")
        post_office.record(urgent[-1], severity=Severity.URGENT)
        post_office.deliver(*channels)
        post_office.clock.pass_by(minutes=5)
    webhooks.down = other_webhooks.down = False

    for _ in range(3):
        post_office.clock.pass_by(minutes=5)
        post_office.deliver(*channels)

    assert titles(webhooks) == titles(other_webhooks) == urgent + others


def test_a_backlog_drains_at_the_pace_that_discord_tells_without_being_refused_once(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    clock = post_office.clock
    discord = post_office.subscribe("discord", webhooks)
    webhooks.allowance = Allowance(clock, requests=5, seconds=2)
    expected = [f"message {number:03}" for number in range(250)]
    post_office.record(*expected)
    passes = 0

    while len(webhooks.messages) < len(expected):
        began_at, passes = clock.now(), passes + 1
        post_office.deliver(discord, seconds=20)
        assert clock.now() - began_at <= timedelta(seconds=20)
        clock.pass_by(seconds=10)  # as long as the run that follows takes to begin, at least

    assert titles(webhooks) == expected
    assert passes == 250 / (5 * 20 / 2)
    assert (webhooks.requests, webhooks.allowance.exceeded) == (250, 0)


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


def test_a_message_that_discord_rejects_does_not_hold_up_the_next(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("bad", "good")
    webhooks.answer_next(400, body={"message": "Invalid Form Body", "code": 50035})

    (report,) = post_office.deliver(discord)

    assert titles(webhooks) == ["good"]
    assert [title for title, _ in report.given_up] == ["bad"]


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
