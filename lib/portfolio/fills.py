"""Fills and balances: what the exchange says happened to an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """Side of a fill or an order."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True)
class Fill:
    """One execution on the exchange, in the account's own history (a `trade` is the public tape).

    Attributes:
        account: Our account's name.
        symbol: "BTC/USDT".
        fill_id: The exchange's id, unique within (account, symbol) and rising with time.
        order_id: The exchange's order id.
        side: Buy or sell, of base.
        price: Quote per base.
        quantity: Base, > 0, before the fee.
        fee: In `fee_asset`, >= 0 (a rebate is negative).
        fee_asset: Base, quote or a third asset (BNB).
        filled_at: UTC.
    """

    account: str
    symbol: str
    fill_id: int
    order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    filled_at: datetime

    @property
    def base(self) -> str:
        """The asset bought or sold."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The asset it was paid in."""
        return self.symbol.partition("/")[2]

    @property
    def key(self) -> str:
        """Its name within the account: "SOL/USDT#17"."""
        return f"{self.symbol}#{self.fill_id}"

    @property
    def sequence(self) -> tuple[datetime, str, int]:
        """Its place among all fills of the account: by time, then by id within a symbol."""
        return self.filled_at, self.symbol, self.fill_id


@dataclass(frozen=True)
class BookedFill:
    """A fill with what was known when it was imported, so that a rebuild gives the same positions for ever.

    Attributes:
        fill: What the exchange said.
        fee_quote: The fee's value at fill time, in quote; None while no price of the fee's asset is known.
        fee_priced_by: Where that value comes from: "fill", "candle 5m 2026-01-02T03:00Z" or "price at 2026-…".
        quantity_step: The symbol's step at import, in base; what is left below it cannot be sold.
    """

    fill: Fill
    fee_quote: Decimal | None
    fee_priced_by: str
    quantity_step: Decimal


def find_flaw(fill: Fill, account: str, symbol: str) -> str | None:
    """Return why this cannot be a fill of `symbol` in `account`, or None."""
    numbers = (fill.price, fill.quantity, fill.fee)
    if (fill.account, fill.symbol) != (account, symbol):
        return f"it is of {fill.symbol} in account {fill.account}, asked for {symbol} in {account}"
    if not all(number.is_finite() for number in numbers):
        return f"a number that is not finite (price {fill.price}, quantity {fill.quantity}, fee {fill.fee})"
    if fill.price <= 0 or fill.quantity <= 0:
        return f"price {fill.price} and quantity {fill.quantity}; expected both above zero"
    if fill.fee_asset == fill.base and fill.fee >= fill.quantity:
        return f"a fee of {fill.fee} {fill.base} on a quantity of {fill.quantity}"
    return None


@dataclass(frozen=True)
class Balance:
    """What the account holds of one asset: `free` may be used, `locked` is in open orders; both >= 0."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked
