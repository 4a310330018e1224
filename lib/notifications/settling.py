"""What follows from a channel's answer: done, again later, or given up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lib.notifications.channels import Answer, SendOutcome
from lib.notifications.outbox import Delivery, DeliveryState, Settlement

FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=5)
LONGEST_POSTPONEMENT = timedelta(hours=1)  # a broken Retry-After must not silence a channel for years
MAX_REFUSALS = 5
MAX_LOST_CLAIMS = 3  # a message that kills its sender must not do so for ever
GIVE_UP_AFTER = timedelta(days=3)
MIN_ATTEMPTS = 10  # after a long stop of the platform, age alone gives nothing up


@dataclass(frozen=True)
class Attempt:
    """One attempt, as settling sees it.

    Attributes:
        delivery: As claimed.
        part_count: Of how many parts the message consists on this channel.
        now: When the answer came.
        jitter: 0 to 1; spreads the retries of many senders.
    """

    delivery: Delivery
    part_count: int
    now: datetime
    jitter: float


def settle(attempt: Attempt, outcome: SendOutcome) -> Settlement:
    """Return what the channel's answer to one part changes."""
    delivery, now = attempt.delivery, attempt.now
    kept = _keep(delivery, now, outcome.reason)
    match outcome.answer:
        case Answer.DELIVERED:
            sent = delivery.parts_sent + 1
            state = DeliveryState.DELIVERED if sent >= attempt.part_count else DeliveryState.PENDING
            wait = _bound(outcome.retry_at, now, now)
            return Settlement(state, sent, doubts=0, lost_claims=0, refusals=0, next_attempt_at=wait)
        case Answer.POSTPONED:
            # Being asked to wait is no failure, and no reason to show.
            return replace(kept, reason="", next_attempt_at=_bound(outcome.retry_at, now + calc_backoff(attempt), now))
        case Answer.UNAVAILABLE:
            return _retry_or_give_up(attempt, outcome, kept)
        case Answer.REFUSED:
            refusals = delivery.refusals + 1
            state = DeliveryState.FAILED if refusals >= MAX_REFUSALS else kept.state
            return replace(kept, state=state, refusals=refusals, next_attempt_at=now + calc_backoff(attempt))
        case Answer.REJECTED:
            return replace(kept, state=DeliveryState.FAILED)


def give_up_lost(delivery: Delivery, now: datetime) -> Settlement | None:
    """Return how to give up a delivery over which too many senders died; None when it may be tried again."""
    if delivery.lost_claims < MAX_LOST_CLAIMS:
        return None
    reason = f"the sender was killed {delivery.lost_claims} times while sending this; it may have arrived"
    return replace(_keep(delivery, now, reason), state=DeliveryState.FAILED)


def calc_backoff(attempt: Attempt) -> timedelta:
    """Return the wait after a failure: 5 s, doubled with each further one up to 5 minutes, plus up to a fifth."""
    failures = max(1, attempt.delivery.failures)
    wait = min(FIRST_BACKOFF * (1 << min(failures - 1, 10)), LONGEST_BACKOFF)
    return wait * (1 + attempt.jitter / 5)


def _keep(delivery: Delivery, now: datetime, reason: str) -> Settlement:
    state = DeliveryState.IN_DOUBT if delivery.doubts else DeliveryState.PENDING
    return Settlement(state, delivery.parts_sent, delivery.doubts, delivery.lost_claims, delivery.refusals, now, reason)


def _retry_or_give_up(attempt: Attempt, outcome: SendOutcome, kept: Settlement) -> Settlement:
    delivery, now = attempt.delivery, attempt.now
    doubts = delivery.doubts + outcome.doubtful
    if now - delivery.message.created_at > GIVE_UP_AFTER and delivery.attempts >= MIN_ATTEMPTS:
        reason = f"given up after {delivery.attempts} attempts in {GIVE_UP_AFTER.days} days: {outcome.reason}"
        return replace(kept, state=DeliveryState.FAILED, doubts=doubts, reason=reason)
    state = DeliveryState.IN_DOUBT if doubts else DeliveryState.PENDING
    return replace(kept, state=state, doubts=doubts, next_attempt_at=now + calc_backoff(attempt))


def _bound(asked: datetime | None, default: datetime, now: datetime) -> datetime:
    return default if asked is None else min(max(asked, now), now + LONGEST_POSTPONEMENT)
