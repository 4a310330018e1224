"""What the protection of a position needs, by what is stored: so the five-minute chain asks the exchange nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from lib.execution.protection import TRY_AGAIN, Ending, Guard
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition

TOLERANCE = Decimal("0.01")  # of a position; a smaller rest without protection is not worth a replacement


class Need(StrEnum):
    """What a position's protection needs."""

    NOTHING = "nothing"
    PLACE = "place"
    REPLACE = "replace"
    RELEASE = "release"


@dataclass(frozen=True)
class Judgement:
    """What a position's protection needs, and why, in words."""

    need: Need
    why: str

    @property
    def is_due(self) -> bool:
        """Whether something is to be done."""
        return self.need is not Need.NOTHING


def judge(
    held: HeldPosition | None, known: Sequence[Guard], *, is_on: bool, now: datetime, again: bool = False
) -> Judgement:
    """Return what the protection of a symbol needs, by what is stored; nothing is asked of the exchange.

    Args:
        held: The open position; None when there is none.
        known: Its protections, by creation: all that are not settled, and those of the open position.
        is_on: Whether the account wants protective orders.
        now: UTC.
        again: Whether what somebody cancelled, and what was refused within the hour, is to be placed again.
    """
    live = [one for one in known if one.is_live]
    if held is None or held.stop_loss is None or not is_on:
        why = "the position is closed" if held is None else "no stop loss is set" if is_on else "the setting is off"
        return Judgement(Need.RELEASE if live else Need.NOTHING, why)
    if live:
        return _judge_live(held, live, now)
    of_it = [one for one in known if one.protection.opened_by == held.position.opened_by]
    return _judge_bare(held, of_it, now, again=again)


def _judge_live(held: HeldPosition, live: Sequence[Guard], now: datetime) -> Judgement:
    last = live[-1]
    protection, position = last.protection, held.position
    if len(live) > 1 or not last.is_sound:
        return Judgement(Need.REPLACE, "a run that ended has left it unfinished")
    if not last.has_stop:
        return Judgement(Need.REPLACE, "its take profit sold a part, which has ended its stop loss")
    if (protection.stop_loss, protection.take_profit) != (held.stop_loss, held.take_profit):
        return Judgement(Need.REPLACE, f"the limits were changed, it has {protection.describe()}")
    if protection.opened_by != position.opened_by:
        return Judgement(Need.REPLACE, "it is of an older position")
    bare = position.quantity - last.locked
    if bare < 0 and -bare >= position.quantity_step:
        return Judgement(Need.REPLACE, f"the position is {format_number(-bare)} smaller")
    if not protection.is_short and bare > max(position.quantity_step, position.quantity * TOLERANCE):
        return Judgement(Need.REPLACE, f"the position is {format_number(bare)} larger")
    if protection.note:
        is_due = now - protection.looked_at >= TRY_AGAIN
        return Judgement(Need.REPLACE if is_due else Need.NOTHING, f"protected in part: {protection.note}")
    return Judgement(Need.NOTHING, f"protected: {protection.describe()}")


def _judge_bare(held: HeldPosition, of_it: Sequence[Guard], now: datetime, *, again: bool) -> Judgement:
    last = of_it[-1] if of_it else None
    if held.valuation is None:
        return Judgement(Need.NOTHING, "it was never priced")
    if held.stop_loss is not None and held.valuation.price <= held.stop_loss:
        return Judgement(Need.NOTHING, "the price is at or below the stop loss: left to the account's stop_policy")
    if last is None or again or not _is_of_now(held, last):
        return Judgement(Need.PLACE, "nothing rests yet")
    if last.ending is Ending.CANCELLED:
        return Judgement(Need.NOTHING, "somebody cancelled it, so it is not placed again until a limit changes")
    is_fresh = now - last.protection.looked_at < TRY_AGAIN
    is_second = last.ending is Ending.EXPIRED and [one.ending for one in of_it[-2:-1]] == [Ending.EXPIRED]
    if (last.ending is Ending.REFUSED or is_second) and is_fresh:
        return Judgement(Need.NOTHING, f"refused, tried again after an hour: {last.why_refused}")
    return Judgement(Need.PLACE, "nothing rests any more")


def _is_of_now(held: HeldPosition, last: Guard) -> bool:
    """Tell whether an ended protection had the limits and, but for what it sold, the size of now."""
    protection, position = last.protection, held.position
    if (protection.stop_loss, protection.take_profit) != (held.stop_loss, held.take_profit):
        return False
    bare = abs(position.quantity - (protection.quantity - last.executed_quantity))
    return protection.is_short or bare <= max(position.quantity_step, position.quantity * TOLERANCE)
