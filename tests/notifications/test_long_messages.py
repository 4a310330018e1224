"""Long texts arrive whole, and no text calls anybody."""

from __future__ import annotations

from lib.notifications.messages import Severity
from tests.notifications.samples import PostOffice, titles
from tests.webhooks import WebhookServer


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
