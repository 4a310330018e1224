"""What an account's orders earned, by the ledger: its fills and adjustments, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from lib.portfolio.adjustments import Adjustment, Opening
from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.ledger import Realized, build_ledger
from lib.portfolio.money import EXACT

ZERO = Decimal(0)


@dataclass(frozen=True)
class Entries:
    """Everything that an account's ledger is made of.

    Attributes:
        fills: All of them, each once, in any order.
        adjustments: What came and left without a fill.
        opening: What was held when the account was first compared with its ledger; None before that.
    """

    fills: Sequence[BookedFill]
    adjustments: Sequence[Adjustment] = ()
    opening: Opening | None = None


@dataclass(frozen=True)
class FilledOrder:
    """The fills of one order; every amount is in the account's quote asset.

    Attributes:
        account: Whose.
        symbol: "BTC/USDT".
        side: Buy or sell.
        at: Of its last fill, UTC.
        quantity: Base.
        notional: Paid or received, before fees.
        fees: As far as their value is known.
        realized: What it realized, fees and cost deducted; a loss is negative. None for a buy, and for a sale of what
            was in no position.
    """

    account: str
    symbol: str
    side: Side
    at: datetime
    quantity: Decimal
    notional: Decimal
    fees: Decimal
    realized: Decimal | None

    @property
    def price(self) -> Decimal:
        """The average price, quote per base."""
        return self.notional / self.quantity


@dataclass(frozen=True)
class TradeMeasures:
    """What orders amount to.

    A trade is a sale of something whose cost is known, whole or in part; one that realized more than nothing is won.

    Attributes:
        orders: Filled ones, bought and sold.
        trades: Sales.
        wins: Of them, with a profit.
        gross_profit: Sum of the profits.
        gross_loss: Sum of the losses, at or below zero.
        fees: Of all orders, as far as their value is known.
    """

    orders: int = 0
    trades: int = 0
    wins: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def realized(self) -> Decimal:
        """Profits and losses together."""
        return self.gross_profit + self.gross_loss

    @property
    def win_rate(self) -> float | None:
        """Wins by trades; None without a trade."""
        return self.wins / self.trades if self.trades else None

    @property
    def profit_factor(self) -> float | None:
        """Profits by losses: 2 is two won for each one lost. None without a loss."""
        return float(self.gross_profit / -self.gross_loss) if self.gross_loss else None


def replay_orders(entries: Entries) -> tuple[list[FilledOrder], tuple[Realized, ...]]:
    """Return an account's orders by the time of their last fill, and everything that was realized, in order.

    The second contains what the first does not: fees that were paid in a held coin, income, and what was lost.
    """
    ledger = build_ledger(entries.fills, adjustments=entries.adjustments, opening=entries.opening)
    by_order: dict[tuple[str, str], list[BookedFill]] = {}
    for booked in sorted(entries.fills, key=lambda one: one.fill.sequence):
        by_order.setdefault((booked.fill.symbol, booked.fill.order_id), []).append(booked)
    amounts = {(one.symbol, one.key): one.amount for one in ledger.realized}
    with localcontext(EXACT):
        orders = [_sum_up(fills, amounts) for fills in by_order.values()]
    return sorted(orders, key=lambda order: order.at), ledger.realized


def measure_trades(orders: Sequence[FilledOrder]) -> TradeMeasures:
    """Add up orders: of 30 and -10 realized, two trades, a win rate of 0.5 and a profit factor of 3."""
    results = [order.realized for order in orders if order.realized is not None]
    with localcontext(EXACT):
        return TradeMeasures(
            orders=len(orders),
            trades=len(results),
            wins=sum(result > 0 for result in results),
            gross_profit=sum((result for result in results if result > 0), ZERO),
            gross_loss=sum((result for result in results if result < 0), ZERO),
            fees=sum((order.fees for order in orders), ZERO),
        )


def _sum_up(booked: Sequence[BookedFill], amounts: Mapping[tuple[str, str], Decimal]) -> FilledOrder:
    fills = [one.fill for one in booked]
    first, last = fills[0], fills[-1]
    results = [amounts[key] for fill in fills if (key := (fill.symbol, fill.key)) in amounts]
    is_sale = first.side is Side.SELL and bool(results)
    return FilledOrder(
        account=first.account,
        symbol=first.symbol,
        side=first.side,
        at=last.filled_at,
        quantity=sum((fill.quantity for fill in fills), ZERO),
        notional=sum((fill.quantity * fill.price for fill in fills), ZERO),
        fees=sum((one.fee_quote or ZERO for one in booked), ZERO),
        realized=sum(results, ZERO) if is_sale else None,
    )
