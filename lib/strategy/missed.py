"""BUYs that people hear of when their candle is over: told as missed, never to be traded at the old price."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from lib.market.timeframes import width_of
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.results import Item, Status
from lib.strategy.deciding import Round
from lib.strategy.stores import SignalKey, SignalStore

MOST_MISSED = 12  # candles that are looked back on
LOOK_BACK = timedelta(days=1)  # or more of them, for what is stored already
UNTOLD = "it was stored, and the run was ended before it told anybody"


@dataclass(frozen=True)
class Missed:
    """A BUY whose candle was over before people were told.

    Attributes:
        key: Of which strategy, symbol and candle.
        price: The candle's close.
        why: People were not told in time.
    """

    key: SignalKey
    price: Decimal
    why: str


def tell_untold(a_round: Round, signals: SignalStore) -> list[Missed]:
    """Tell of stored BUYs of earlier candles that nobody was told of, by strategies that have a say now."""
    since = a_round.opened_at - max(MOST_MISSED * width_of(a_round.timeframe), LOOK_BACK)
    untold = a_round.select(signals.load_untold(a_round.timeframe, since, a_round.opened_at))
    missed = [Missed(buy.key, buy.price, UNTOLD) for buy in untold.values()]
    if missed:
        signals.tell(write_missed(missed, a_round.now), list(untold), a_round.now)
    return missed


def write_missed(missed: Sequence[Missed], at: datetime) -> Message:
    """Return the one message of them all; another one only for others."""
    keys = sorted(one.key for one in missed)
    digest = hashlib.sha256(repr([(*key[2:], key.opened_at.isoformat()) for key in keys]).encode()).hexdigest()
    first = keys[0]
    what = f"BUY of {first.symbol} ({_words(first)})" if len(keys) == 1 else f"{len(keys)} BUYs"
    lines = [f"{one.key.symbol}, {_words(one.key)}: {describe_missed(one, at)}" for one in missed]
    remedy = "What to do: nothing has to be done. Prices have moved on, so look at them before you buy any of it."
    return compose(
        MessageType.SIGNAL,
        Severity.INFO,
        f"Missed: {what}",
        "\n".join([*lines, remedy]),
        key=f"missed:{first.timeframe}:{digest}",
        at=at,
    )


def describe_missed(missed: Missed, at: datetime) -> str:
    """Say at which candle it began, how long ago that closed, and why people were not told."""
    age = (at - missed.key.opened_at - width_of(missed.key.timeframe)) // timedelta(minutes=1)
    return (
        f"missed, began at the candle of {missed.key.opened_at:%Y-%m-%d %H:%M} UTC (close "
        f"{format_number(missed.price)}), which closed {age} min ago: {missed.why}."
    )


def to_items(missed: Sequence[Missed], at: datetime) -> list[Item]:
    """Return an item for each."""
    return [
        Item(name=f"{one.key.symbol} {one.key.strategy}", status=Status.PARTIAL, detail=describe_missed(one, at))
        for one in missed
    ]


def _words(key: SignalKey) -> str:
    return f"{key.strategy.replace('_', ' ')} {key.timeframe}"
