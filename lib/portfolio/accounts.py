"""Accounts: whose fills and positions they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AccountKind(StrEnum):
    """`live`: orders and fills on the exchange, with keys. `paper`: a ledger of our own, without keys."""

    LIVE = "live"
    PAPER = "paper"


@dataclass(frozen=True)
class Account:
    """One account; none of this may change once it has fills.

    Attributes:
        name: As in the settings: "demo".
        kind: Live or paper.
        exchange: "simulator", "binance", …
        quote_asset: What its positions are bought with and valued in: "USDT".
    """

    name: str
    kind: AccountKind
    exchange: str
    quote_asset: str
