"""Growth without deposits and withdrawals, day by day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.performance.growth import combine_points, cut_points, to_daily_returns, to_growth
from lib.performance.measures import calc_total_return
from lib.performance.performance import follow_benchmark
from lib.risk.drawdown import EquityPoint
from tests.portfolio.samples import START

AMOUNTS = st.decimals("1000", "9000", places=2)


def point(days: float, equity: str, flow: str = "0") -> EquityPoint:
    """``point(1.5, "150", "50")``: at noon of the second day, 50 of it deposited since the point before."""
    return EquityPoint(START + timedelta(days=days), Decimal(equity), Decimal(flow))


def test_a_day_grows_by_what_its_snapshots_grow_without_what_was_paid_in_or_out() -> None:
    points = [
        point(0.9, "1000"),
        point(1.2, "1100"),  # +10 %
        point(1.5, "1600", "500"),  # 500 deposited, nothing gained
        point(1.9, "1440"),  # -10 %
        point(2.9, "944", "-500"),  # 500 withdrawn, 4 gained
    ]
    daily = to_daily_returns(points)
    assert [str(day) for day in daily.days] == ["2024-10-05", "2024-10-06"]
    assert daily.returns == pytest.approx([1.1 * 0.9 - 1, 1444 / 1440 - 1])
    assert to_growth(points) == pytest.approx([1, 1.1, 1.1, 0.99, 0.99 * 1444 / 1440])


def test_what_came_after_the_first_snapshot_counts_for_its_own_day() -> None:
    daily = to_daily_returns([point(0.1, "100"), point(0.9, "110"), point(1.9, "99")])
    assert daily.returns == pytest.approx([0.1, -0.1])


def test_days_without_a_snapshot_have_no_return_of_their_own_and_the_sum_stays_right() -> None:
    daily = to_daily_returns([point(0.9, "100"), point(1.9, "110"), point(4.9, "121")])
    assert daily.returns == pytest.approx([0.1, 0, 0, 0.1])
    assert daily.known == 2


def test_days_in_which_nothing_was_invested_do_not_count() -> None:
    points = [point(0.9, "100"), point(1.9, "0", "-110"), point(2.9, "0"), point(3.9, "50", "50"), point(4.9, "55")]
    daily = to_daily_returns(points)
    assert [day.day for day in daily.days] == [5, 8]  # the day of the withdrawal, and the one after the deposit
    assert daily.returns == pytest.approx([0.1, 0.1])


def test_an_account_that_lost_everything_has_lost_everything() -> None:
    daily = to_daily_returns([point(0.9, "100"), point(1.9, "0"), point(2.9, "0")])
    assert daily.returns == (-1.0,)


def test_a_period_begins_with_the_last_snapshot_before_it_or_the_first_in_it() -> None:
    points = [point(day, "100") for day in (0.5, 0.9, 1.1, 1.9, 2.5)]
    day = timedelta(days=1)
    assert cut_points(points, START + day, START + 2 * day) == points[1:4]
    assert cut_points(points[2:], START + day, START + 2 * day) == points[2:4]
    assert cut_points(points[:2], START + day, START + 2 * day) == []


def test_several_accounts_add_up_and_one_that_begins_later_is_paid_in() -> None:
    combined = combine_points(
        {
            "first": [point(0, "100"), point(1, "110"), point(3, "160", "50")],
            "second": [point(2, "1000"), point(3, "900")],
        }
    )
    assert [one.equity for one in combined] == [100, 110, 1110, 1060]
    assert [one.net_flow for one in combined] == [0, 0, 1000, 50]
    assert to_growth(combined)[-1] == pytest.approx(1.1 * 1060 / 1160)


def test_the_benchmark_gets_the_same_deposits_and_moves_with_its_price() -> None:
    points = [point(0, "1000"), point(1, "1000"), point(2, "1500", "500"), point(3, "1500")]
    prices = [Decimal(price) for price in ("100", "110", "110", "99")]
    assert follow_benchmark(points, prices) == pytest.approx([1000, 1100, 1600, 1440])
    assert follow_benchmark(points, [None, Decimal(100), None, Decimal(90)])[1:] == pytest.approx([1000, 1500, 1350])


def test_no_more_leaves_the_benchmark_than_would_have_been_in_it() -> None:
    points = [point(0, "1000"), point(1, "0", "-1000"), point(2, "100", "100")]
    assert follow_benchmark(points, [Decimal(100), Decimal(50), Decimal(50)]) == pytest.approx([1000, 0, 100])


@given(st.lists(st.tuples(AMOUNTS, st.decimals("-500", "500", places=2)), min_size=2, max_size=20))
def test_the_days_multiply_to_the_growth(steps: list[tuple[Decimal, Decimal]]) -> None:
    points = [EquityPoint(START + place * timedelta(hours=9), *step) for place, step in enumerate(steps)]
    assert 1 + calc_total_return(to_daily_returns(points).returns) == pytest.approx(to_growth(points)[-1], rel=1e-9)
