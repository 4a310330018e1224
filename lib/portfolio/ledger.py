"""The ledger: positions from fills, by average cost, to the last digit.

How a fill moves money (quote is the account's quote asset; a fee's value is `BookedFill.fee_quote`):

* A buy adds ``price * quantity`` to the cost. A sell releases the sold share of the cost and realizes
  ``proceeds - fees - released cost``. The average cost changes with buys only.
* A fee in quote is added to the cost of a buy and deducted from the proceeds of a sell. A fee in base reduces the
  quantity received (the cost stays), and leaves with the quantity sold. A fee in a third asset (BNB) is added or
  deducted by its value at fill time, and that asset's own position shrinks by the fee, as if sold at that value.
* A position closes when a disposal leaves less than the symbol's quantity step. The rest (dust) stays on the closed
  position, with its cost, until the next position of the symbol takes it over.
* What is disposed of beyond the known quantity was deposited, not bought: it is `Unmatched`, never a negative position.

So at any time: realized P&L of all positions - their remaining cost + unmatched proceeds = quote received - paid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext

from lib.portfolio.fills import BookedFill, Fill, Side
from lib.portfolio.money import EXACT, SMALLEST, share_of

ZERO = Decimal(0)


@dataclass(frozen=True)
class Position:
    """One holding of a symbol, from its opening fill until it is sold out.

    Attributes:
        symbol: "BTC/USDT".
        opened_by: Key of the fill that opened it ("BTC/USDT#17"); with the account, its identity.
        opened_at: UTC.
        closed_at: UTC; None while it is open.
        quantity: Base held, >= 0. On a closed position: dust that the next one takes over.
        cost_quote: What that quantity cost, fees included.
        average_cost: Quote per base after the last buy, rounded to eighteen decimals; kept when the position closes.
        realized_pnl_quote: Of everything sold so far, fees and cost deducted; a loss is negative.
        fees_quote: Value of all fees paid for buying and selling it.
    """

    symbol: str
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None
    quantity: Decimal
    cost_quote: Decimal
    average_cost: Decimal
    realized_pnl_quote: Decimal
    fees_quote: Decimal

    @property
    def is_open(self) -> bool:
        """Whether there is something to sell."""
        return self.closed_at is None


@dataclass(frozen=True)
class Unmatched:
    """A disposal of something that no known fill has bought.

    Attributes:
        symbol: The symbol of the asset that left.
        fill_key: The fill that shows it ("SOL/USDT#17").
        quantity: Base, > 0.
        proceeds_quote: What came in for it after fees; for a fee, its value.
        at: UTC.
    """

    symbol: str
    fill_key: str
    quantity: Decimal
    proceeds_quote: Decimal
    at: datetime


class Ledger:
    """The positions of one account, grown by one fill after the other."""

    def __init__(self) -> None:
        self._positions: dict[str, list[Position]] = {}
        self._steps: dict[str, Decimal] = {}
        self._unmatched: list[Unmatched] = []

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every position, open and closed, oldest first within a symbol."""
        return tuple(position for of_symbol in self._positions.values() for position in of_symbol)

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """Disposals beyond what was bought, in order."""
        return tuple(self._unmatched)

    def apply(self, booked: BookedFill) -> None:
        """Account for one fill; it must not come before one that was applied earlier (`Fill.sequence`)."""
        with localcontext(EXACT):
            fill, fee_quote = booked.fill, booked.fee_quote or ZERO
            self._steps[fill.symbol] = booked.quantity_step
            in_base = fill.fee if fill.fee_asset == fill.base else ZERO
            in_money = ZERO if in_base else fee_quote
            notional = fill.price * fill.quantity
            if fill.side is Side.BUY:
                self._acquire(fill.symbol, fill.quantity - in_base, notional + in_money, fee_quote, fill)
            else:
                self._dispose(fill.symbol, fill.quantity + in_base, notional - in_money, fee_quote, fill)
            if fill.fee_asset not in (fill.base, fill.quote):
                self._pay_fee(f"{fill.fee_asset}/{fill.quote}", fee_quote, fill)

    def _pay_fee(self, symbol: str, value: Decimal, fill: Fill) -> None:
        if fill.fee > 0:
            self._dispose(symbol, fill.fee, value, ZERO, fill)
        elif fill.fee < 0:
            self._acquire(symbol, -fill.fee, -value, ZERO, fill)

    def _acquire(self, symbol: str, quantity: Decimal, cost: Decimal, fees: Decimal, fill: Fill) -> None:
        of_symbol = self._positions.setdefault(symbol, [])
        if not of_symbol or not of_symbol[-1].is_open:
            dust_quantity, dust_cost = _take_dust(of_symbol)
            of_symbol.append(_open_position(symbol, fill, dust_quantity, dust_cost))
        held = of_symbol[-1]
        quantity, cost = held.quantity + quantity, held.cost_quote + cost
        of_symbol[-1] = replace(
            held,
            quantity=quantity,
            cost_quote=cost,
            average_cost=(cost / quantity).quantize(SMALLEST),
            fees_quote=held.fees_quote + fees,
        )

    def _dispose(self, symbol: str, quantity: Decimal, proceeds: Decimal, fees: Decimal, fill: Fill) -> None:
        of_symbol = self._positions.get(symbol, [])
        known = min(quantity, of_symbol[-1].quantity) if of_symbol else ZERO
        earned = share_of(proceeds, known, quantity)
        if known:
            held = of_symbol[-1]
            released = share_of(held.cost_quote, known, held.quantity)
            rest = held.quantity - known
            sold_out = not rest or rest < self._steps.get(symbol, ZERO)
            of_symbol[-1] = replace(
                held,
                quantity=rest,
                cost_quote=held.cost_quote - released,
                realized_pnl_quote=held.realized_pnl_quote + earned - released,
                fees_quote=held.fees_quote + share_of(fees, known, quantity),
                closed_at=held.closed_at or (fill.filled_at if sold_out else None),
            )
        if known < quantity:
            beyond = Unmatched(symbol, fill.key, quantity - known, proceeds - earned, fill.filled_at)
            self._unmatched.append(beyond)


def build_ledger(fills: Iterable[BookedFill]) -> Ledger:
    """Build the ledger of one account from all its fills, in any order and even if some come twice."""
    ledger = Ledger()
    once = {booked.fill.key: booked for booked in fills}
    for booked in sorted(once.values(), key=lambda booked: booked.fill.sequence):
        ledger.apply(booked)
    return ledger


def _open_position(symbol: str, fill: Fill, dust_quantity: Decimal, dust_cost: Decimal) -> Position:
    return Position(symbol, fill.key, fill.filled_at, None, dust_quantity, dust_cost, ZERO, ZERO, ZERO)


def _take_dust(of_symbol: list[Position]) -> tuple[Decimal, Decimal]:
    """Move quantity and cost out of the last closed position."""
    if not of_symbol:
        return ZERO, ZERO
    last = of_symbol[-1]
    of_symbol[-1] = replace(last, quantity=ZERO, cost_quote=ZERO)
    return last.quantity, last.cost_quote
