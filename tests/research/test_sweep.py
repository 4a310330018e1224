"""Many parameters at once earn what each of them earns alone, trade for trade."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import DataError, StrategyRefused
from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix
from lib.research.engine import simulate
from lib.research.metrics import calc_metrics
from lib.research.rules import Sizing, TradingRules
from lib.research.sweep import Sweep, group_by_signals, sweep
from lib.research.windows import cut_candles, cut_decisions
from lib.strategy.breakout import Breakout
from lib.strategy.conditions import Condition, Line
from lib.strategy.registry import STRATEGIES
from lib.strategy.strategy import Strategy
from tests.research.samples import candles_of, load_hourly, needs_recordings
from tests.strategy.test_strategies import parameters_of
from tests.strategy.worlds import make_candles, make_walk

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
SHARED = ("total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")


def check_same(
    found: Sweep, place: int, candles: CandleMatrix, row: int, first: int, rules: TradingRules, *, whole: bool
) -> None:
    """Compare one row of a sweep with the engine's own answer; `whole`: no candle is missing."""
    bars = len(candles.opened_at)
    decisions = found.strategies[place].decide(IndicatorShelf(candles))
    window = cut_candles(candles, first, bars, [row])
    alone = simulate(window, cut_decisions(decisions, first, bars, [row]), rules)
    metrics = calc_metrics(window, alone, rules)
    assert found.trades[place] == len(alone.trades)
    for name in SHARED:
        expected = getattr(metrics.growth, name)
        shown = getattr(found, name)[place]
        assert shown == pytest.approx(np.nan if expected is None else expected, rel=1e-9, abs=1e-12, nan_ok=True), name
    for name in ("win_rate", "profit_factor"):
        expected = getattr(metrics, name)
        shown = getattr(found, name)[place]
        assert shown == pytest.approx(np.nan if expected is None else expected, rel=1e-7, nan_ok=True), name
    assert found.fees[place] == pytest.approx(metrics.fees)
    if whole:
        assert found.time_in_market[place] == pytest.approx(metrics.time_in_market)


@every_strategy
@settings(max_examples=10)
@given(
    data=st.data(),
    seed=st.integers(0, 10**6),
    gaps=st.sampled_from([0.0, 0.1]),
    sizing=st.sampled_from(Sizing),
    first=st.sampled_from([0, 307]),
)
def test_every_row_is_what_the_engine_says(
    strategy: type[Strategy], data: st.DataObject, seed: int, gaps: float, sizing: Sizing, first: int
) -> None:
    candles = make_walk(2, 1200, seed=seed, gaps=gaps, volatility=0.02)
    chosen = data.draw(st.lists(parameters_of(strategy), min_size=2, max_size=4))
    chosen.append(chosen[0].model_copy(update={"stop_atr": 1.0, "target_atr": 2.0}))
    rules = TradingRules(sizing=sizing)
    found = sweep(chosen, candles, "S1/USDT", first, rules, threads=1)
    for place in range(len(chosen)):
        check_same(found, place, candles, 1, first, rules, whole=gaps == 0)


@needs_recordings
@every_strategy
def test_recorded_candles_with_gaps_earn_the_same(strategy: type[Strategy]) -> None:
    candles = load_hourly(bars=slice(0, 9000))
    chosen = [strategy(stop_atr=stop, target_atr=target) for stop in (1.0, 2.0) for target in (2.0, 8.0)]
    rules = TradingRules(sizing=Sizing.FULL)
    found = sweep(chosen, candles, "BTC/USDT", 500, rules)
    assert found.trades.min() > 10
    assert len(set(found.total_return)) > 1
    for place in range(4):
        check_same(found, place, candles, 0, 500, rules, whole=True)


