"""Ledger entries beside fills: coins that came to an account, or left it, without an order of ours in a known market.

What an entry does to the position of the coin (the value is what it was worth when it moved):

* A **deposit** comes in at that value, realizing nothing. A **withdrawal** takes its share of the cost with it, so the
  average cost stays and nothing is realized. It takes what the account holds beside the position first: what was there
  when the account was first compared, and was never bought.
* A **trade** in a market that is not watched, or a conversion, is a purchase or a sale at that value.
* Anything **other** is profit or loss: income (interest, an airdrop) comes in at its value, and that is realized as
  profit; what is lost (a charge, theft) leaves for nothing, and its cost is realized as a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

RETURNED = ":returned"  # ends the id of the entry that takes back a withdrawal which failed after all


class AdjustmentKind(StrEnum):
    """What moved a coin; see the module."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRADE = "trade"
    OTHER = "other"


@dataclass(frozen=True)
class Adjustment:
    """One entry; it never changes, so that a rebuild gives the same positions for ever.

    Attributes:
        adjustment_id: The cash flow it comes from; unique within the account.
        symbol: The coin's market with the account's quote asset: "SOL/USDT".
        kind: What it was.
        quantity: Base, never 0; negative when it left.
        value_quote: What that was worth then, of the same sign.
        quantity_step: The symbol's, in base, when the entry was made.
        at: UTC; not before the opening.
    """

    adjustment_id: str
    symbol: str
    kind: AdjustmentKind
    quantity: Decimal
    value_quote: Decimal
    quantity_step: Decimal
    at: datetime

    @property
    def base(self) -> str:
        """The coin."""
        return self.symbol.partition("/")[0]

    @property
    def returns(self) -> str | None:
        """The entry that this one takes back, if it does."""
        return self.adjustment_id.removesuffix(RETURNED) if self.adjustment_id.endswith(RETURNED) else None


@dataclass(frozen=True)
class Opening:
    """What an account held when it was first compared with its ledger.

    Attributes:
        at: The exchange's time: fills and flows after it are not in the quantities, those before are.
        quantities: By asset.
    """

    at: datetime
    quantities: Mapping[str, Decimal]
