"""How a backtest trades: costs, and how much is bought."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lib.errors import OperatorError
from lib.strategy.sizing import SizingRules


class Sizing(StrEnum):
    """How much an entry buys.

    `RISK`: as live BUYs are sized (`lib.strategy.sizing.calc_size`), without the exchange's steps. `FULL`: an equal
    share of equity for each symbol; with one symbol all cash.
    """

    RISK = "risk"
    FULL = "full"


@dataclass(frozen=True)
class TradingRules:
    """Costs and sizes; every ratio is 0 to 1.

    Attributes:
        cash: What the account begins with, in quote.
        fee_ratio: Of the notional, for each side.
        slippage_ratio: Of the price, for each side: buys are dearer and sells cheaper by it, stops and targets too.
        sizing: How much an entry buys.
        risk_per_trade_ratio: Share of equity that is lost when the stop loss is hit; with `RISK` only.
        cash_reserve_ratio: Share of equity that stays cash; with `RISK` only.
        max_position_ratio: Largest share of equity in one symbol; with `RISK` only.
        min_notional: An entry worth less is not made, in quote.
    """

    cash: float = 10_000.0
    fee_ratio: float = 0.001
    slippage_ratio: float = 0.0005
    sizing: Sizing = Sizing.RISK
    risk_per_trade_ratio: float = 0.01
    cash_reserve_ratio: float = 0.20
    max_position_ratio: float = 0.15
    min_notional: float = 5.0

    def __post_init__(self) -> None:
        """Refuse numbers with which no account could trade.

        Raises:
            OperatorError: One of them.
        """
        if not 0 < self.cash < float("inf"):
            raise OperatorError(f"Expected cash above zero, was {self.cash}. Give the account some.")
        limits = {"fee_ratio": 0.5, "slippage_ratio": 0.5, "cash_reserve_ratio": 1.0}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) < limit:
                raise OperatorError(f"Expected {name} from 0 to below {limit}, was {getattr(self, name)}. Correct it.")
        for name in ("risk_per_trade_ratio", "max_position_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise OperatorError(f"Expected {name} above 0, 1 at most, was {getattr(self, name)}. Correct it.")


def rules_of(sizing: SizingRules, *, cash: float, slippage_ratio: float, min_notional: float) -> TradingRules:
    """Return the rules with which live signals are sized."""
    return TradingRules(
        cash=cash,
        fee_ratio=float(sizing.fee_ratio),
        slippage_ratio=slippage_ratio,
        risk_per_trade_ratio=float(sizing.risk_per_trade_ratio),
        cash_reserve_ratio=float(sizing.cash_reserve_ratio),
        max_position_ratio=float(sizing.max_position_ratio),
        min_notional=min_notional,
    )
