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


def test_a_long_note_with_code_mentions_and_control_characters_can_be_read_part_by_part(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    rows = [f"\x1b[31m{number:04} @everyone 12.5\x00" for number in range(900)]
    post_office.record("📊 Table", body="```\n" + "\n".join(rows) + "\n```\n@here look")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert len(webhooks.messages) > 10
    assert {content.count("```") for content in webhooks.contents} == {2}
    assert {message.calls for message in webhooks.messages} == {()}
    told = "\n".join(webhooks.contents)
    assert "\x1b" not in told
    assert "\x00" not in told
    assert all(f"{number:04} @" in told for number in range(900))
