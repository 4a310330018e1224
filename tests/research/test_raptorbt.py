"""Trade by trade against raptorbt, which counts cash, fees, slippage and equity at every close as we do.

Four of its rules are not ours, so what they decide is kept out of these candles and decisions:

* Its stops are a share of the price that was paid, ours a distance from the close that decided. With candles that open
  at the close before, and no slippage, both are the same price; so opens are moved there where levels are tried.
* It takes signals in turns: after an entry the next one counts only when an exit was signalled between them, whatever
  a stop or target has sold since. So entries out of turn are taken away.
* It values what is held at the end at the close, we sell it with fee and slippage. So that sale is left out.
* It fills a target at its price even when the open is beyond it. There is no such open on moved candles, and
  backtesting.py fills it at the open as we do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix
from lib.research.engine import Simulation, simulate
from lib.research.rules import Sizing, TradingRules
from lib.research.trades import ExitReason
from lib.strategy.registry import STRATEGIES
from lib.strategy.strategy import Decisions
from tests.research.samples import load_five_minute, needs_recordings, random_decisions

RULES = TradingRules(fee_ratio=0.001, slippage_ratio=0.0, sizing=Sizing.FULL, min_notional=0.0)
WORDS = {
    "Signal": ExitReason.SIGNAL,
    "StopLoss": ExitReason.STOP,
    "TakeProfit": ExitReason.TARGET,
    "EndOfData": ExitReason.END,
}

pytestmark = needs_recordings


@pytest.fixture
def raptorbt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine, kept from asking the network for its newest version."""
    monkeypatch.setenv("RAPTORBT_NO_VERSION_CHECK", "1")
    import raptorbt

    return raptorbt


def run_theirs(
    engine: Any, candles: CandleMatrix, decisions: Decisions, rules: TradingRules, levels: tuple[float, float] | None
) -> Any:
    """Run raptorbt with the same signals; levels are shares of the price."""
    instrument = engine.InstrumentConfig()
    if levels is not None:
        instrument.set_fixed_stop(levels[0])
        instrument.set_fixed_target(levels[1])
    config = engine.BacktestConfig(
        initial_capital=rules.cash, fees=rules.fee_ratio, slippage=rules.slippage_ratio, fill_timing="next_bar_open"
    )
    names = ("open", "high", "low", "close", "volume")
    return engine.run_single_backtest(
        timestamps=candles.opened_at.astype("datetime64[ns]").astype(np.int64),
        **{name: np.ascontiguousarray(getattr(candles, name)[0]) for name in names},
        entries=np.ascontiguousarray(decisions.entries[0]),
        exits=np.ascontiguousarray(decisions.exits[0]),
        config=config,
        instrument_config=instrument,
    )


def check_same(ours: Simulation, theirs: Any) -> None:
    """Every trade is the same, and the equity at every close, but for the sale at the end."""
    made, trades = ours.trades, theirs.trades()
    np.testing.assert_array_equal(made.entry_bar, [trade.entry_idx for trade in trades])
    is_held = int(made.reason[-1] == ExitReason.END)
    compared = len(made) - is_held
    np.testing.assert_array_equal(made.exit_bar, [trade.exit_idx for trade in trades])
    np.testing.assert_array_equal(made.reason, [WORDS[trade.exit_reason] for trade in trades])
    for name, column in (
        ("entry_price", made.entry_price),
        ("exit_price", made.exit_price),
        ("size", made.quantity),
        ("fees", made.fees),
    ):
        expected = [getattr(trade, name) for trade in trades[:compared]]
        np.testing.assert_allclose(column[:compared], expected, rtol=1e-9, err_msg=name)
    profits = [trade.pnl for trade in trades[:compared]]
    np.testing.assert_allclose(made.profit[:compared], profits, rtol=1e-7, atol=1e-7)
    closes = len(ours.equity) - is_held
    np.testing.assert_allclose(ours.equity[:closes], theirs.equity_curve()[:closes], rtol=1e-9)


@pytest.mark.parametrize("name", STRATEGIES)
def test_signals_alone_earn_the_same_with_fee_and_slippage(raptorbt: Any, name: str) -> None:
    candles = load_five_minute("SOL_USDT")
    decided = STRATEGIES[name]().decide(IndicatorShelf(candles))
    far = replace(decided, stop_distance=0.99 * candles.close, target_distance=99 * candles.close)
    rules = replace(RULES, slippage_ratio=0.0005)
    ours = simulate(candles, far, rules)
    assert len(ours.trades) > 100
    check_same(ours, run_theirs(raptorbt, candles, decided, rules, None))


@pytest.mark.parametrize("symbol", ["BTC_USDT", "DOGE_USDT"])
def test_stops_and_targets_earn_the_same(raptorbt: Any, symbol: str) -> None:
    candles = move_opens(load_five_minute(symbol))
    decided = take_turns(random_decisions(candles, seed=7, often=0.2))
    levels = 0.004, 0.008
    decided = replace(decided, stop_distance=levels[0] * candles.close, target_distance=levels[1] * candles.close)
    ours = simulate(candles, decided, RULES)
    assert (np.bincount(ours.trades.reason)[:3] > 30).all()
    check_same(ours, run_theirs(raptorbt, candles, decided, RULES, levels))


def move_opens(candles: CandleMatrix) -> CandleMatrix:
    """Let every candle open at the close before."""
    opens = np.concatenate([candles.open[:, :1], candles.close[:, :-1]], axis=1)
    return replace(candles, open=opens, high=np.maximum(candles.high, opens), low=np.minimum(candles.low, opens))


def take_turns(decided: Decisions) -> Decisions:
    """Take away every entry that follows another one without an exit between them."""
    kept = decided.entries.copy()
    is_in = False
    for bar in range(kept.shape[1]):
        if decided.exits[0, bar]:
            is_in = False
        kept[0, bar] &= not is_in
        is_in |= bool(kept[0, bar])
    return replace(decided, entries=kept)
