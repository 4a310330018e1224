from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from lib.errors import AllItemsFailed, SettingsError
from lib.notifications.channels import Subscriber
from lib.notifications.delivery import Pace
from lib.notifications.holding import Holding
from lib.notifications.messages import MessageType, Severity
from lib.notifications.sending import NotificationsResult, send_notifications
from lib.notifications.texts import write_note
from lib.results import Status
from tests.notifications.samples import PickyChannel, PostOffice
from tests.webhooks import TOKEN, WebhookServer


def send(office: PostOffice, *subscribers: Subscriber, note: str = "", seconds: float = 20) -> NotificationsResult:
    at = office.clock.now()
    written = write_note(MessageType.OPERATIONS, note, urgent=False, key="run-1", at=at) if note else None
    pace = Pace(budget_seconds=seconds, sleep=office.clock.sleep, jitter=lambda: 0.0)
    return send_notifications(office.store, subscribers, office.clock, note=written, pace=pace)


def test_a_note_is_sent_once_although_the_task_is_retried(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)

    first = send(post_office, discord, note="Maintenance tonight")
    second = send(post_office, discord, note="Maintenance tonight")

    assert len(webhooks.messages) == 1
    assert (first.status, first.counts["delivered"], first.counts["recorded"]) == (Status.OK, 1, 1)
    assert (second.status, second.counts["delivered"], second.counts["recorded"]) == (Status.SKIPPED, 0, 0)
    assert second.items[0].detail == "nothing to send"


