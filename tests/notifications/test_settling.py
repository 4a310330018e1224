from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lib.notifications.channels import Answer, SendOutcome
from lib.notifications.outbox import Delivery, DeliveryState, Settlement
from lib.notifications.settling import Attempt, calc_backoff, give_up_doubtful, settle
from tests.notifications.samples import NOON, make_message

FRESH = Delivery(1, "discord", make_message(), attempts=1, parts_sent=0, doubts=0, refusals=0)


def settle_at_noon(outcome: SendOutcome, delivery: Delivery = FRESH, parts: int = 1) -> Settlement:
    return settle(Attempt(delivery, NOON, jitter=0.0, part_count=parts, text_count=parts), outcome)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (500, 300)]
)
def test_the_wait_doubles_from_five_seconds_to_five_minutes(attempts: int, seconds: int) -> None:
    attempt = Attempt(replace(FRESH, attempts=attempts), NOON, jitter=0.0)
    assert calc_backoff(attempt) == timedelta(seconds=seconds)


def test_jitter_adds_up_to_a_fifth() -> None:
    assert calc_backoff(Attempt(FRESH, NOON, jitter=1.0)) == timedelta(seconds=6)


def test_parts_that_went_well_do_not_lengthen_the_wait() -> None:
    assert calc_backoff(Attempt(replace(FRESH, attempts=12, parts_sent=11), NOON, 0.0, 20, 20)) == timedelta(seconds=5)


def test_the_last_part_makes_a_message_delivered() -> None:
    delivered = SendOutcome(Answer.DELIVERED)
    first = settle_at_noon(delivered, parts=2)
    second = settle_at_noon(delivered, replace(FRESH, parts_sent=1), parts=2)

    assert (first.state, first.parts_sent) == (DeliveryState.PENDING, 1)
    assert (second.state, second.parts_sent) == (DeliveryState.DELIVERED, 2)


def test_a_confirmation_ends_the_doubt() -> None:
    doubted = replace(FRESH, doubts=2, refusals=3)
    settled = settle_at_noon(SendOutcome(Answer.DELIVERED), doubted, parts=2)

    assert (settled.state, settled.doubts, settled.refusals) == (DeliveryState.PENDING, 0, 0)


def test_a_doubt_outlives_a_later_failure() -> None:
    lost = settle_at_noon(SendOutcome(Answer.UNAVAILABLE, "lost", doubtful=True))
    down = settle_at_noon(SendOutcome(Answer.UNAVAILABLE, "down"), replace(FRESH, doubts=lost.doubts))

    assert (lost.state, lost.doubts) == (down.state, down.doubts) == (DeliveryState.IN_DOUBT, 1)


def test_being_asked_to_wait_without_a_time_waits_like_a_failure() -> None:
    settled = settle_at_noon(SendOutcome(Answer.POSTPONED, "429"))
    assert (settled.next_attempt_at, settled.reason) == (NOON + timedelta(seconds=5), "")


def test_a_time_in_the_past_means_a_second() -> None:
    settled = settle_at_noon(SendOutcome(Answer.POSTPONED, retry_at=NOON - timedelta(hours=1)))
    assert settled.next_attempt_at == NOON + timedelta(seconds=1)


REFUSED = SendOutcome(Answer.REFUSED, "404")


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (400, 600)]
)
def test_a_refusal_keeps_the_message_and_the_pauses_grow_to_ten_minutes(refusals: int, seconds: int) -> None:
    settled = settle_at_noon(REFUSED, replace(FRESH, refusals=refusals))

    assert (settled.state, settled.reason, settled.refusals) == (DeliveryState.PENDING, "404", refusals + 1)
    assert settled.next_attempt_at == NOON + timedelta(seconds=seconds)


def test_refusals_of_more_than_three_days_end_as_an_outage_does() -> None:
    old = make_message(created_at=NOON - timedelta(days=3, minutes=1))
    settled = settle_at_noon(REFUSED, replace(FRESH, message=old, attempts=10, refusals=9))

    assert settled.state is DeliveryState.FAILED
    assert settled.reason == "given up after 10 attempts in 3 days: 404"


@pytest.mark.parametrize("answer", [Answer.UNAVAILABLE, Answer.POSTPONED])
def test_another_answer_ends_a_row_of_refusals(answer: Answer) -> None:
    assert settle_at_noon(SendOutcome(answer, "503"), replace(FRESH, refusals=3)).refusals == 0


def test_files_that_a_channel_refuses_are_given_up_when_people_have_the_text() -> None:
    settled = settle_at_noon(REFUSED, replace(FRESH, text_sent=True, refusals=11))
    assert (settled.state, settled.reason) == (DeliveryState.DELIVERED, "its files are not: 404")


def test_a_rejected_message_is_given_up_at_once() -> None:
    settled = settle_at_noon(SendOutcome(Answer.REJECTED, "400"))
    assert (settled.state, settled.reason) == (DeliveryState.FAILED, "400")


def test_an_outage_of_more_than_three_days_is_given_up_and_says_why() -> None:
    old = make_message(created_at=NOON - timedelta(days=3, minutes=1))
    settled = settle_at_noon(SendOutcome(Answer.UNAVAILABLE, "503"), replace(FRESH, message=old, attempts=10))

    assert settled.state is DeliveryState.FAILED
    assert settled.reason == "given up after 10 attempts in 3 days: 503"


def test_a_message_may_cost_four_senders_their_lives_but_not_more() -> None:
    assert give_up_doubtful(replace(FRESH, doubts=4), NOON) is None
    given_up = give_up_doubtful(replace(FRESH, doubts=5), NOON)
    assert given_up is not None
    assert given_up.state is DeliveryState.FAILED


@pytest.mark.parametrize(("doubts", "seconds"), [(0, 5), (1, 60), (2, 600), (3, 3600)])
def test_the_repeats_of_what_may_have_arrived_are_ever_further_apart(doubts: int, seconds: int) -> None:
    lost = SendOutcome(Answer.UNAVAILABLE, "lost", doubtful=True)
    settled = settle_at_noon(lost, replace(FRESH, doubts=doubts))
    assert (settled.state, settled.next_attempt_at) == (DeliveryState.IN_DOUBT, NOON + timedelta(seconds=seconds))


def test_the_fifth_lost_answer_is_the_last() -> None:
    settled = settle_at_noon(SendOutcome(Answer.UNAVAILABLE, "lost", doubtful=True), replace(FRESH, doubts=4))
    assert settled.state is DeliveryState.FAILED
    assert settled.reason == "in doubt: sent 5 times without an answer. Look there whether it arrived (lost)"
