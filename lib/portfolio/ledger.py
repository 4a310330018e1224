"""The ledger: positions from fills and adjustments, by average cost, to the last digit.

How a fill moves money (quote is the account's quote asset; a fee's value is `BookedFill.fee_quote`):

* A buy adds ``price * quantity`` to the cost. A sell releases the sold share of the cost and realizes
  ``proceeds - fees - released cost``. The average cost changes with buys only.
* A fee in quote is added to the cost of a buy and deducted from the proceeds of a sell. A fee in base reduces the
  quantity received (the cost stays), and leaves with the quantity sold. A fee in a third asset (BNB) is added or
  deducted by its value at fill time, and that asset's own position shrinks by the fee, as if sold at that value.
* A position closes when a disposal leaves less than the symbol's quantity step. The rest (dust) stays on the closed
  position, with its cost, until the next position of the symbol takes it over.
* What is disposed of beyond the known quantity was never bought: it is `Unmatched`, never a negative position.
* What came or left without a fill is an `Adjustment`; that module has the rule of each kind.
* When the account was first compared (`Opening`) no position could be larger than what it held: what was beyond had
  left before anybody looked, and leaves at its cost, realizing nothing. What it held beyond a position lies beside it.

So at any time, of fills: realized P&L of all positions - their remaining cost + unmatched proceeds = quote received -
paid. And of everything since the opening: a position and what lies beside it are what the account is expected to hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from lib.portfolio.adjustments import Adjustment, AdjustmentKind, Opening
from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.money import EXACT, SMALLEST, share_of

ZERO = Decimal(0)


@dataclass(frozen=True)
class Position:
    """One holding of a symbol, from its opening fill or deposit until it is sold out, or has left.

    Attributes:
        symbol: "BTC/USDT".
        opened_by: Key of the fill ("BTC/USDT#17") or of the adjustment that opened it; with the account, its identity.
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
        fill_key: The fill that shows it ("SOL/USDT#17"), or the adjustment.
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
    key: str
    at: datetime


class Realized(NamedTuple):
    """What one entry realized.

    Attributes:
        symbol: Of the position.
        key: The fill ("SOL/USDT#17") or the adjustment.
        at: UTC.
        amount: In quote; a loss is negative.
    """

    symbol: str
    key: str
    at: datetime
    amount: Decimal


