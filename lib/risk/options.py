"""What an operator may set about risk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from lib.errors import SettingsError
from lib.portfolio.state import AccountState
from lib.risk.rules import RiskLimits

CLOCK_TOLERANCE = timedelta(seconds=5)  # what an orderly clock is set back by


@dataclass(frozen=True)
class RiskOptions:
    """Limits, and what the numbers are made of.

    Attributes:
        limits: When risk is MEDIUM and HIGH.
        clear_ratio: An alarm ends below this share of the HIGH limits (0.95: at 76 % for one of 80 %), so that a number
            that moves around its limit does not call people again and again.
        realert: Time between two messages while it stays HIGH.
        max_state_age: Age of the oldest balance or price from which on the state counts as outdated.
        lookback_days: Days of history behind value at risk, correlation and drawdown.
        min_days: Daily returns that value at risk needs at least.
        min_overlap: Daily returns that two symbols must share for a correlation.

    Raises:
        SettingsError: When one of them makes no sense.
    """

    limits: RiskLimits = field(default_factory=RiskLimits)
    clear_ratio: Decimal = Decimal("0.95")
    realert: timedelta = timedelta(days=1)
    max_state_age: timedelta = timedelta(hours=1)
    lookback_days: int = 365
    min_days: int = 100
    min_overlap: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.clear_ratio <= 1:
            raise SettingsError(
                f"Expected a clear ratio of risk above 0 and at most 1, was {self.clear_ratio}. 0.95 ends the alarm of "
                "an 80 % limit below 76 %."
            )
        if not 0 < self.min_days <= self.lookback_days:
            raise SettingsError(
                f"Expected at least 1 and at most {self.lookback_days} days for the value at risk (the days looked "
                f"back), was {self.min_days}. Look further back or ask for less."
            )

    @property
    def clear_limits(self) -> RiskLimits:
        """The limits below which an alarm ends."""
        return self.limits.scale(self.clear_ratio)

    def find_outdated(self, state: AccountState, now: datetime) -> tuple[str, ...]:
        """Return the assets whose price is older than that; where the state is current, they matter little."""
        return tuple(
            one.balance.asset
            for one in state.holdings
            if one.price is not None and now - one.price.at > self.max_state_age
        )

    def is_current(self, state: AccountState, now: datetime) -> bool:
        """Tell whether the balances and every price that matters are recent, and none is of the future."""
        return -CLOCK_TOLERANCE <= now - state.at <= self.max_state_age
