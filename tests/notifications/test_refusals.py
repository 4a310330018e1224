"""A channel that refuses us until a person mends it keeps its messages, and the others are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lib.notifications.messages import MessageType, Severity
from lib.notifications.routing import find_next_due
from tests.notifications.samples import PostOffice, titles
from tests.webhooks import WebhookServer

TOLD = "⚠️ Channel refuses messages: team"
ONLY_RISK = frozenset({MessageType.RISK})


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_a_channel_refuses_for_two_days_is_delivered_in_order_once_it_is_mended(
    post_office: PostOffice, webhooks: WebhookServer, status: int
) -> None:
    team = post_office.subscribe("team", webhooks)
    post_office.record("first", "second")
    webhooks.answer_next(status, times=2 * 24)
    for _ in range(2 * 24):
        post_office.clock.pass_by(hours=1)
        (report,) = post_office.deliver(team)
        assert report.given_up == []
        assert report.backlog is not None
        assert report.backlog.refused
        assert str(status) in report.backlog.reason
    post_office.clock.pass_by(minutes=10)

    post_office.deliver(team)

    assert titles(webhooks) == ["first", "second"]


def test_the_other_channels_are_told_once_and_how_to_mend_it(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    team = post_office.subscribe("team", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=ONLY_RISK)
    post_office.record("first", "second")
    webhooks.answer_next(404, times=1000)

    for _ in range(60):
        post_office.deliver(team, phone)
        post_office.clock.pass_by(hours=1)

    (told,) = other_webhooks.contents
    assert told.startswith(f"{TOLD}\r\nDiscord answered 404: the webhook was deleted")
    assert "Waiting: 2 messages for it, the oldest of 2026-03-02 12:00 UTC" in told
    assert "FKS_CHANNELS__TEAM__URL" in told


def test_a_channel_that_refuses_again_another_day_is_told_again(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    team = post_office.subscribe("team", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=ONLY_RISK)
    for day in range(2):
        post_office.record(f"message of day {day}")
        webhooks.answer_next(404, times=2)
        for _ in range(4):
            post_office.deliver(team, phone)
            post_office.clock.pass_by(minutes=5)
        post_office.clock.pass_by(days=1)

    assert titles(other_webhooks) == [TOLD, TOLD]
    assert titles(webhooks) == [TOLD, "message of day 0", TOLD, "message of day 1"]


def test_an_urgent_message_goes_past_a_channel_that_refuses_at_once(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    team = post_office.subscribe("team", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=ONLY_RISK)
    webhooks.answer_next(404, times=1000)
    post_office.record("first urgent", severity=Severity.URGENT)

    post_office.deliver(team, phone)
    assert set(titles(other_webhooks)) == {TOLD, "first urgent"}

    post_office.record("second urgent", severity=Severity.URGENT)
    now = post_office.clock.now()
    assert find_next_due(post_office.store, [team, phone], now, timedelta(minutes=2)) == now
    asked = webhooks.requests
    post_office.deliver(team, phone)
    assert titles(other_webhooks)[-1] == "second urgent"
    assert webhooks.requests == asked  # its pause holds for new messages too


def test_a_channel_that_is_mended_is_waited_for_again(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    team = post_office.subscribe("team", webhooks, order=1)
    phone = post_office.subscribe("phone", other_webhooks, order=2, types=ONLY_RISK)
    webhooks.answer_next(404)
    post_office.record("first")
    post_office.deliver(team, phone)
    post_office.clock.pass_by(minutes=5)
    post_office.deliver(team, phone)

    webhooks.down = True
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.deliver(team, phone)

    assert titles(other_webhooks) == [TOLD]


def test_where_every_channel_refuses_no_message_about_it_is_added(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    channels = [post_office.subscribe("team", webhooks), post_office.subscribe("phone", other_webhooks)]
    webhooks.answer_next(404, times=10)
    other_webhooks.answer_next(401, times=10)
    post_office.record("first")

    reports = post_office.deliver(*channels)

    assert [report.backlog.waiting for report in reports if report.backlog] == [1, 1]
    assert {row.title for row in post_office.rows()} == {"first"}
