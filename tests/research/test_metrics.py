"""What a backtest amounts to, by numbers worked out by hand and against an independent library."""

from __future__ import annotations

from dataclasses import replace

import empyrical
import numpy as np
import pandas as pd
import pytest

from lib.indicators.shelf import IndicatorShelf
from lib.research.engine import simulate
from lib.research.metrics import calc_growth, calc_held_equity, calc_metrics
from lib.research.rules import Sizing, TradingRules
from lib.strategy.registry import STRATEGIES
from tests.research.samples import FREE, candles_of, decisions_on, load_hourly, needs_recordings
from tests.strategy.worlds import make_walk

QUIET = (100.0, 101.0, 99.0, 100.0)


def test_trades_are_counted_and_weighed() -> None:
    rise, fall = (100.0, 125.0, 100.0, 100.0), (100.0, 100.0, 85.0, 100.0)
    candles = candles_of([QUIET, rise, QUIET, QUIET, fall, QUIET, QUIET, rise, QUIET, QUIET])
    done = simulate(candles, decisions_on(candles, enter=[0, 3, 6]), FREE)
    metrics = calc_metrics(candles, done, FREE)
    assert metrics.trades == 3
    assert metrics.win_rate == pytest.approx(2 / 3)
    # 1000 + 200 = 1200, less 120 = 1080, and 216 more
    assert metrics.profit_factor == pytest.approx(416 / 120)
    assert metrics.average_return == pytest.approx((0.2 - 0.1 + 0.2) / 3)
    assert metrics.growth.total_return == pytest.approx(0.296)
    assert metrics.growth.max_drawdown == pytest.approx(-0.1)
    assert metrics.growth.drawdown_days == pytest.approx(
        4 / 24
    )  # from the close of the fourth candle to that of the eighth
    assert metrics.days == pytest.approx(10 / 24)
    assert metrics.time_in_market == 0  # each ended within its candle
    assert metrics.growth.sharpe is None


def test_time_and_share_in_the_market() -> None:
    candles = candles_of([QUIET] * 10)
    rules = TradingRules(fee_ratio=0, slippage_ratio=0)
    metrics = calc_metrics(candles, simulate(candles, decisions_on(candles, enter=[1], leave=[4]), rules), rules)
    assert metrics.time_in_market == pytest.approx(3 / 10)
    assert metrics.exposure == pytest.approx(0.3 * 0.1)  # 10 of 1,000 at risk by a distance of 10, so 1,000 of 10,000
    assert (metrics.win_rate, metrics.profit_factor) == (0, None)


def test_holding_pays_the_same_costs_and_waits_for_late_symbols() -> None:
    candles = candles_of([QUIET, (100, 111, 99, 110), None], [None, (50, 61, 49, 60), (60, 61, 59, 60)])
    rules = TradingRules(cash=2000, fee_ratio=0.01, slippage_ratio=0.02)
    first, second = 1000 / (100 * 1.02 * 1.01), 1000 / (50 * 1.02 * 1.01)
    held = calc_held_equity(candles, rules)
    assert held[:2] == pytest.approx([first * 100 + 1000, first * 110 + second * 60])
    assert held[2] == pytest.approx((first * 110 + second * 60) * 0.98 * 0.99)


@needs_recordings
@pytest.mark.parametrize("name", STRATEGIES)
def test_growth_is_what_an_independent_library_says(name: str) -> None:
    candles = load_hourly(bars=slice(0, 12_000))
    rules = TradingRules(sizing=Sizing.FULL)
    done = simulate(candles, STRATEGIES[name]().decide(IndicatorShelf(candles)), rules)
    ours = calc_growth(candles, done.equity, rules.cash)
    by_day = pd.Series(done.equity, pd.DatetimeIndex(candles.opened_at)).resample("1D").last().to_numpy()
    daily, by_candle = (
        np.diff(curve) / curve[:-1] for curve in (np.append(rules.cash, by_day), np.append(rules.cash, done.equity))
    )
    year = {"annualization": 365}
    assert ours.volatility == pytest.approx(empyrical.annual_volatility(daily, **year))
    assert ours.sharpe == pytest.approx(empyrical.sharpe_ratio(daily, **year))
    assert ours.sortino == pytest.approx(empyrical.sortino_ratio(daily, **year))
    assert ours.max_drawdown == pytest.approx(empyrical.max_drawdown(by_candle))
    assert ours.annual_return == pytest.approx(empyrical.cagr(daily, **year))
    assert ours.total_return == pytest.approx(empyrical.cum_returns_final(daily))
    assert ours.calmar == pytest.approx(empyrical.cagr(daily, **year) / -empyrical.max_drawdown(by_candle))


def test_the_same_equity_has_the_same_metrics_at_every_timeframe() -> None:
    """Daily returns and 365 days, whatever the candles' width."""
    hourly = make_walk(1, 24 * 40)
    done = simulate(hourly, STRATEGIES["breakout"]().decide(IndicatorShelf(hourly)), FREE)
    ends = np.arange(23, 24 * 40, 24)
    daily = replace(
        hourly,
        timeframe="1d",
        opened_at=hourly.opened_at[::24],
        close=hourly.close[:, ends],
    )
    by_hour, by_day = calc_growth(hourly, done.equity, 1000), calc_growth(daily, done.equity[ends], 1000)
    for name in ("total_return", "annual_return", "volatility", "sharpe", "sortino"):
        assert getattr(by_hour, name) == pytest.approx(getattr(by_day, name))
