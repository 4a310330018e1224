"""Symbols: what the exchange says about a market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class SymbolStatus(StrEnum):
    """Whether a symbol trades. Anything but `TRADING` is quarantined: no sync, no live price."""

    TRADING = "trading"
    HALTED = "halted"
    DELISTED = "delisted"


class SymbolGroup(StrEnum):
    """Where a symbol stands in the allocation's targets."""

    MAIN = "main"
    ALT = "alt"
    OTHER = "other"


@dataclass(frozen=True)
class SymbolState:
    """What we have on record of a symbol.

    Attributes:
        status: Whether it trades, as the exchange last said.
        status_since: Since when we know it to be so.
        refreshed_at: When the exchange was last asked.
    """

    status: SymbolStatus
    status_since: datetime
    refreshed_at: datetime


@dataclass(frozen=True)
class Symbol:
    """One spot market and its filters.

    Attributes:
        name: "BTC/USDT".
        base: The asset bought and sold.
        quote: The asset it is priced in.
        status: Whether it trades.
        price_step: Quote per base; prices are multiples of it.
        quantity_step: Base; quantities are multiples of it.
        min_quantity: Base.
        min_notional: Quote.
        refreshed_at: When the exchange last said so, UTC.
    """

    name: str
    base: str
    quote: str
    status: SymbolStatus
    price_step: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    refreshed_at: datetime
