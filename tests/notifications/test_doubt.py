"""Messages that may have arrived: answers lost on the way, senders that died."""

from __future__ import annotations

from datetime import timedelta

from lib.notifications.outbox import DeliveryState, Settlement
from lib.notifications.parts import REPEAT_NOTE
from tests.notifications.samples import PostOffice, titles
from tests.webhooks import WebhookServer


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
    now = post_office.route("discord")
    assert post_office.store.claim("discord", "the dead one", now, now + timedelta(minutes=2)) is not None

    post_office.deliver(discord)
    assert webhooks.contents == []
    post_office.clock.pass_by(minutes=2)
    post_office.deliver(discord)

    assert titles(webhooks) == ["first", "second"]
    assert [REPEAT_NOTE in content for content in webhooks.contents] == [True, False]


def test_a_message_over_which_five_senders_died_is_given_up(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("deadly", "harmless")
    post_office.route("discord")
    for owner in ("first", "second", "third", "fourth", "fifth"):
        now = post_office.clock.now()
        assert post_office.store.claim("discord", owner, now, now + timedelta(minutes=2)) is not None
        post_office.clock.pass_by(minutes=2)

    (report,) = post_office.deliver(discord)

    assert titles(webhooks) == ["harmless"]
    assert [title for title, _ in report.given_up] == ["deadly"]


def test_a_sender_that_was_too_slow_does_not_overwrite_its_successor(post_office: PostOffice) -> None:
    post_office.record("first")
    now = post_office.route("discord")
    slow = post_office.store.claim("discord", "slow", now, now + timedelta(minutes=2))
    later = now + timedelta(minutes=3)
    assert slow is not None
    assert post_office.store.claim("discord", "successor", later, later + timedelta(minutes=2)) is not None

    failed = Settlement(DeliveryState.FAILED, 0, 0, 0, later, "too late")
    assert not post_office.store.settle(slow.delivery_id, "slow", failed, later)
    assert [row.claimed_by for row in post_office.rows()] == ["successor"]


def test_a_message_whose_answers_are_always_lost_is_repeated_four_times_and_given_up_in_doubt(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("doubtful")
    webhooks.answer_next(0, takes=True, times=50)
    given_up = []

    for _ in range(2 * 12):
        (report,) = post_office.deliver(discord)
        given_up += report.given_up
        post_office.clock.pass_by(minutes=5)

    assert [REPEAT_NOTE in content for content in webhooks.contents] == [False, True, True, True, True]
    assert webhooks.requests == 5
    assert [(title, reason.startswith("in doubt: sent 5 times")) for title, reason in given_up] == [("doubtful", True)]


def test_an_outage_of_an_hour_in_which_answers_are_lost_costs_no_message(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(0, times=4)
    for _ in range(12):
        post_office.deliver(discord)
        post_office.clock.pass_by(minutes=5)
    assert titles(webhooks) == []

    post_office.clock.pass_by(minutes=15)
    post_office.deliver(discord)

    assert titles(webhooks) == ["first"]


def test_others_do_not_wait_for_what_was_sent_twice_in_doubt(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("doubtful", "second")
    webhooks.answer_next(0, takes=True, times=2)

    post_office.deliver(discord)

    assert titles(webhooks) == ["doubtful", "doubtful", "second"]
