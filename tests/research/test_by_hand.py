"""The engine's order of events, case by case, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.errors import DataError, OperatorError
from lib.research.engine import Simulation, simulate
from lib.research.rules import Sizing, TradingRules
from lib.research.trades import ExitReason, list_trades
from tests.research.samples import FREE, candles_of, decisions_on

QUIET = (100.0, 101.0, 99.0, 100.0)


def only_trade(simulation: Simulation) -> tuple[int, int, float, float, ExitReason]:
    """Bar in, bar out, price in, price out and why, of the one trade."""
    trades = simulation.trades
    assert len(trades) == 1
    prices = float(trades.entry_price[0]), float(trades.exit_price[0])
    return int(trades.entry_bar[0]), int(trades.exit_bar[0]), *prices, ExitReason(trades.reason[0])


def test_a_signal_is_filled_at_the_next_open_and_an_exit_too() -> None:
    candles = candles_of([QUIET, (102, 103, 101, 102), (104, 105, 103, 104), (103, 104, 102, 103)])
    done = simulate(candles, decisions_on(candles, enter=[0], leave=[2]), FREE)
    assert only_trade(done) == (1, 3, 102.0, 103.0, ExitReason.SIGNAL)
    quantity = 1000 / 102
    np.testing.assert_allclose(done.equity, [1000, quantity * 102, quantity * 104, quantity * 103])
    np.testing.assert_allclose(done.held_value, [0, quantity * 102, quantity * 104, 0])


def test_the_stop_is_so_far_below_the_close_that_decided_and_sells_at_its_price() -> None:
    candles = candles_of([QUIET, (101, 102, 95, 96), (95, 96, 88, 94)])
    assert only_trade(simulate(candles, decisions_on(candles, enter=[0]), FREE)) == (1, 2, 101, 90, ExitReason.STOP)


def test_the_target_sells_at_its_price() -> None:
    candles = candles_of([QUIET, (101, 110, 100, 109), (110, 125, 109, 118)])
    assert only_trade(simulate(candles, decisions_on(candles, enter=[0]), FREE)) == (1, 2, 101, 120, ExitReason.TARGET)


def test_a_level_that_is_just_touched_is_reached() -> None:
    low, high = (candles_of([QUIET, QUIET, candle, QUIET]) for candle in ((95, 96, 90, 94), (110, 120, 109, 118)))
    assert only_trade(simulate(low, decisions_on(low, enter=[0]), FREE)) == (1, 2, 100, 90, ExitReason.STOP)
    assert only_trade(simulate(high, decisions_on(high, enter=[0]), FREE)) == (1, 2, 100, 120, ExitReason.TARGET)


def test_where_both_are_reached_in_a_candle_the_stop_counts() -> None:
    candles = candles_of([QUIET, (101, 102, 100, 101), (101, 130, 80, 101)])
    assert only_trade(simulate(candles, decisions_on(candles, enter=[0]), FREE)) == (1, 2, 101, 90, ExitReason.STOP)


@pytest.mark.parametrize(
    ("candle", "price", "reason"),
    [
        ((85.0, 130.0, 80.0, 100.0), 85.0, ExitReason.STOP),
        ((90.0, 95.0, 90.0, 95.0), 90.0, ExitReason.STOP),
        ((125.0, 126.0, 80.0, 100.0), 125.0, ExitReason.TARGET),
        ((120.0, 121.0, 80.0, 100.0), 120.0, ExitReason.TARGET),
    ],
    ids=["below the stop", "on the stop", "above the target", "on the target"],
)
def test_a_gap_through_a_level_sells_at_the_open(
    candle: tuple[float, float, float, float], price: float, reason: ExitReason
) -> None:
    candles = candles_of([QUIET, (101, 102, 100, 101), candle])
    assert only_trade(simulate(candles, decisions_on(candles, enter=[0]), FREE)) == (1, 2, 101, price, reason)


def test_stop_and_target_count_in_the_candle_of_the_entry() -> None:
    falling, rising = (candles_of([QUIET, (101, 102, low, 101), QUIET]) for low in (89, 95))
    assert only_trade(simulate(falling, decisions_on(falling, enter=[0]), FREE)) == (1, 1, 101, 90, ExitReason.STOP)
    done = simulate(rising, decisions_on(rising, enter=[0], target=1.5), FREE)
    assert only_trade(done) == (1, 1, 101, 101.5, ExitReason.TARGET)


def test_an_exit_that_was_decided_comes_before_the_gap_through_the_stop() -> None:
    candles = candles_of([QUIET, QUIET, (85, 86, 80, 81)])
    done = simulate(candles, decisions_on(candles, enter=[0], leave=[1]), FREE)
    assert only_trade(done) == (1, 2, 100, 85, ExitReason.SIGNAL)


def test_an_entry_whose_open_has_passed_its_levels_is_not_made() -> None:
    for price in (90.0, 85.0, 120.0, 130.0):
        candles = candles_of([QUIET, (price,) * 4, QUIET])
        done = simulate(candles, decisions_on(candles, enter=[0]), FREE)
        assert (len(done.trades), done.ran_away) == (0, 1)
        assert done.equity.tolist() == [1000, 1000, 1000]


def test_fee_and_slippage_are_paid_on_both_sides() -> None:
    candles = candles_of([QUIET, QUIET, QUIET, (110, 111, 109, 110)])
    rules = TradingRules(cash=1000, fee_ratio=0.01, slippage_ratio=0.02, sizing=Sizing.FULL)
    done = simulate(candles, decisions_on(candles, enter=[0], leave=[2]), rules)
    quantity = 1000 / (102 * 1.01)  # all cash, the fee included
    received = quantity * 110 * 0.98
    np.testing.assert_allclose(only_trade(done), (1, 3, 102, 107.8, ExitReason.SIGNAL))
    assert done.equity[-1] == pytest.approx(received * 0.99)
    assert done.trades.fees[0] == pytest.approx(0.01 * (quantity * 102 + received))
    assert done.trades.profit[0] == pytest.approx(received * 0.99 - 1000)
    assert done.equity[1] == pytest.approx(quantity * 100)


def test_what_is_held_after_the_last_candle_is_sold_at_its_close_with_costs() -> None:
    candles = candles_of([QUIET, QUIET, (100, 108, 99, 107)])
    rules = TradingRules(cash=1000, fee_ratio=0.01, slippage_ratio=0.0, sizing=Sizing.FULL)
    done = simulate(candles, decisions_on(candles, enter=[0]), rules)
    assert only_trade(done) == (1, 2, 100, 107, ExitReason.END)
    assert done.equity[-1] == pytest.approx(1000 / 101 * 107 * 0.99)
    assert done.held_value[-1] == 0


def test_a_signal_at_the_last_candle_buys_nothing() -> None:
    candles = candles_of([QUIET, QUIET])
    done = simulate(candles, decisions_on(candles, enter=[1]), FREE)
    assert len(done.trades) == 0
    assert done.equity.tolist() == [1000, 1000]


def test_the_last_candle_may_be_the_one_of_the_entry() -> None:
    candles = candles_of([QUIET, (101, 103, 100, 102)])
    assert only_trade(simulate(candles, decisions_on(candles, enter=[0]), FREE)) == (1, 1, 101, 102, ExitReason.END)


def test_what_is_held_is_not_added_to_and_an_entry_at_the_candle_of_the_stop_counts() -> None:
    candles = candles_of([QUIET, QUIET, QUIET, (100, 101, 89, 100), (100, 101, 99, 100), QUIET])
    done = simulate(candles, decisions_on(candles, enter=[0, 1, 3]), FREE)
    assert done.trades.entry_bar.tolist() == [1, 4]
    assert done.trades.exit_bar.tolist() == [3, 5]


def test_orders_wait_for_the_next_candle_where_one_is_missing() -> None:
    candles = candles_of([QUIET, None, (103, 104, 102, 103), None, (105, 106, 104, 105), QUIET])
    done = simulate(candles, decisions_on(candles, enter=[0], leave=[2]), FREE)
    assert only_trade(done) == (2, 4, 103, 105, ExitReason.SIGNAL)
    assert done.equity[3] == pytest.approx(1000)  # valued at the last close


def test_a_symbol_that_ends_early_is_sold_at_its_last_close() -> None:
    candles = candles_of([QUIET, QUIET, (100, 106, 99, 105), None, None], [QUIET] * 5)
    done = simulate(candles, decisions_on(candles, enter=[(0, 0)]), FREE)
    assert only_trade(done) == (1, 4, 100, 105, ExitReason.END)
    np.testing.assert_allclose(done.equity, [1000, 1000, 1025, 1025, 1025])  # half of the equity for each symbol


def test_size_by_risk_loses_that_share_at_the_stop() -> None:
    candles = candles_of([QUIET, QUIET, (100, 101, 85, 90)])
    rules = TradingRules(cash=10_000, fee_ratio=0, slippage_ratio=0, max_position_ratio=1)
    done = simulate(candles, decisions_on(candles, enter=[0]), rules)
    assert done.trades.quantity[0] == pytest.approx(10)  # 1 % of 10,000 by a distance of 10
    assert done.equity[-1] == pytest.approx(9_900)


def test_the_largest_position_and_the_reserve_limit_the_size() -> None:
    candles = candles_of([QUIET] * 4)
    decisions = decisions_on(candles, enter=[0], stop=0.5)
    free = TradingRules(cash=10_000, fee_ratio=0, slippage_ratio=0, max_position_ratio=0.15)
    full = simulate(candles, decisions, free)
    kept = simulate(candles, decisions, replace(free, max_position_ratio=1, cash_reserve_ratio=0.9))
    assert full.trades.quantity[0] == pytest.approx(15)
    assert kept.trades.quantity[0] == pytest.approx(10)


def test_symbols_share_the_cash_and_the_highest_score_is_served_first() -> None:
    candles = candles_of([QUIET] * 4, [QUIET] * 4, [QUIET] * 4)
    decisions = decisions_on(candles, enter=[(0, 0), (1, 0), (2, 0)], stop=0.5, score={0: 0.2, 1: 0.9, 2: 0.5})
    rules = TradingRules(cash=10_000, fee_ratio=0, slippage_ratio=0, max_position_ratio=0.5, cash_reserve_ratio=0.2)
    done = simulate(candles, decisions, rules)
    assert dict(zip(done.trades.row.tolist(), done.trades.quantity.tolist(), strict=True)) == pytest.approx(
        {1: 50.0, 2: 30.0}
    )
    assert done.too_small == 1


def test_an_entry_below_the_least_notional_is_not_made() -> None:
    candles = candles_of([QUIET] * 3)
    done = simulate(candles, decisions_on(candles, enter=[0]), TradingRules(cash=10, min_notional=5))
    assert (len(done.trades), done.too_small) == (0, 1)


def test_trades_are_told_with_symbols_instants_and_words() -> None:
    candles = candles_of([QUIET] * 3, [QUIET, QUIET, (100, 101, 85, 90)])
    (trade,) = list_trades(simulate(candles, decisions_on(candles, enter=[(1, 0)]), FREE).trades, candles)
    assert (trade.symbol, trade.reason) == ("S1/USDT", "stop")
    assert trade.return_ratio == pytest.approx(-0.1)
    assert f"{trade.entered_at:%m-%d %H:%M} {trade.exited_at:%m-%d %H:%M %Z}" == "01-01 01:00 01-01 02:00 UTC"


def test_candles_that_are_impossible_or_absent_are_refused_by_name() -> None:
    half = candles_of([QUIET, (100, np.nan, 99, 100)])
    with pytest.raises(DataError, match=r"candle of S0/USDT of 2026-01-01T01:00.* is impossible"):
        simulate(half, decisions_on(half), FREE)
    beyond = candles_of([QUIET, (100, 99.5, 99, 100)])
    with pytest.raises(DataError, match="is impossible"):
        simulate(beyond, decisions_on(beyond), FREE)
    nothing = candles_of([None, None])
    with pytest.raises(DataError, match="Expected 1h candles of S0/USDT, was none"):
        simulate(nothing, decisions_on(nothing), FREE)


def test_decisions_that_cannot_be_traded_are_refused() -> None:
    candles = candles_of([QUIET] * 3)
    with pytest.raises(OperatorError, match=r"entries: expected the shape \(1, 3\) .* was \(1, 2\)"):
        simulate(candles, decisions_on(candles_of([QUIET] * 2)), FREE)
    for stop, target in ((np.nan, 20), (0, 20), (100, 20), (10, 0), (10, np.nan)):
        with pytest.raises(OperatorError, match="target distance"):
            simulate(candles, decisions_on(candles, enter=[1], stop=stop, target=target), FREE)
    gap = candles_of([QUIET, None, QUIET])
    with pytest.raises(OperatorError, match="Expected a candle"):
        simulate(gap, decisions_on(gap, enter=[1]), FREE)


@pytest.mark.parametrize(
    "wrong", [{"cash": 0}, {"fee_ratio": -0.1}, {"slippage_ratio": 0.5}, {"max_position_ratio": 1.1}]
)
def test_rules_that_no_account_could_trade_by_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OperatorError, match=next(iter(wrong)).replace("_", ".")):
        TradingRules(**wrong)  # type: ignore[arg-type]  # floats for floats
