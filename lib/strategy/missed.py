"""BUYs that people hear of when their candle is over: told as missed, never to be traded at the old price."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from lib.market.timeframes import width_of
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.results import Item, Status
from lib.strategy.deciding import Round
from lib.strategy.quorum import is_enough
from lib.strategy.stores import Signal, SignalKey, SignalStore
from lib.units import to_decimal

MOST_MISSED = 12  # candles that are looked back on
LOOK_BACK = timedelta(days=1)  # or more of them, for what is stored already
MOST_LINES = 30  # of a message; more are named
UNDECIDED = "no run decided on it before the next candle closed"
SHORT = (
    "runs come every {minutes} min, and each decides on the last closed candle alone; make FKS_SIGNAL_TIMEFRAME no "
    "shorter than that"
)
UNTOLD = "it was stored, and the run was ended before it told anybody"


@dataclass(frozen=True)
class Missed:
    """A BUY whose candle was over before people were told.

    Attributes:
        key: Of which strategy, symbol and candle.
        price: The candle's close.
        why: People were not told in time.
        is_planned: Candles close more often than runs come, so nothing is wrong but the setting.
    """

    key: SignalKey
    price: Decimal
    why: str
    is_planned: bool = False


def tell_undecided(a_round: Round, fresh: Sequence[Signal], every: timedelta, signals: SignalStore) -> list[Missed]:
    """Tell of entries that began at candles that no run decided on, back to each strategy's last word on the symbol.

    Before the new signals are stored: they end the search, so whoever is killed here looks again.

    Args:
        a_round: The candle.
        fresh: Its signals that are not stored yet.
        every: How often runs come.
        signals: Where signals and their messages are.
    """
    if not fresh:
        return []
    width = width_of(a_round.timeframe)
    last = signals.load_last_rounds(a_round.timeframe, a_round.opened_at - MOST_MISSED * width, a_round.opened_at)
    gaps: dict[str, dict[str, int]] = {}
    for signal in fresh:
        name, symbol = signal.key.strategy, signal.key.symbol
        spoke_at = max(last.get((name, symbol), a_round.opened_at), a_round.roster.enrolled[name].since - width)
        bars = min(MOST_MISSED, -((spoke_at - a_round.opened_at) // width) - 1)
        if bars > 0:
            gaps.setdefault(name, {})[symbol] = bars
    is_planned = width < every
    why = SHORT.format(minutes=every // timedelta(minutes=1)) if is_planned else UNDECIDED
    missed = [
        Missed(key, price, why, is_planned)
        for name, symbols in gaps.items()
        for key, price in _find_entries(a_round, name, symbols)
    ]
    if missed:
        signals.tell(write_missed(missed, a_round.now), [], a_round.now)
    return missed


def _find_entries(a_round: Round, name: str, gaps: Mapping[str, int]) -> list[tuple[SignalKey, Decimal]]:
    """Return where the strategy's entries began before the last candle; `gaps`: so many candles back, by symbol."""
    view, strategy = a_round.load_view(), a_round.roster.enrolled[name].strategy
    candles, entries = view.shelf.candles, strategy.decide(view.shelf).entries
    trading = a_round.find_trading()
    there = np.isfinite(candles.close[[candles.row_of(symbol) for symbol in trading]]).sum(axis=0)
    found = []
    for symbol, bars in gaps.items():
        row = candles.row_of(symbol)
        for back in range(bars, 0, -1):
            bar = -1 - back
            if entries[row, bar] and (not strategy.reads_market or is_enough(int(there[bar]), len(trading))):
                opened_at = a_round.opened_at - back * width_of(a_round.timeframe)
                key = SignalKey(a_round.timeframe, opened_at, name, symbol)
                found.append((key, to_decimal(float(candles.close[row, bar]))))
    return found


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
    lines = [f"{one.key.symbol}, {_words(one.key)}: {describe_missed(one, at)}" for one in missed[:MOST_LINES]]
    if rest := missed[MOST_LINES:]:
        lines.append(f"And {', '.join(f'{one.key.symbol} ({_words(one.key)})' for one in rest)}.")
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
    minutes = (at - missed.key.opened_at - width_of(missed.key.timeframe)) // timedelta(minutes=1)
    age = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    return (
        f"missed, began at the candle of {missed.key.opened_at:%Y-%m-%d %H:%M} UTC (close "
        f"{format_number(missed.price)}), which closed {age} ago: {missed.why}."
    )


def to_items(missed: Sequence[Missed], at: datetime) -> list[Item]:
    """Return an item for each."""
    return [
        Item(
            name=f"{one.key.symbol} {one.key.strategy}",
            status=Status.SKIPPED if one.is_planned else Status.PARTIAL,
            detail=describe_missed(one, at),
        )
        for one in missed
    ]


def _words(key: SignalKey) -> str:
    return f"{key.strategy.replace('_', ' ')} {key.timeframe}"
