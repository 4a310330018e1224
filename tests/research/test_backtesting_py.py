"""Trade by trade against backtesting.py, on recorded candles, with every strategy's own decisions.

It queues an exit before the stop, looks at stop and target in the candle of the entry too, the stop first, and fills at
the open what was gapped through: our order of events. One difference is left: at the end it goes through the last
candle twice, and sells at its open what is held, we at its close. So what ends with the data is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix
from lib.research.engine import Simulation, simulate
from lib.research.rules import Sizing, TradingRules
from lib.research.trades import ExitReason
from lib.research.windows import cut_candles, cut_decisions
from lib.strategy.registry import STRATEGIES
from lib.strategy.strategy import Decisions, Strategy
from tests.research.samples import load_hourly, needs_recordings, random_decisions, stack

# It buys whole units: with so much cash a unit is nothing.
RULES = TradingRules(cash=1e13, fee_ratio=0.001, slippage_ratio=0.0, sizing=Sizing.FULL, min_notional=0.0)
HEADS = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}

pytestmark = [needs_recordings, pytest.mark.filterwarnings("ignore")]  # it warns of much that is meant here


@pytest.fixture(scope="module")
def market() -> CandleMatrix:
    """Two recorded years of three symbols."""
    return stack(*(load_hourly(f"{asset}_USDT", slice(20_000, 37_000)) for asset in ("BTC", "ETH", "BNB")))


def run_theirs(candles: CandleMatrix, decisions: Decisions) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Trades and equity by backtesting.py of the one symbol."""
    import backtesting

    class Replayed(backtesting.Strategy):  # type: ignore[misc]  # ships no types
        def init(self) -> None:
            pass

        def next(self) -> None:
            bar = len(self.data) - 1
            if self.position:
                if decisions.exits[0, bar]:
                    self.position.close()
            elif decisions.entries[0, bar]:
                close = candles.close[0, bar]
                stop, target = close - decisions.stop_distance[0, bar], close + decisions.target_distance[0, bar]
                self.buy(sl=stop, tp=target)

    index = pd.DatetimeIndex(candles.opened_at)
    frame = pd.DataFrame({head: getattr(candles, name)[0] for name, head in HEADS.items()}, index)
    engine = backtesting.Backtest(
        frame, Replayed, cash=RULES.cash, commission=RULES.fee_ratio, finalize_trades=True, exclusive_orders=False
    )
    stats: Any = engine.run()
    return stats["_trades"].sort_values("EntryBar"), stats["_equity_curve"]["Equity"]


def check_same(ours: Simulation, trades: pd.DataFrame, equity: pd.Series[float]) -> None:
    """Every trade that ended by itself is the same, and so is the equity at every close while they do."""
    made = ours.trades
    over = made.reason != ExitReason.END
    theirs = trades.iloc[: int(over.sum())]
    assert len(trades) == len(made)
    assert over.sum() > 20
    np.testing.assert_array_equal(made.entry_bar[over], theirs["EntryBar"])
    np.testing.assert_array_equal(made.exit_bar[over], theirs["ExitBar"])
    np.testing.assert_allclose(made.entry_price[over], theirs["EntryPrice"], rtol=1e-12)
    np.testing.assert_allclose(made.exit_price[over], theirs["ExitPrice"], rtol=1e-12)
    np.testing.assert_allclose(made.quantity[over], theirs["Size"], rtol=1e-6)
    np.testing.assert_allclose(made.profit[over], theirs["PnL"], rtol=1e-6, atol=1e4)
    last = int(made.entry_bar[~over][0]) if (~over).any() else len(ours.equity) - 1
    # It takes the fee of an entry into the equity when the trade is over, we when it is paid.
    flat = ours.held_value[:last] == 0
    np.testing.assert_allclose(ours.equity[:last][flat], equity.to_numpy()[:last][flat], rtol=1e-6)


def decide(strategy: Strategy, market: CandleMatrix, row: int) -> tuple[CandleMatrix, Decisions]:
    """Decisions with the whole market known, and the row they are about."""
    bars = len(market.opened_at)
    decisions = strategy.decide(IndicatorShelf(market))
    return cut_candles(market, 0, bars, [row]), cut_decisions(decisions, 0, bars, [row])


@pytest.mark.parametrize(("name", "row"), [(name, row % 3) for row, name in enumerate(STRATEGIES)])
def test_every_strategy_makes_the_same_trades(market: CandleMatrix, name: str, row: int) -> None:
    candles, decisions = decide(STRATEGIES[name](), market, row)
    ours = simulate(candles, decisions, RULES)
    assert ours.ran_away == 0  # it would buy there, and sell at once
    check_same(ours, *run_theirs(candles, decisions))


def test_decisions_by_chance_make_the_same_trades_of_every_kind(market: CandleMatrix) -> None:
    candles = cut_candles(market, 0, 5000, [2])
    decisions = random_decisions(candles, seed=5)
    ours = simulate(candles, decisions, RULES)
    assert set(np.unique(ours.trades.reason)) >= {ExitReason.SIGNAL, ExitReason.STOP, ExitReason.TARGET}
    assert (ours.trades.entry_bar == ours.trades.exit_bar).any()
    check_same(ours, *run_theirs(candles, decisions))


def test_prices_that_jump_past_levels_make_the_same_trades(market: CandleMatrix) -> None:
    """Every sixteenth candle of each: between two there is a gap."""
    every = slice(None, None, 16)
    whole = cut_candles(market, 0, 17_000, [1])
    parts = (getattr(whole, name)[:, every] for name in HEADS)
    candles = CandleMatrix(whole.symbols, "1h", whole.opened_at[every], *parts)
    decisions = random_decisions(candles, seed=6, often=0.3)
    ours = simulate(candles, decisions, RULES)
    gapped = np.isin(ours.trades.exit_price, candles.open[0]) & (ours.trades.reason != ExitReason.SIGNAL)
    assert gapped.sum() > 20
    kept = leave_out_run_away(candles, decisions)
    assert kept.entries.sum() < decisions.entries.sum()
    check_same(simulate(candles, kept, RULES), *run_theirs(candles, kept))


def leave_out_run_away(candles: CandleMatrix, decisions: Decisions) -> Decisions:
    """Take away the entries whose next open has passed their levels, which we do not make and it sells at once."""
    next_open = np.append(candles.open[:, 1:], candles.close[:, -1:], axis=1)
    inside = (next_open > candles.close - decisions.stop_distance) & (
        next_open < candles.close + decisions.target_distance
    )
    return replace(decisions, entries=decisions.entries & inside)
