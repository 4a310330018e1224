from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.book import Level
from lib.paper.matching import Execution, calc_fee, calc_quantity, match_market_order
from lib.portfolio.fills import Side

ASKS = (Level(Decimal(100), Decimal(2)), Level(Decimal(101), Decimal(5)))
STEP = Decimal("0.01")
numbers = st.decimals("0.01", "1000", places=2)


def test_an_order_larger_than_a_level_pays_the_next_price_for_the_rest() -> None:
    assert match_market_order(Decimal(3), ASKS) == (
        Execution(Decimal(100), Decimal(2)),
        Execution(Decimal(101), Decimal(1)),
    )


def test_what_the_book_does_not_hold_stays_unfilled() -> None:
    assert sum(one.quantity for one in match_market_order(Decimal(50), ASKS)) == 7
    assert match_market_order(Decimal(1), ()) == ()


@pytest.mark.parametrize(
    ("notional", "quantity"),
    [(Decimal(150), "1.50"), (Decimal(200), "2.00"), (Decimal(301), "3.00"), (Decimal(302), "3.00"), (10_000, "7.00")],
)
def test_a_notional_buys_whole_steps_and_never_costs_more(notional: Decimal, quantity: str) -> None:
    assert calc_quantity(Decimal(notional), ASKS, STEP) == Decimal(quantity)


@given(st.lists(st.tuples(numbers, numbers), max_size=5), numbers)
def test_a_notional_is_never_exceeded(levels: list[tuple[Decimal, Decimal]], notional: Decimal) -> None:
    asks = [Level(price, quantity) for price, quantity in sorted(dict(levels).items())]
    quantity = calc_quantity(notional, asks, STEP)
    cost = sum((one.quantity * one.price for one in match_market_order(quantity, asks)), Decimal(0))
    assert cost <= notional
    depth = sum((level.quantity for level in asks), Decimal(0))
    assert quantity + STEP > depth or cost + STEP * asks[-1].price > notional - STEP * asks[-1].price


def test_fees_are_taken_from_what_is_received() -> None:
    execution = Execution(Decimal("100.5"), Decimal("0.25"))
    assert calc_fee(Side.BUY, execution, Decimal("0.001")) == Decimal("0.00025")
    assert calc_fee(Side.SELL, execution, Decimal("0.001")) == Decimal("0.025125")
