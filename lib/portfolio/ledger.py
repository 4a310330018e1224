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
from typing import NamedTuple

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
        quantity_step: The symbol's step at its last fill, in base; 0 while only fees have moved it.
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
    quantity_step: Decimal

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


class _Move(NamedTuple):
    """A quantity of a symbol's base that comes in for a cost, or goes out for proceeds (`money`)."""

    symbol: str
    quantity: Decimal
    money: Decimal
    fees: Decimal
    step: Decimal | None  # None where another symbol's fill moves it
    fill: Fill


class Ledger:
    """The positions of one account, grown by one fill after the other."""

    def __init__(self, newest: Iterable[Position] = ()) -> None:
        """Start with nothing, or where an earlier ledger ended: with the newest position of each symbol."""
        self._positions = {position.symbol: [position] for position in newest}
        self._unmatched: list[Unmatched] = []

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every position it started with or has made, oldest first within a symbol."""
        return tuple(position for of_symbol in self._positions.values() for position in of_symbol)

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """Disposals beyond what was bought, in order."""
        return tuple(self._unmatched)

    def apply(self, booked: BookedFill) -> None:
        """Account for one fill; it must not come before one that was applied earlier (`Fill.sequence`)."""
        with localcontext(EXACT):
            fill, fee_quote = booked.fill, booked.fee_quote or ZERO
            in_base = fill.fee if fill.fee_asset == fill.base else ZERO
            in_money = ZERO if in_base else fee_quote
            sign = 1 if fill.side is Side.BUY else -1
            self._move(
                _Move(
                    symbol=fill.symbol,
                    quantity=sign * fill.quantity - in_base,
                    money=sign * fill.price * fill.quantity + in_money,
                    fees=fee_quote,
                    step=booked.quantity_step,
                    fill=fill,
                )
            )
            if fill.fee and fill.fee_asset not in (fill.base, fill.quote):
                self._move(_Move(f"{fill.fee_asset}/{fill.quote}", -fill.fee, -fee_quote, ZERO, None, fill))

    def _move(self, move: _Move) -> None:
        """Book what comes in (positive quantity and cost) or goes out (negative quantity and proceeds)."""
        if move.quantity > 0:
            self._acquire(move)
        else:
            self._dispose(move._replace(quantity=-move.quantity, money=-move.money))

    def _acquire(self, move: _Move) -> None:
        of_symbol = self._positions.setdefault(move.symbol, [])
        if not of_symbol or not of_symbol[-1].is_open:
            of_symbol.append(_open_position(move, of_symbol))
        held = of_symbol[-1]
        quantity, cost = held.quantity + move.quantity, held.cost_quote + move.money
        of_symbol[-1] = replace(
            held,
            quantity=quantity,
            cost_quote=cost,
            average_cost=(cost / quantity).quantize(SMALLEST),
            fees_quote=held.fees_quote + move.fees,
            quantity_step=held.quantity_step if move.step is None else move.step,
        )

    def _dispose(self, move: _Move) -> None:
        of_symbol = self._positions.get(move.symbol, [])
        known = min(move.quantity, of_symbol[-1].quantity) if of_symbol else ZERO
        earned = share_of(move.money, known, move.quantity)
        if known:
            of_symbol[-1] = _reduce(of_symbol[-1], known, earned, move)
        if known < move.quantity:
            beyond = Unmatched(
                move.symbol, move.fill.key, move.quantity - known, move.money - earned, move.fill.filled_at
            )
            self._unmatched.append(beyond)


def build_ledger(fills: Iterable[BookedFill], newest: Iterable[Position] = ()) -> Ledger:
    """Build the ledger of one account from its fills, in any order and even if some come twice.

    Args:
        fills: All of them; or those after the ones that made `newest`.
        newest: The newest position of each symbol so far.
    """
    ledger = Ledger(newest)
    once = {booked.fill.key: booked for booked in fills}
    for booked in sorted(once.values(), key=lambda booked: booked.fill.sequence):
        ledger.apply(booked)
    return ledger


def _open_position(move: _Move, earlier: list[Position]) -> Position:
    """Open a position, with the dust that the last one left."""
    opened = Position(move.symbol, move.fill.key, move.fill.filled_at, None, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    if not earlier:
        return opened
    last = earlier[-1]
    earlier[-1] = replace(last, quantity=ZERO, cost_quote=ZERO)
    return replace(opened, quantity=last.quantity, cost_quote=last.cost_quote, quantity_step=last.quantity_step)


def _reduce(held: Position, quantity: Decimal, earned: Decimal, move: _Move) -> Position:
    """Take a known quantity out of a position for what was earned by it."""
    released = share_of(held.cost_quote, quantity, held.quantity)
    rest = held.quantity - quantity
    step = held.quantity_step if move.step is None else move.step
    sold_out = not rest or rest < step
    return replace(
        held,
        quantity=rest,
        cost_quote=held.cost_quote - released,
        realized_pnl_quote=held.realized_pnl_quote + earned - released,
        fees_quote=held.fees_quote + share_of(move.fees, quantity, move.quantity),
        closed_at=held.closed_at or (move.fill.filled_at if sold_out else None),
        quantity_step=step,
    )
