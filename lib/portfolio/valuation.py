"""Valuing positions: which price is believed, and what it makes of a position."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from lib.portfolio.ledger import Position
from lib.portfolio.money import EXACT, SMALLEST, format_number

ABSURD_FACTOR = 10
ABSURD_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Valuation:
    """An open position at a price.

    Attributes:
        price: Quote per base, the exchange's last trade.
        price_at: When the exchange said so, UTC.
        unrealized_pnl_quote: ``quantity * price - cost``, before the fee of selling; a loss is negative.
        unrealized_pnl_pct: The same in percent of the cost, at eighteen decimals; None when it cost nothing.
    """

    price: Decimal
    price_at: datetime
    unrealized_pnl_quote: Decimal
    unrealized_pnl_pct: Decimal | None


def value_position(position: Position, price: Decimal, price_at: datetime) -> Valuation:
    """Value an open position.

    2 SOL that cost 200.20, at 90: -20.20, which is -10.09 % of the cost.
    """
    with localcontext(EXACT):
        pnl = position.quantity * price - position.cost_quote
        pct = (100 * pnl / position.cost_quote).quantize(SMALLEST) if position.cost_quote > 0 else None
    return Valuation(price, price_at, pnl, pct)


def find_price_flaw(price: Decimal | None, position: Position, last: Valuation | None, now: datetime) -> str | None:
    """Return why this price of the position's symbol is not to be believed, or None.

    A price ten times above or below the one of the last hour (without one: below or above the cost of a position that
    was opened within the hour) is an exchange's mistake far more often than a market's move. It is refused until the
    last believed price is an hour old; meanwhile the position's price grows stale, which alerts.
    """
    if price is None:
        return "the exchange gave no price"
    if not price.is_finite() or price <= 0:
        return f"the exchange gave the price {price}; expected above zero"
    reference = _find_reference(position, last, now)
    if reference and not reference / ABSURD_FACTOR <= price <= reference * ABSURD_FACTOR:
        return (
            f"the exchange gave the price {format_number(price)}, more than {ABSURD_FACTOR} times away from "
            f"{format_number(reference)} within an hour"
        )
    return None


def _find_reference(position: Position, last: Valuation | None, now: datetime) -> Decimal | None:
    if last is not None:
        return last.price if abs(now - last.price_at) < ABSURD_WITHIN else None
    return position.average_cost if now - position.opened_at < ABSURD_WITHIN else None
