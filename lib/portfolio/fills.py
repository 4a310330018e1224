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
