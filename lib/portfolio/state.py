"""What an account is worth at an instant, as sizing and risk need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True)
class AccountState:
    """An account's cash and holdings; every amount is in its quote asset.

    Attributes:
        account: Whose.
        quote_asset: "USDT".
        at: The oldest instant any part of it was seen, UTC.
        cash_free: Of the quote asset, free for orders.
        cash_locked: Of the quote asset, locked in orders.
        market_values: Quantity x last price of each open position, by symbol.
        other_value: Assets held without a position (deposited), at their last price.
        unrealized_pnl: Of the open positions; a loss is negative.
        unpriced: What has no price, so it is in none of the values: symbols of positions, and assets.
    """

    account: str
    quote_asset: str
    at: datetime
    cash_free: Decimal
    cash_locked: Decimal
    market_values: Mapping[str, Decimal]
    other_value: Decimal = ZERO
    unrealized_pnl: Decimal = ZERO
    unpriced: tuple[str, ...] = ()

    @property
    def market_value(self) -> Decimal:
        """Everything but the cash."""
        return sum(self.market_values.values(), ZERO) + self.other_value

    @property
    def equity(self) -> Decimal:
        """Cash and everything held."""
        return self.cash_free + self.cash_locked + self.market_value
