"""How far an account is below its best, whatever was paid in and out."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from lib.risk.drawdown import Drawdown, EquityPoint, calc_drawdown
from tests.portfolio.samples import at

AMOUNTS = st.decimals("1", "1e6", places=2)


def measure(*points: str) -> Drawdown | None:
    """``measure("100", "150+50", "120")``: equity, and what was paid in or out since the point before."""
    return calc_drawdown([_point(minute, text) for minute, text in enumerate(points)])


def _point(minute: int, text: str) -> EquityPoint:
    sign = "-" if "-" in text else "+"
    equity, _, flow = text.partition(sign)
    return EquityPoint(at(minute), Decimal(equity), Decimal(sign + flow) if flow else Decimal(0))


def ratio(*points: str) -> Decimal:
    drawdown = measure(*points)
    assert drawdown is not None
    return drawdown.ratio


def test_it_is_measured_from_the_highest_point() -> None:
    assert measure("100", "120", "90", "108") == Drawdown(Decimal("-0.1"), Decimal("-0.25"), at(1), at(3))


def test_at_the_peak_it_is_zero() -> None:
    assert measure("100", "90", "130") == Drawdown(Decimal(0), Decimal("-0.1"), at(2), at(2))


def test_a_deposit_is_no_gain_and_hides_no_loss() -> None:
    assert ratio("100", "150+50", "120") == Decimal("-0.2")
    assert ratio("100", "80", "180+100") == Decimal("-0.2")


def test_a_withdrawal_is_no_loss() -> None:
    assert ratio("100", "40-60", "40") == 0
    assert ratio("100", "30-60") == Decimal("-0.1")


def test_a_deposit_into_an_almost_empty_account_is_no_gain() -> None:
    assert ratio("100", "0.01-99.99", "1000+999.99", "900") == Decimal("-0.1")


def test_an_account_that_was_empty_begins_anew() -> None:
    assert measure("100", "50", "0-50", "0", "200+200", "190") == Drawdown(
        Decimal("-0.05"), Decimal("-0.5"), at(4), at(5)
    )


def test_a_total_loss_stays_one() -> None:
    assert ratio("100", "0", "0") == -1


def test_equity_below_zero_is_a_total_loss_and_no_more() -> None:
    assert calc_drawdown([EquityPoint(at(0), Decimal(100)), EquityPoint(at(1), Decimal(-20))]) == Drawdown(
        Decimal(-1), Decimal(-1), at(0), at(1)
    )


def test_without_equity_there_is_none() -> None:
    assert measure() is None
    assert measure("0", "0") is None


def test_a_single_point_is_its_own_peak() -> None:
    assert ratio("100") == 0


@given(points=st.lists(AMOUNTS, min_size=1, max_size=30))
def test_it_is_between_minus_one_and_zero_and_never_below_the_worst(points: list[Decimal]) -> None:
    drawdown = calc_drawdown([EquityPoint(at(minute), equity) for minute, equity in enumerate(points)])
    assert drawdown is not None
    assert -1 <= drawdown.worst_ratio <= drawdown.ratio <= 0


@given(points=st.lists(AMOUNTS, min_size=1, max_size=30), deposit=AMOUNTS, where=st.integers(0, 29))
def test_a_deposit_anywhere_changes_nothing_when_the_money_only_lies_there(
    points: list[Decimal], deposit: Decimal, where: int
) -> None:
    """With nothing invested the equity is the sum of what was paid in: growth is 1 throughout."""
    balance, history = Decimal(0), []
    for minute, amount in enumerate([*points[:where], deposit, *points[where:]]):
        balance += amount
        history.append(EquityPoint(at(minute), balance, amount))
    drawdown = calc_drawdown(history)
    assert drawdown is not None
    assert (drawdown.ratio, drawdown.worst_ratio) == (Decimal(0), Decimal(0))