class Ledger:
    """The positions of one account, grown by one fill or adjustment after the other."""

    def __init__(self, newest: Iterable[Position] = ()) -> None:
        """Start with nothing, or where an earlier ledger ended: with the newest position of each symbol."""
        self._positions = {position.symbol: [position] for position in newest}
        self._unmatched: list[Unmatched] = []
        self._realized: list[Realized] = []
        self._beside: defaultdict[str, Decimal] = defaultdict(Decimal)  # held and in no position, by asset
        self._taken: dict[str, tuple[Decimal, Decimal]] = {}  # quantity and cost that an adjustment took out

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every position it started with or has made, oldest first within a symbol."""
        return tuple(position for of_symbol in self._positions.values() for position in of_symbol)

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """Disposals beyond what was bought, in order."""
        return tuple(self._unmatched)

    @property
    def realized(self) -> tuple[Realized, ...]:
        """What each fill and adjustment realized of a position, in order; one that released a cost is there with 0."""
        return tuple(self._realized)

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
                    key=fill.key,
                    at=fill.filled_at,
                )
            )
            if fill.fee and fill.fee_asset not in (fill.base, fill.quote):
                fee_symbol = f"{fill.fee_asset}/{fill.quote}"
                self._move(_Move(fee_symbol, -fill.fee, -fee_quote, ZERO, None, fill.key, fill.filled_at))

    def open_at(self, opening: Opening) -> None:
        """Take the opening: no position is larger than what was held; what was held beyond lies beside it."""
        self._beside.update(opening.quantities)
        with localcontext(EXACT):
            for symbol, of_symbol in self._positions.items():
                held, base = of_symbol[-1], symbol.partition("/")[0]
                if (beyond := held.quantity - self._beside[base]) > 0:
                    cost = share_of(held.cost_quote, beyond, held.quantity)
                    of_symbol[-1] = _reduce(held, beyond, cost, _Move(symbol, beyond, cost, ZERO, None, "", opening.at))
                self._beside[base] = max(ZERO, -beyond)

    def adjust(self, one: Adjustment) -> None:
        """Account for what came or left without a fill; it must not come before what was applied earlier."""
        with localcontext(EXACT):
            if one.quantity > 0:
                self._come_in(one)
            elif one.kind is AdjustmentKind.TRADE:
                self._move(_move_of(one, one.quantity, one.value_quote))
            else:
                self._leave(one)

    def _come_in(self, one: Adjustment) -> None:
        quantity, cost = one.quantity, one.value_quote
        if one.returns in self._taken:
            quantity, cost = self._taken.pop(one.returns)
            self._beside[one.base] += one.quantity - quantity
            if not quantity:
                return
        of_symbol = self._positions.get(one.symbol, [])
        if not (of_symbol and of_symbol[-1].is_open):
            dust = of_symbol[-1].quantity if of_symbol else ZERO
            if quantity + dust < one.quantity_step:  # too little to be sold is no position
                self._beside[one.base] += quantity
                return
        self._acquire(_move_of(one, quantity, cost))
        if one.kind is AdjustmentKind.OTHER:
            held = self._positions[one.symbol][-1]
            self._replace(replace(held, realized_pnl_quote=held.realized_pnl_quote + cost), one.adjustment_id, one.at)

    def _leave(self, one: Adjustment) -> None:
        """Take what lies beside the position first, then the position: at its cost, or for nothing when it is lost."""
        of_symbol = self._positions.get(one.symbol, [])
        rest = -one.quantity - self._take_beside(one.base, -one.quantity)
        quantity = min(rest, of_symbol[-1].quantity) if of_symbol else ZERO
        self._taken[one.adjustment_id] = (ZERO, ZERO)
        if not quantity:
            return
        held = of_symbol[-1]
        cost = share_of(held.cost_quote, quantity, held.quantity)
        self._taken[one.adjustment_id] = (quantity, cost)
        earned = ZERO if one.kind is AdjustmentKind.OTHER else cost
        self._replace(_reduce(held, quantity, earned, _move_of(one, quantity, earned)), one.adjustment_id, one.at)

    def _take_beside(self, asset: str, quantity: Decimal) -> Decimal:
        """Take as much of what is in no position as there is; return how much that was."""
        taken = min(quantity, self._beside[asset])
        self._beside[asset] -= taken
        return taken

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
            self._replace(_reduce(of_symbol[-1], known, earned, move), move.key, move.at)
        if known < move.quantity:
            beyond = move.quantity - known
            self._take_beside(move.symbol.partition("/")[0], beyond)
            self._unmatched.append(Unmatched(move.symbol, move.key, beyond, move.money - earned, move.at))

    def _replace(self, after: Position, key: str, at: datetime) -> None:
        """Put a position in place of its symbol's newest, and note what that realized."""
        before = self._positions[after.symbol][-1]
        self._positions[after.symbol][-1] = after
        amount = after.realized_pnl_quote - before.realized_pnl_quote
        self._realized.append(Realized(after.symbol, key, at, amount))


def build_ledger(
    fills: Iterable[BookedFill],
    newest: Iterable[Position] = (),
    *,
    adjustments: Iterable[Adjustment] = (),
    opening: Opening | None = None,
) -> Ledger:
    """Build the ledger of one account, from what is given in any order and even if some comes twice.

    Of one instant, fills go before the opening, which contains them, and that before adjustments.

    Args:
        fills: All of them; or those after everything that made `newest`.
        newest: The newest position of each symbol so far.
        adjustments: All of them; none where fills only extend `newest`.
        opening: When there was one; None where fills only extend `newest`.
    """
    ledger = Ledger(newest)
    by_key = {booked.fill.key: booked for booked in fills}
    by_id = {one.adjustment_id: one for one in adjustments}
    entries: list[tuple[datetime, int, tuple[str, int], Callable[[], None]]] = [
        (one.fill.filled_at, 0, (one.fill.symbol, one.fill.fill_id), partial(ledger.apply, one))
        for one in by_key.values()
    ]
    if opening is not None:
        entries.append((opening.at, 1, ("", 0), partial(ledger.open_at, opening)))
    entries += [(one.at, 2, (one.adjustment_id, 0), partial(ledger.adjust, one)) for one in by_id.values()]
    for *_, enter in sorted(entries, key=itemgetter(0, 1, 2)):
        enter()
    return ledger


def _move_of(one: Adjustment, quantity: Decimal, money: Decimal) -> _Move:
    return _Move(one.symbol, quantity, money, ZERO, one.quantity_step, one.adjustment_id, one.at)


def _open_position(move: _Move, earlier: list[Position]) -> Position:
    """Open a position, with the dust that the last one left."""
    opened = Position(move.symbol, move.key, move.at, None, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
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
        closed_at=held.closed_at or (move.at if sold_out else None),
        quantity_step=step,
    )