def test_without_a_channel_the_messages_are_kept_shown_and_logged(
    post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    post_office.record("can wait | or not")
    post_office.record("🛑 STOP LOSS", severity=Severity.URGENT)
    post_office.clock.pass_by(minutes=90)

    with caplog.at_level(logging.WARNING, logger="lib"):
        result = send(post_office)

    assert result.status is Status.SKIPPED
    assert "no channel configured: nobody is told" in result.items[0].detail
    assert result.counts["untold"] == 2
    assert [each.title for each in result.undelivered] == ["🛑 STOP LOSS", "can wait | or not"]
    assert "🛑 STOP LOSS (no channel configured for it)" in caplog.text
    table, record = result.render_tables()
    assert "🛑 STOP LOSS" in table
    assert record.count("nobody") == 2
    assert "1 h 30 min" in table
    assert "can wait \\| or not" in table


def test_one_channel_that_fails_makes_the_result_partial(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    webhooks.down = True
    channels = [post_office.subscribe("broken", webhooks), post_office.subscribe("works", other_webhooks)]
    post_office.record("first")

    result = send(post_office, *channels)

    assert result.status is Status.PARTIAL
    assert [(item.name, item.status) for item in result.items] == [("broken", Status.FAILED), ("works", Status.OK)]
    assert "Discord answered 503" in result.items[0].detail
    assert "1 waiting, next attempt 12:00:" in result.items[0].detail
    assert result.undelivered == ()


def test_the_task_fails_when_every_channel_fails_and_nothing_is_lost(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    webhooks.down = True
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")

    with pytest.raises(AllItemsFailed, match="discord: 1 waiting"):
        send(post_office, discord)

    webhooks.down = False
    post_office.clock.pass_by(minutes=5)
    assert send(post_office, discord).status is Status.OK
    assert len(webhooks.messages) == 1


def test_a_message_that_its_only_channel_cannot_take_makes_no_run_fail_once_others_went_by(
    post_office: PostOffice,
) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second")
    for _ in range(2):
        with pytest.raises(AllItemsFailed, match="mail: 2 waiting"):
            send(post_office, Subscriber(mail))
        post_office.clock.pass_by(minutes=5)
    results = []
    for _ in range(4):
        post_office.clock.pass_by(minutes=5)
        results.append(send(post_office, Subscriber(mail)))
    post_office.record("third")
    results.append(send(post_office, Subscriber(mail)))

    assert mail.taken == ["second", "third"]
    assert {result.status for result in results} == {Status.PARTIAL}
    assert "1 waiting, next attempt 12:" in results[-2].items[0].detail
    assert "no answer" in results[-2].items[0].detail


def test_the_result_shows_what_became_of_each_message_on_each_channel(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    works = post_office.subscribe("a", webhooks)
    broken = post_office.subscribe("b", other_webhooks)
    later = Subscriber(PickyChannel(), holding=Holding(collect=timedelta(hours=1)))
    post_office.record("first", "second", severity=Severity.INFO)
    send(post_office, works, later)
    other_webhooks.answer_next(400)
    other_webhooks.answer_next(503, times=9)
    post_office.record("third | and", "fourth")
    post_office.clock.pass_by(minutes=1)

    result = send(
        post_office, works, broken, later, seconds=3
    )  # too short for a second try, which would drive the clock

    channels, messages = result.render_tables()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in channels.splitlines()[4:]]
    assert cells == [
        ["a", "4", "2026-03-02 12:01:00", "0", "0"],
        ["b", "0", "", "1", "1"],
        ["mail", "2", "2026-03-02 12:01:00", "2", "0"],
    ]
    told = [line.split(" | ", 1)[1].rstrip(" |") for line in messages.splitlines()[4:]]
    assert [" ".join(line.split()) for line in told] == [
        "fourth | a 12:01:00, b waits: Discord answered 503, mail 12:01:00",
        "third \\| and | a 12:01:00, b given up: Discord answered 400: it does not take this message, mail 12:01:00",
        "second | a 12:00:00, mail held",
        "first | a 12:00:00, mail held",
    ]


def test_what_went_into_a_digest_counts_as_delivered_when_the_digest_is(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks, holding=Holding(collect=timedelta(hours=1)))
    post_office.record("first", "second", severity=Severity.INFO)
    send(post_office, discord)
    webhooks.answer_next(429, headers={"Retry-After": "60"})
    post_office.clock.pass_by(hours=1)

    assert [(each.delivered, each.waiting) for each in send(post_office, discord).channels] == [(0, 3)]
    post_office.clock.pass_by(minutes=1)
    assert [(each.delivered, each.waiting) for each in send(post_office, discord).channels] == [(3, 0)]


def test_being_asked_to_wait_is_no_failure(post_office: PostOffice, webhooks: WebhookServer) -> None:
    webhooks.answer_next(429, headers={"Retry-After": "60"})
    post_office.record("first")

    result = send(post_office, post_office.subscribe("discord", webhooks))

    assert result.status is Status.SKIPPED
    assert result.items[0].detail == "1 waiting, next attempt 12:01:00 UTC"


def test_a_message_given_up_is_reported_and_stays_visible(post_office: PostOffice, webhooks: WebhookServer) -> None:
    webhooks.answer_next(400)
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")

    with pytest.raises(AllItemsFailed, match=r"1 given up \(first: Discord answered 400"):
        send(post_office, discord)

    (lost,) = post_office.store.load_undelivered(post_office.clock.now().replace(hour=0), 10)
    assert lost.reason.startswith("discord: Discord answered 400")


def test_a_channel_that_refuses_is_reported_in_each_run_with_the_remedy(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    webhooks.answer_next(404, times=100)
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    for minute in range(20):
        with pytest.raises(AllItemsFailed, match=f"{1 + minute} waiting.*404: the webhook was deleted"):
            send(post_office, discord)
        post_office.record(f"urgent {minute}", severity=Severity.URGENT)  # goes first, and was not tried yet
        post_office.clock.pass_by(minutes=1)

    undelivered = post_office.store.load_undelivered(post_office.clock.now().replace(hour=0), 100)

    assert len(undelivered) == 21
    assert undelivered[-1].reason.startswith("discord: Discord answered 404")


def test_no_secret_reaches_a_row_a_result_an_error_or_a_log(
    post_office: PostOffice, webhooks: WebhookServer, caplog: pytest.LogCaptureFixture
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    told = ""
    with caplog.at_level(1):
        for status in (404, 400, 503, 0, 429, 200):
            post_office.record(f"message before {status}")
            webhooks.answer_next(status, body={"message": f"no such webhook {TOKEN}"})
            try:
                told += repr(send(post_office, discord))
            except AllItemsFailed as error:
                told += repr(error) + repr(error.errors)
            post_office.clock.pass_by(minutes=5)
        with pytest.raises(SettingsError) as refused:
            post_office.subscribe("broken", WebhookServer(("10.0.0.1", 80)))

    rows = repr(post_office.rows())
    for text in (caplog.text, told, rows, str(refused.value), repr(discord)):
        assert TOKEN not in text
        assert "4711" not in text
