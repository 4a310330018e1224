"""What today's holdings may lose within a day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.matrix import CandleMatrix
from lib.risk.value_at_risk import ValueAtRisk, calc_tail, calc_value_at_risk
from tests.risk.samples import daily, random_returns, walk

NAN = float("nan")
P95, P99 = Decimal("0.95"), Decimal("0.99")


def calc(candles: CandleMatrix, equity: str, **values: str) -> ValueAtRisk | None:
    held = {f"{base}/USDT": Decimal(value) for base, value in values.items()}
    return calc_value_at_risk(candles, held, Decimal(equity), min_days=100)


def found(result: ValueAtRisk | None) -> ValueAtRisk:
    assert result is not None
    return result


def test_of_a_hundred_losses_the_sixth_worst_is_the_value_at_risk_and_the_five_worst_are_the_shortfall() -> None:
    tail = calc_tail(np.arange(1.0, 101.0), P95)
    assert (tail.value_at_risk, tail.expected_shortfall) == (95, 98)


def test_the_last_day_of_the_tail_counts_in_part() -> None:
    tail = calc_tail(np.arange(1.0, 131.0), P95)  # 6.5 days: 125 to 130, and half of 124
    assert tail.value_at_risk == 124
    assert tail.expected_shortfall == pytest.approx((765 + 62) / 6.5)


@given(losses=st.lists(st.floats(-1, 1), min_size=20, max_size=400), confidence=st.sampled_from([P95, P99]))
def test_the_quantile_is_the_inverse_of_the_empirical_distribution(losses: list[float], confidence: Decimal) -> None:
    tail = calc_tail(np.array(losses), confidence)
    assert sum(loss <= tail.value_at_risk for loss in losses) >= len(losses) * confidence
    assert sum(loss < tail.value_at_risk for loss in losses) < len(losses) * confidence
    if len(losses) * confidence % 1:  # else the float product may fall on either side of the rank
        expected = np.quantile(np.array(losses), float(confidence), method="inverted_cdf")
        assert tail.value_at_risk == expected


@given(losses=st.lists(st.floats(-1, 1), min_size=20, max_size=400))
def test_the_shortfall_is_never_below_the_value_at_risk_and_rises_with_confidence(losses: list[float]) -> None:
    low, high = (calc_tail(np.array(losses), confidence) for confidence in (P95, P99))
    for tail in (low, high):
        assert tail.expected_shortfall >= tail.value_at_risk - 1e-12
        assert tail.expected_shortfall <= max(losses) + 1e-12
    assert high.value_at_risk >= low.value_at_risk
    assert high.expected_shortfall >= low.expected_shortfall - 1e-12


def test_a_holding_is_measured_against_equity_so_cash_dampens() -> None:
    returns = [-number / 1000 for number in range(1, 101)]  # losses of 0.1 % to 10 %
    result = found(calc(daily(SOL=walk(returns)), "10000", SOL="5000"))
    assert result.tail_95.value_at_risk == pytest.approx(0.5 * 0.095)
    assert result.tail_95.expected_shortfall == pytest.approx(0.5 * 0.098)
    assert result.tail_99.value_at_risk == pytest.approx(0.5 * 0.099)
    assert result.tail_99.expected_shortfall == pytest.approx(0.5 * 0.1)
    assert result.worst_loss == pytest.approx(0.05)
    assert (result.days, result.worst_day) == (100, date(2024, 10, 3))


def test_holdings_that_move_against_each_other_offset() -> None:
    returns = random_returns(200, seed=1)
    candles = daily(UP=walk(returns), DOWN=walk([-one for one in returns]))
    result = found(calc(candles, "100", UP="50", DOWN="50"))
    assert result.tail_99.expected_shortfall == pytest.approx(0, abs=1e-12)


def test_it_equals_numpys_quantile_of_the_portfolios_days() -> None:
    first, second = random_returns(365, seed=2), random_returns(365, seed=3)
    result = found(calc(daily(BTC=walk(first), ETH=walk(second)), "1000", BTC="600", ETH="300"))
    losses = -(0.6 * np.array(first) + 0.3 * np.array(second))
    assert result.tail_95.value_at_risk == pytest.approx(np.quantile(losses, 0.95, method="inverted_cdf"))
    assert (
        result.tail_95.expected_shortfall
        == pytest.approx(  # 18.25 days
            (np.sort(losses)[-18:].sum() + 0.25 * np.sort(losses)[-19]) / 18.25
        )
    )


def test_fewer_days_than_needed_are_not_enough() -> None:
    returns = random_returns(99, seed=4)
    assert calc(daily(SOL=walk(returns)), "100", SOL="100") is None
    assert calc(daily(SOL=walk([*returns, 0.01])), "100", SOL="100") is not None


def test_a_young_symbol_moves_as_the_others_do_and_is_named() -> None:
    old, young = walk(random_returns(150, seed=5)), [NAN] * 100 + walk(random_returns(50, seed=6))
    both = found(calc(daily(BTC=old, NEW=young), "100", BTC="60", NEW="20"))
    alone = found(calc(daily(BTC=old), "100", BTC="80"))
    assert both.assumed == ("NEW/USDT",)
    assert both.tail_95 == alone.tail_95


def test_assets_without_candles_move_as_the_others_do() -> None:
    candles = daily(BTC=walk(random_returns(150, seed=5)), XYZ=[NAN] * 151)
    both = found(calc(candles, "100", BTC="60", XYZ="20"))
    assert both.assumed == ("XYZ/USDT",)
    assert both.tail_95 == found(calc(candles, "100", BTC="80")).tail_95


def test_when_most_of_it_has_no_history_nothing_is_claimed() -> None:
    candles = daily(BTC=walk(random_returns(150, seed=5)), NEW=[NAN] * 151)
    assert calc(candles, "100", BTC="49", NEW="51") is None
    assert calc(candles, "100", BTC="50", NEW="50") is not None


def test_a_missing_day_takes_its_two_returns_out_for_all() -> None:
    first, second = walk(random_returns(150, seed=7)), walk(random_returns(150, seed=8))
    second[40] = NAN
    assert found(calc(daily(BTC=first, ETH=second), "100", BTC="50", ETH="50")).days == 148


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), NAN])
def test_an_impossible_price_is_a_missing_one(bad: float) -> None:
    closes = walk(random_returns(150, seed=9))
    closes[75] = bad
    result = found(calc(daily(SOL=closes), "100", SOL="100"))
    assert result.days == 148
    assert 0 < result.worst_loss < 0.5


def test_a_flat_price_has_no_loss() -> None:
    result = found(calc(daily(USDC=[1.0] * 151), "100", USDC="100"))
    assert result.tail_99.expected_shortfall == 0


@pytest.mark.parametrize(("equity", "values"), [("100", {}), ("0", {"SOL": "100"}), ("-5", {"SOL": "100"})])
def test_without_holdings_or_equity_there_is_none(equity: str, values: dict[str, str]) -> None:
    assert calc(daily(SOL=walk(random_returns(150, seed=9))), equity, **values) is None
