"""Stop losses and take profits: checked against the stored price, and people told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from lib.errors import RetryableError
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.alerts import describe_age, render_alert
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition, PortfolioStore
from lib.ports import Clock
from lib.results import Item, Status, TaskResult, calc_status, failed_item

TASK = "check_stop_loss"
NO_EXITS: Mapping[AlarmKind, ExitPolicy] = {}
logger = logging.getLogger(__name__)
CLOCK_TOLERANCE = timedelta(seconds=5)  # what an orderly clock is set back by; a price further ahead has no known age
RECOVERY_MARGIN = Decimal("0.02")  # of the stop; more than prices flap by from one check to the next
COUNTED = {AlarmKind.STOP_LOSS: "triggered", AlarmKind.TAKE_PROFIT: "take profits", AlarmKind.STALE_PRICE: "stale"}


def check_stop_loss(
    *,
    account: str,
    store: PortfolioStore,
    clock: Clock,
    max_age: timedelta,
    realert: timedelta,
    policies: Mapping[AlarmKind, ExitPolicy] = NO_EXITS,
) -> TaskResult:
    """Check every open position of the account against its stop loss and take profit, and tell people.

    * Price at or below the stop loss: an urgent message at once, and every `realert` while it is so. A price that flaps
      around the stop brings no more; after a real recovery (`RECOVERY_MARGIN` above the stop, or above it for two
      checks in a row) or with another stop loss it begins anew.
    * Price at or above the take profit: one warning, and another one only after the price had left it.
    * Price older than `max_age`, of a future instant (the clock was ahead when it came), or none: the position's item
      fails and an urgent message says that nothing watches it, at most one a position every `realert`. It is never a
      silent "not triggered".

    The message is recorded in the transaction that notes it with the position, and so is the exit that the account's
    policy wants at a crossing: a process that is killed has done all or nothing, and the next run goes by that.

    Args:
        account: Name of the account.
        store: Where positions and alarms are, and messages are recorded with them.
        clock: Now.
        max_age: Oldest price that counts, measured from the exchange's answer.
        realert: Time between two messages about the same.
        policies: What follows when a stop loss or a take profit is crossed; people are told in any case.

    Raises:
        AllItemsFailed: When no position has a fresh price.
        DatabaseUnavailable: Some positions were not checked; trying again repeats no message.
    """
    started_at = clock.now()
    held = store.load_held(account)
    counts = Counter(dict.fromkeys(("watched", *COUNTED.values(), "without stop", "alerts"), 0))
    items = []
    for one in held:
        counts["watched" if one.stop_loss is not None else "without stop"] += 1
        try:
            kind = _find_alarm(one, clock.now(), max_age)
            if kind is not None:
                counts[COUNTED[kind]] += 1
            counts["alerts"] += _tell(one, kind, store, clock.now(), realert, policies)
            items.append(_describe(one, kind, clock.now(), max_age))
        except RetryableError:
            raise
        except Exception as error:  # one position's trouble must not leave the others unwatched
            logger.exception("The stop loss of %s could not be checked", one.name)
            items.append(failed_item(one.name, error))
    return TaskResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts=counts,
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
    )


def _find_alarm(held: HeldPosition, now: datetime, max_age: timedelta) -> AlarmKind | None:
    if held.valuation is None or not -CLOCK_TOLERANCE <= now - held.valuation.price_at <= max_age:
        return AlarmKind.STALE_PRICE
    if held.stop_loss is not None and held.valuation.price <= held.stop_loss:
        return AlarmKind.STOP_LOSS
    if held.take_profit is not None and held.valuation.price >= held.take_profit:
        return AlarmKind.TAKE_PROFIT
    return None


def _tell(
    held: HeldPosition,
    kind: AlarmKind | None,
    store: PortfolioStore,
    now: datetime,
    realert: timedelta,
    policies: Mapping[AlarmKind, ExitPolicy],
) -> int:
    """Record the message that is due and arm the alarms whose condition has passed; return the messages recorded."""
    _arm_passed(held, kind, store)
    if kind is None:
        return 0
    alarm = held.alarms.get(kind, Alarm())
    policy = policies.get(kind, ExitPolicy.ALERT) if alarm.raised_at is None else ExitPolicy.ALERT
    if not alarm.is_due(kind, now, realert):
        if kind is AlarmKind.STOP_LOSS and alarm.raised_at is None:
            quiet = policy if policy is ExitPolicy.EXIT else ExitPolicy.ALERT  # nobody is asked at each flap
            store.save_alarm(held, kind, alarm.raise_quietly(now), policy=quiet)
        return 0
    return int(store.save_alarm(held, kind, alarm.alert(now), render_alert(kind, held, now, policy), policy))


def _arm_passed(held: HeldPosition, kind: AlarmKind | None, store: PortfolioStore) -> None:
    """Arm what no longer holds; a stale price tells nothing of the others."""
    if kind is AlarmKind.STALE_PRICE:
        return
    for other in set(AlarmKind) - {kind}:
        alarm = held.alarms.get(other, Alarm())
        rested = alarm.rest_after_recovery(clear=_is_clear(held)) if other is AlarmKind.STOP_LOSS else alarm.rest()
        if rested != alarm:
            store.save_alarm(held, other, rested)


def _is_clear(held: HeldPosition) -> bool:
    if held.valuation is None or held.stop_loss is None:
        return False
    return held.valuation.price >= held.stop_loss * (1 + RECOVERY_MARGIN)


def _describe(held: HeldPosition, kind: AlarmKind | None, now: datetime, max_age: timedelta) -> Item:
    if held.valuation is None or kind is AlarmKind.STALE_PRICE:
        detail = (
            f"{held.symbol} {describe_age(held, now)}; expected at most {max_age // timedelta(seconds=1)} s. "
            "Its stop loss is not checked; see why update_positions gave no price."
        )
        return Item(name=held.name, status=Status.FAILED, detail=detail, retryable=False)
    price = format_number(held.valuation.price)
    if kind is AlarmKind.STOP_LOSS and held.stop_loss is not None:
        detail = f"🛑 triggered: {price} is at or below the stop loss {format_number(held.stop_loss)}"
    elif kind is AlarmKind.TAKE_PROFIT and held.take_profit is not None:
        detail = f"🎯 reached: {price} is at or above the take profit {format_number(held.take_profit)}"
    elif held.stop_loss is None:
        detail = "no stop set"
    else:
        distance = 100 * (held.valuation.price - held.stop_loss) / held.valuation.price
        detail = f"{price} is {distance:.1f} % above the stop loss {format_number(held.stop_loss)}"
    return Item(name=held.name, status=Status.OK, detail=detail)
