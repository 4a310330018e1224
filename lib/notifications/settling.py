"""What follows from a channel's answer: done, again later, or given up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lib.notifications.channels import Answer, SendOutcome
from lib.notifications.outbox import Delivery, DeliveryState, Settlement

FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=5)
SHORTEST_POSTPONEMENT = timedelta(seconds=1)  # who asks to wait for no time at all is not asked again at once
LONGEST_POSTPONEMENT = timedelta(hours=1)  # a broken Retry-After must not silence a channel for years
# A refusal is the channel's, not the message's: what waits is kept while a person mends that, as through an outage.
FIRST_REFUSED_PAUSE = timedelta(seconds=30)
LONGEST_REFUSED_PAUSE = timedelta(minutes=10)
MAX_FILE_FAILURES = 12  # half an hour; people have the text, and each attempt uploads everything again
# What may have arrived is not repeated for days. The waits grow faster than a failure's, because a channel whose
# answers get lost is mostly one that is down, and few repeats must last until it is up.
DOUBT_WAITS = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
MAX_DOUBTS = len(DOUBT_WAITS) + 1
GIVE_UP_AFTER = timedelta(days=3)
MIN_ATTEMPTS = 10  # after a long stop of the platform, age alone gives nothing up


@dataclass(frozen=True)
class Attempt:
    """One attempt, as settling sees it.

    Attributes:
        delivery: As claimed.
        part_count: Of how many parts the message consists on this channel.
        text_count: How many of them are text; the others are files.
        covers: How many parts were sent at once.
        now: When the answer came.
        jitter: 0 to 1; spreads the retries of many senders.
    """

    delivery: Delivery
    now: datetime
    jitter: float
    part_count: int = 1
    text_count: int = 1
    covers: int = 1


def settle(attempt: Attempt, outcome: SendOutcome) -> Settlement:
    """Return what the channel's answer to one part changes."""
    delivery, now = attempt.delivery, attempt.now
    kept = _keep(delivery, now, outcome.reason)
    match outcome.answer:
        case Answer.DELIVERED:
            sent = delivery.parts_sent + attempt.covers
            state = DeliveryState.DELIVERED if sent >= attempt.part_count else DeliveryState.PENDING
            wait = _bound(outcome.retry_at, now, now)
            reason = outcome.reason if state.is_final else ""
            return Settlement(state, sent, 0, 0, wait, reason, text_sent=sent >= attempt.text_count)
        case Answer.POSTPONED:
            # Being asked to wait is no failure, and no reason to show.
            wait = _bound(outcome.retry_at, now + calc_backoff(attempt), now)
            return replace(kept, reason="", next_attempt_at=max(wait, now + SHORTEST_POSTPONEMENT))
        case Answer.UNAVAILABLE:
            return _retry_or_give_up(attempt, outcome, kept)
        case Answer.REFUSED:
            refused = _retry_or_give_up(attempt, outcome, replace(kept, refusals=delivery.refusals + 1))
            return replace(refused, next_attempt_at=now + calc_refused_pause(attempt))
        case Answer.REJECTED:
            # With files it may be they that are not taken; alone, the text may pass.
            return _give_up(kept) if attempt.covers == 1 else _retry_or_give_up(attempt, outcome, kept)


def give_up_doubtful(delivery: Delivery, now: datetime) -> Settlement | None:
    """Return how to give up a delivery over which too many senders died; None when it may be tried again."""
    if delivery.doubts < MAX_DOUBTS:
        return None
    return _give_up(_keep(delivery, now, describe_doubt(delivery.doubts)))


def describe_doubt(doubts: int) -> str:
    """Say why what may have arrived is not sent again."""
    return f"in doubt: sent {doubts} times without an answer. Look there whether it arrived"


def calc_backoff(attempt: Attempt) -> timedelta:
    """Return the wait after a failure: 5 s, doubled with each further one up to 5 minutes, plus up to a fifth."""
    return _double(FIRST_BACKOFF, LONGEST_BACKOFF, attempt.delivery.failures, attempt.jitter)


def calc_refused_pause(attempt: Attempt) -> timedelta:
    """Return the wait after a refusal: 30 s, doubled with each in a row up to 10 minutes, plus up to a fifth."""
    return _double(FIRST_REFUSED_PAUSE, LONGEST_REFUSED_PAUSE, attempt.delivery.refusals + 1, attempt.jitter)


def _double(first: timedelta, longest: timedelta, count: int, jitter: float) -> timedelta:
    doublings = min(max(1, count) - 1, 10)
    return min(first * (1 << doublings), longest) * (1 + jitter / 5)


def _keep(delivery: Delivery, now: datetime, reason: str) -> Settlement:
    state = DeliveryState.IN_DOUBT if delivery.doubts else DeliveryState.PENDING
    refusals = delivery.refusals if delivery.text_sent else 0  # any other answer ends a row of refusals
    return Settlement(state, delivery.parts_sent, delivery.doubts, refusals, now, reason, delivery.text_sent)


def _retry_or_give_up(attempt: Attempt, outcome: SendOutcome, kept: Settlement) -> Settlement:
    delivery, now = attempt.delivery, attempt.now
    failed = replace(kept, doubts=delivery.doubts + outcome.doubtful)
    if delivery.text_sent:
        failed = replace(failed, refusals=delivery.refusals + 1)
    if failed.doubts >= MAX_DOUBTS:
        return _give_up(replace(failed, reason=f"{describe_doubt(failed.doubts)} ({outcome.reason})"))
    if delivery.text_sent and failed.refusals >= MAX_FILE_FAILURES:
        return _give_up(failed)
    if now - delivery.message.created_at > GIVE_UP_AFTER and delivery.attempts >= MIN_ATTEMPTS:
        reason = f"given up after {delivery.attempts} attempts in {GIVE_UP_AFTER.days} days: {outcome.reason}"
        return _give_up(replace(failed, reason=reason))
    wait = max(calc_backoff(attempt), DOUBT_WAITS[failed.doubts - 1] if outcome.doubtful else timedelta())
    state = DeliveryState.IN_DOUBT if failed.doubts else DeliveryState.PENDING
    return replace(failed, state=state, next_attempt_at=now + wait)


def _give_up(settlement: Settlement) -> Settlement:
    """Give up the message; or only its files, when people have its text."""
    if settlement.text_sent:
        return replace(settlement, state=DeliveryState.DELIVERED, reason=f"its files are not: {settlement.reason}")
    return replace(settlement, state=DeliveryState.FAILED)


def _bound(asked: datetime | None, default: datetime, now: datetime) -> datetime:
    return default if asked is None else min(max(asked, now), now + LONGEST_POSTPONEMENT)
