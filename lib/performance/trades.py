"""What an account's orders earned: its fills through the ledger, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.ledger import Position, build_ledger
from lib.portfolio.money import EXACT

ZERO = Decimal(0)


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
            no known fill had bought.
        by_symbol: What its fills realized in all, by symbol: a fee paid in BNB disposes of BNB too.
    """

    account: str
    symbol: str
    side: Side
    at: datetime
    quantity: Decimal
    notional: Decimal
    fees: Decimal
    realized: Decimal | None
    by_symbol: Mapping[str, Decimal]

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


def replay_orders(fills: Iterable[BookedFill]) -> list[FilledOrder]:
    """Return an account's orders by the time of their last fill, with what each realized.

    Args:
        fills: All that the account ever had, in any order; each once.
    """
    newest: dict[str, Position] = {}
    orders: dict[tuple[str, str], list[_Step]] = {}
    with localcontext(EXACT):
        for booked in sorted(fills, key=lambda one: one.fill.sequence):
            step = _apply(booked, newest)
            orders.setdefault((booked.fill.symbol, booked.fill.order_id), []).append(step)
        return sorted(map(_sum_up, orders.values()), key=lambda order: order.at)


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


@dataclass(frozen=True)
class _Step:
    """One fill, what it realized by symbol, and whether the cost of any of what it sold is known."""

    booked: BookedFill
    by_symbol: Mapping[str, Decimal]
    is_known: bool


def _apply(booked: BookedFill, newest: dict[str, Position]) -> _Step:
    """Apply a fill to the newest positions of its symbols alone, whatever else the account holds."""
    fill = booked.fill
    symbols = dict.fromkeys((fill.symbol, f"{fill.fee_asset}/{fill.quote}"))
    before = [newest[symbol] for symbol in symbols if symbol in newest]
    ledger = build_ledger([booked], before)
    realized = dict.fromkeys((position.symbol for position in ledger.positions), ZERO)
    for sign, positions in ((1, ledger.positions), (-1, before)):
        for position in positions:
            realized[position.symbol] += sign * position.realized_pnl_quote
    newest.update({position.symbol: position for position in ledger.positions})
    unmatched = sum((one.quantity for one in ledger.unmatched if one.symbol == fill.symbol), ZERO)
    changed = {symbol: amount for symbol, amount in realized.items() if amount}
    return _Step(booked, changed, fill.side is Side.SELL and unmatched < fill.quantity)


def _sum_up(steps: Sequence[_Step]) -> FilledOrder:
    fills = [step.booked.fill for step in steps]
    by_symbol: dict[str, Decimal] = {}
    for step in steps:
        for symbol, amount in step.by_symbol.items():
            by_symbol[symbol] = by_symbol.get(symbol, ZERO) + amount
    first, last = fills[0], fills[-1]
    return FilledOrder(
        account=first.account,
        symbol=first.symbol,
        side=first.side,
        at=last.filled_at,
        quantity=sum((fill.quantity for fill in fills), ZERO),
        notional=sum((fill.quantity * fill.price for fill in fills), ZERO),
        fees=sum((step.booked.fee_quote or ZERO for step in steps), ZERO),
        realized=by_symbol.get(first.symbol, ZERO) if any(step.is_known for step in steps) else None,
        by_symbol=by_symbol,
    )