def test_the_number_of_threads_changes_nothing() -> None:
    candles = make_walk(1, 2000)
    chosen = [STRATEGIES["breakout"].model_validate({"channel": channel}) for channel in (10, 20, 30, 40, 50, 60)]
    one, many = (sweep(chosen, candles, "S0/USDT", 0, TradingRules(), threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.daily_returns, many.daily_returns)


def test_strategies_that_differ_in_levels_alone_share_their_signals() -> None:
    breakout = STRATEGIES["breakout"]
    chosen = [breakout(), breakout(stop_atr=3.0), breakout(atr_period=7), breakout(target_atr=2.0)]
    assert list(group_by_signals(chosen).values()) == [[3, 0, 1], [2]]  # the nearest levels first


@every_strategy
def test_signals_do_not_depend_on_the_levels(strategy: type[Strategy]) -> None:
    """What `group_by_signals` takes for granted, of every strategy there is."""
    shelf = IndicatorShelf(make_walk(2, 1500))
    near, far = (
        strategy(stop_atr=1.0, target_atr=2.0).decide(shelf),
        strategy(stop_atr=4.0, target_atr=8.0).decide(shelf),
    )
    np.testing.assert_array_equal(near.exits, far.exits)
    np.testing.assert_array_equal(near.entries, far.entries)


def test_a_sweep_without_candles_is_refused() -> None:
    with pytest.raises(DataError, match="was none"):
        sweep([STRATEGIES["breakout"]()], candles_of([None] * 3), "S0/USDT", 0, TradingRules())


def test_without_a_trade_nothing_is_earned_and_no_measure_is_made_up() -> None:
    candles = make_walk(1, 100)
    still = replace(candles, **{name: np.full_like(candles.close, 5.0) for name in ("open", "high", "low", "close")})  # type: ignore[arg-type]  # matrices alone
    found = sweep([STRATEGIES["breakout"]()], still, "S0/USDT", 0, TradingRules())
    assert (found.trades[0], found.total_return[0], found.max_drawdown[0]) == (0, 0, 0)
    assert np.isnan(
        [found.sharpe[0], found.sortino[0], found.calmar[0], found.win_rate[0], found.profit_factor[0]]
    ).all()


class Crooked(Breakout):
    """Its line has another shape than the candles."""

    name: ClassVar[str] = "crooked"

    def exit_when(self, shelf: IndicatorShelf) -> tuple[Condition, ...]:
        wrong = Line("wrong", np.zeros((1, 3)))
        return (Condition(wrong, "above", wrong),)


def test_lines_that_do_not_fit_the_candles_are_refused() -> None:
    with pytest.raises(StrategyRefused, match="crooked: expected lines of the shape"):
        sweep([Crooked()], make_walk(1, 200), "S0/USDT", 0, TradingRules())


def test_a_flat_price_and_indicators_that_are_never_known_earn_nothing() -> None:
    flat = sweep([Breakout()], make_candles(np.full((1, 400), 100.0)), "S0/USDT", 0, TradingRules())
    short = sweep([STRATEGIES["trend_following"]()], make_walk(1, 150), "S0/USDT", 0, TradingRules())
    assert flat.trades.tolist() == short.trades.tolist() == [0]
    assert np.isnan([flat.sharpe, short.sharpe]).all()


def test_levels_in_any_order_earn_the_same() -> None:
    """Farther levels go on looking where nearer ones were sold, whatever is asked for first."""
    candles = make_walk(1, 3000, volatility=0.02)
    pairs = [(stop, target) for stop in (1.0, 2.0, 4.0) for target in (2.0, 8.0, 5.0)]
    chosen = [Breakout(stop_atr=stop, target_atr=target) for stop, target in pairs]
    together = sweep(chosen, candles, "S0/USDT", 0, TradingRules())
    alone = [sweep([one], candles, "S0/USDT", 0, TradingRules()) for one in reversed(chosen)][::-1]
    assert together.trades.sum() > 100
    np.testing.assert_array_equal(together.total_return, [one.total_return[0] for one in alone])
    np.testing.assert_array_equal(together.max_drawdown, [one.max_drawdown[0] for one in alone])
    np.testing.assert_array_equal(together.time_in_market, [one.time_in_market[0] for one in alone])
