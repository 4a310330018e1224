"""What a market order would have got from a book."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from lib.market.book import Level
from lib.portfolio.fills import Side
from lib.units import floor_to_step

FEE_DIGITS = Decimal("1e-8")  # as many as Binance charges fees with


class Execution(NamedTuple):
    """A part of an order at one price.

    Attributes:
        price: Quote per base.
        quantity: Base.
    """

    price: Decimal
    quantity: Decimal


def match_market_order(quantity: Decimal, levels: Sequence[Level]) -> tuple[Execution, ...]:
    """Take a quantity from the levels of the other side, the best first.

    The slippage is what the book costs. What the levels do not hold stays unfilled, as the rest of a market order
    expires on an exchange.

    >>> match_market_order(Decimal(3), [Level(Decimal(100), Decimal(2)), Level(Decimal(101), Decimal(5))])
    (Execution(price=Decimal('100'), quantity=Decimal('2')), Execution(price=Decimal('101'), quantity=Decimal('1')))
    """
    executions = []
    for level in levels:
        if quantity <= 0:
            break
        taken = min(quantity, level.quantity)
        executions.append(Execution(level.price, taken))
        quantity -= taken
    return tuple(executions)


def calc_quantity(notional: Decimal, levels: Sequence[Level], step: Decimal) -> Decimal:
    """Return the base quantity, a multiple of `step`, that a notional in quote buys from these levels at most.

    >>> calc_quantity(Decimal(301), [Level(Decimal(100), Decimal(2)), Level(Decimal(101), Decimal(5))], Decimal("0.01"))
    Decimal('3.00')
    """
    quantity = Decimal(0)
    for level in levels:
        cost = level.price * level.quantity
        if cost >= notional:
            return floor_to_step(quantity + notional / level.price, step)
        quantity += level.quantity
        notional -= cost
    return floor_to_step(quantity, step)


def calc_fee(side: Side, execution: Execution, fee_ratio: Decimal) -> Decimal:
    """Return the fee in what is received: base of a purchase, quote of a sale (Binance's rule without BNB)."""
    received = execution.quantity if side is Side.BUY else execution.quantity * execution.price
    return (received * fee_ratio).quantize(FEE_DIGITS, rounding=ROUND_HALF_EVEN)
