"""What an account's holdings have done and may do: value at risk, correlation and drawdown.

These are numbers for people; the level of risk does not depend on them. So a history that is short or unusable leaves
a number out and says so, and the rules and their alarm go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from lib.errors import RetryableError
from lib.market.matrix import CandleHistory
from lib.portfolio.state import AccountState
from lib.results import Item, Status, failed_item
from lib.risk.correlation import CorrelationTable, calc_correlations
from lib.risk.drawdown import Drawdown, EquityStore, calc_drawdown
from lib.risk.options import RiskOptions
from lib.risk.returns import load_daily
from lib.risk.value_at_risk import ValueAtRisk, calc_value_at_risk

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class RiskMeasures:
    """Each None where there is not enough data for it."""

    value_at_risk: ValueAtRisk | None = None
    correlations: CorrelationTable | None = None
    drawdown: Drawdown | None = None


def measure_risk(
    state: AccountState, *, history: CandleHistory, equity: EquityStore, now: datetime, options: RiskOptions
) -> tuple[RiskMeasures, tuple[Item, ...]]:
    """Measure what can be measured; an item for each measure that could not be.

    Raises:
        RetryableError: The database went away.
    """
    items: list[Item] = []
    values = state.total_values

    def measure_holdings() -> tuple[ValueAtRisk | None, CorrelationTable]:
        candles = load_daily(history, sorted(values), now, options.lookback_days)
        tails = calc_value_at_risk(candles, values, state.equity, min_days=options.min_days)
        if tails is None:
            items.append(_name_missing_days(state, options))
        return tails, calc_correlations(candles, min_overlap=options.min_overlap)

    def measure_account() -> Drawdown | None:
        return calc_drawdown(equity.load_equity(state.account, now - timedelta(days=options.lookback_days)))

    holdings = _attempt(f"{state.account} value at risk", measure_holdings, items) if values else None
    drawdown = _attempt(f"{state.account} drawdown", measure_account, items)
    value_at_risk, correlations = holdings or (None, None)
    return RiskMeasures(value_at_risk, correlations, drawdown), tuple(items)


def _attempt(name: str, measure: Callable[[], T], items: list[Item]) -> T | None:
    try:
        return measure()
    except RetryableError:
        raise
    except Exception as error:  # a number that cannot be had must not silence the rules
        logger.exception("%s could not be measured", name)
        items.append(failed_item(name, error))
        return None


def _name_missing_days(state: AccountState, options: RiskOptions) -> Item:
    detail = (
        f"not enough data: it takes {options.min_days} days with daily candles of at least half of what is held. "
        "backfill-market-data fetches 1d candles."
    )
    return Item(name=f"{state.account} value at risk", status=Status.SKIPPED, detail=detail)
