"""One backtest: a strategy with its parameters on candles, checked, traded and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lib.errors import DataError
from lib.indicators.work import to_aware, to_numpy
from lib.market.matrix import CandleMatrix
from lib.research.deciding import decide
from lib.research.engine import Simulation, check_candles, simulate
from lib.research.look_ahead import Show, check_no_look_ahead
from lib.research.metrics import BacktestMetrics, calc_held_equity, calc_metrics
from lib.research.rules import TradingRules
from lib.research.trades import Floats
from lib.research.windows import cut_candles, cut_decisions
from lib.results import render_count
from lib.strategy.strategy import Strategy

LEAST_BARS = 50  # of a window: fewer tell nothing


@dataclass(frozen=True)
class Backtest:
    """What a strategy would have done.

    Attributes:
        strategy: With its parameters.
        rules: How it traded.
        candles: Of the window and the symbols that it traded.
        entries: How many entries it signalled there.
        simulation: What became of the account.
        held_equity: What buying and holding would have become, shape (bars,).
        metrics: Of both.
        notes: What a reader should know of the data.
    """

    strategy: Strategy
    rules: TradingRules
    candles: CandleMatrix
    entries: int
    simulation: Simulation
    held_equity: Floats
    metrics: BacktestMetrics
    notes: tuple[str, ...]

    @property
    def why_no_trade(self) -> str | None:
        """Why there is no trade at all; None when there are some."""
        if len(self.simulation.trades):
            return None
        if not self.entries:
            return "No trade: the strategy signals no entry in this window. Try a longer one, or other parameters."
        made = self.simulation
        return (
            f"No trade: of {self.entries} entries {made.too_small} were below the least notional "
            f"({self.rules.min_notional:g}) or had no cash left, and the price of {made.ran_away} had passed its stop "
            "or target at the next open. Try more cash or another sizing."
        )


def backtest(
    strategy: Strategy,
    candles: CandleMatrix,
    symbols: Sequence[str],
    start: datetime,
    rules: TradingRules,
    show: Show | None = None,
) -> Backtest:
    """Trade a strategy over a window, all symbols from one cash account.

    Args:
        strategy: With its parameters.
        candles: With as many bars before the window as the strategy looks back; rows that are not traded are read by a
            strategy that reads the whole market.
        symbols: Those that are traded.
        start: Of the window, which goes to the end of the candles; begins later where history does.
        rules: Costs and sizes.
        show: Told ``(done, total, what)``.

    Raises:
        DataError: Too few candles, impossible ones, or a price that never moves.
        StrategyRefused: The strategy raises, gives what cannot be traded, or looks ahead.
    """
    check_candles(candles)
    rows = [candles.row_of(symbol) for symbol in symbols]
    first = find_first_bar(candles, rows, start, strategy)
    decisions = decide(strategy, candles)
    check_no_look_ahead(strategy, candles, decisions, show)
    bars = len(candles.opened_at)
    window, decided = cut_candles(candles, first, bars, rows), cut_decisions(decisions, first, bars, rows)
    simulation = simulate(window, decided, rules)
    return Backtest(
        strategy=strategy,
        rules=rules,
        candles=window,
        entries=int(decided.entries.sum()),
        simulation=simulation,
        held_equity=calc_held_equity(window, rules),
        metrics=calc_metrics(window, simulation, rules),
        notes=tuple(list_notes(window, start)),
    )


def find_first_bar(candles: CandleMatrix, rows: Sequence[int], start: datetime, strategy: Strategy) -> int:
    """Return the first bar of the window: at `start` or when a symbol has as many candles as the strategy looks back.

    Raises:
        DataError: A symbol has too few candles, or its price never moves.
    """
    first = int(np.searchsorted(candles.opened_at, to_numpy(start)))
    if len(candles.opened_at) - first < LEAST_BARS:
        raise DataError(
            f"Expected a window of at least {LEAST_BARS} candles, was {len(candles.opened_at) - first}. Take more days."
        )
    starts = []
    for row in rows:
        there = np.flatnonzero(np.isfinite(candles.close[row]))
        needed = strategy.lookback + LEAST_BARS
        if len(there) < needed:
            raise DataError(
                f"{candles.symbols[row]} {candles.timeframe}: expected at least {needed} candles "
                f"({strategy.lookback} that {strategy.name} looks back, and {LEAST_BARS} to trade), was {len(there)}. "
                "Fetch more with backfill_market_data, or take another timeframe."
            )
        if np.ptp(candles.close[row, there]) == 0:
            raise DataError(
                f"{candles.symbols[row]} {candles.timeframe}: the price is {candles.close[row, there[0]]:g} at all "
                f"{len(there)} closes, so there is nothing to test. Take another symbol or timeframe."
            )
        starts.append(int(there[strategy.lookback]))
    return max(first, min(starts))


def list_notes(window: CandleMatrix, start: datetime) -> list[str]:
    """Return what a reader should know of the window's data."""
    notes = []
    begins = to_aware(window.opened_at[0])
    if begins > start:
        notes.append(f"begins {begins:%Y-%m-%d %H:%M} UTC: what is stored before it is the strategy's run-in, or less")
    for row, symbol in enumerate(window.symbols):
        there = np.isfinite(window.close[row])
        if missing := int((~there).sum()):
            told = render_count(missing, "candles missing")
            notes.append(f"{symbol}: {told} of {there.size:,}; orders waited for the next one")
        if silent := int((window.volume[row, there] == 0).sum()):
            notes.append(f"{symbol}: nobody traded in {render_count(silent, 'candles')}; fills there are fiction")
    return notes
