"""Strategies on the last closed candle: what they say of each symbol, and which symbols have no such candle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from lib.indicators.shelf import IndicatorShelf
from lib.indicators.stored import IndicatorHistory
from lib.indicators.work import to_aware
from lib.market.matrix import CandleHistory, CandleMatrix
from lib.market.timeframes import width_of
from lib.portfolio.stores import Listing
from lib.strategy.conditions import format_float
from lib.strategy.roster import Enrolled
from lib.strategy.sizing import round_levels
from lib.strategy.stores import Action, SentimentStore, Signal, SignalKey
from lib.strategy.strategy import Decisions, Strategy
from lib.units import to_decimal

SPARE_BARS = 12  # beyond what the strategies need, for a few missing candles and a chart's left edge
CHART_BARS = 120


@dataclass(frozen=True)
class View:
    """The candles that decide, the last of them the one that has just closed.

    Attributes:
        shelf: Their indicators; every symbol of the universe is a row.
        opened_at: Open time of the last candle.
    """

    shelf: IndicatorShelf
    opened_at: datetime

    def has_candle(self, symbol: str) -> bool:
        """Whether the symbol has the candle that just closed."""
        candles = self.shelf.candles
        return bool(np.isfinite(candles.close[candles.row_of(symbol), -1]))

    def is_late(self, symbol: str) -> bool:
        """Whether the symbol has the candle before, but not the one that just closed."""
        return not self.has_candle(symbol) and self.find_newest(symbol) == self.opened_at - width_of(
            self.shelf.candles.timeframe
        )

    def find_newest(self, symbol: str) -> datetime | None:
        """Return the open time of the symbol's newest candle in the view."""
        candles = self.shelf.candles
        bars = np.flatnonzero(np.isfinite(candles.close[candles.row_of(symbol)]))
        if not len(bars):
            return None
        return to_aware(candles.opened_at[bars[-1]])


def count_bars(strategies: Iterable[Strategy]) -> int:
    """Return how many candles before the last one are loaded for these strategies and a chart."""
    return max([CHART_BARS, *(strategy.lookback for strategy in strategies)]) + SPARE_BARS


def load_view(
    history: CandleHistory,
    indicators: IndicatorHistory | None,
    symbols: Sequence[str],
    timeframe: str,
    opened_at: datetime,
    enrolled: Collection[Enrolled],
) -> View:
    """Load as many candles up to the one that opened at `opened_at` as the strategies need, and what is stored of them.

    Args:
        history: Candles.
        indicators: Stored ones; without them all are computed.
        symbols: The universe: the market index is made of all of them.
        timeframe: "1h".
        opened_at: Of the candle that has just closed.
        enrolled: The strategies that decide.
    """
    width = width_of(timeframe)
    start, end = opened_at - count_bars(one.strategy for one in enrolled) * width, opened_at + width
    candles = history.load_matrix(symbols, timeframe, start, end)
    stored = indicators.load_stored(symbols, timeframe, start, end) if indicators is not None else None
    return View(IndicatorShelf(candles, stored), opened_at)


def evaluate(
    enrolled: Enrolled, view: View, symbols: Sequence[str], listings: Mapping[str, Listing], now: datetime
) -> list[Signal]:
    """Return the strategy's signal of each symbol, all of which have the last candle."""
    decisions, candles = enrolled.strategy.decide(view.shelf), view.shelf.candles
    return [read_signal(enrolled, decisions, candles, symbol, -1, listings.get(symbol), now) for symbol in symbols]


def read_signal(
    enrolled: Enrolled,
    decisions: Decisions,
    candles: CandleMatrix,
    symbol: str,
    bar: int,
    listing: Listing | None,
    now: datetime,
) -> Signal:
    """Return what was decided of a symbol at a bar with a candle, as it is stored and told.

    Args:
        enrolled: Who decided.
        decisions: On the candles.
        candles: Those.
        symbol: One of theirs.
        bar: Which; -1 is the last.
        listing: The exchange's price steps; None where they are not known.
        now: When the signal is given.
    """
    row = candles.row_of(symbol)
    hold = Signal(
        key=SignalKey(candles.timeframe, to_aware(candles.opened_at[bar]), enrolled.strategy.name, symbol),
        action=Action.HOLD,
        version=enrolled.version,
        price=to_decimal(float(candles.close[row, bar])),
        reasons=decisions.explain(row, bar),
        created_at=now,
    )
    if not decisions.entries[row, bar]:
        return hold
    return _to_buy(hold, decisions, row, bar, listing.price_step if listing else None)


def _to_buy(hold: Signal, decisions: Decisions, row: int, bar: int, price_step: Decimal | None) -> Signal:
    """Return the buy with its levels; the hold when the exchange's price steps leave no room for a stop loss."""
    stop_distance = to_decimal(float(decisions.stop_distance[row, bar]))
    target_distance = to_decimal(float(decisions.target_distance[row, bar]))
    stop, target = round_levels(hold.price, stop_distance, target_distance, price_step)
    if not 0 < stop < hold.price:
        reason = f"its stop loss of {stop} on the exchange's price steps is none, so it is no buy"
        return replace(hold, reasons=(reason, *hold.reasons))
    return replace(
        hold,
        action=Action.BUY,
        stop_loss=stop,
        take_profit=target,
        confidence=float(decisions.score[row, bar]),
    )


def filter_by_sentiment(signals: Sequence[Signal], store: SentimentStore, least: float) -> list[Signal]:
    """Turn buys of symbols with worse news than `least` (-1 to 1) into holds; without news a buy stays.

    Only what was known when the candle closed counts.
    """
    symbols = {signal.key.symbol for signal in signals if signal.action is Action.BUY}
    if not symbols:
        return list(signals)
    (first, *_) = signals
    closed_at = first.key.opened_at + width_of(first.key.timeframe)
    sentiment = store.load_sentiment(symbols, closed_at)
    return [_filter(signal, sentiment.get(signal.key.symbol), least) for signal in signals]


def _filter(signal: Signal, sentiment: float | None, least: float) -> Signal:
    if signal.action is Action.HOLD:
        return signal
    if sentiment is None:
        return replace(signal, reasons=(*signal.reasons, "no news of it is known"))
    words = f"the news' sentiment ({format_float(round(sentiment, 3))})"
    if sentiment >= least:
        return replace(signal, reasons=(*signal.reasons, f"{words} is not below {format_float(least)}"))
    reasons = (f"{words} is below {format_float(least)}, so it is no buy", *signal.reasons)
    return replace(signal, action=Action.HOLD, stop_loss=None, take_profit=None, confidence=None, reasons=reasons)


def describe_stale(view: View, symbol: str, age: timedelta) -> str:
    """Say which candle is missing, and which is the newest; `age`: how long ago the missing one closed."""
    newest = view.find_newest(symbol)
    bars = view.shelf.candles.close.shape[1]
    there = f"the newest stored is that of {newest:%Y-%m-%d %H:%M}" if newest else f"none of the last {bars} is stored"
    return (
        f"expected the {view.shelf.candles.timeframe} candle of {view.opened_at:%Y-%m-%d %H:%M} UTC, which closed "
        f"{age // timedelta(minutes=1)} min ago; {there}. No signal on old prices: see sync_market_data."
    )
