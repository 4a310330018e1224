"""Performance: `calculate_metrics`."""

from __future__ import annotations

import asyncio

from lib.performance import calculating
from lib.performance.calculating import MetricsResult
from lib.platform import Platform
from lib.portfolio.accounts import Account


async def calculate_metrics(platform: Platform, account: str | None, days: int) -> MetricsResult:
    """Measure one account over so many days, or each of the settings and all together, and keep what was found."""
    accounts = await asyncio.to_thread(load_accounts, platform, account)
    return await asyncio.to_thread(
        calculating.calculate_metrics,
        accounts=accounts,
        days=days,
        equity=platform.analysis.equity,
        store=platform.analysis.performance,
        market=platform.market,
        clock=platform.clock,
    )


def load_accounts(platform: Platform, account: str | None) -> list[Account]:
    """Return the accounts whose past is asked for: also one that cannot be used now, or that left the settings.

    Raises:
        OperatorError: There never was such an account.
    """
    names = platform.settings.effective_accounts if account is None else (account,)
    return [platform.portfolio.load_account(name) for name in names]
