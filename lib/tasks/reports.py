"""Reports: `generate_report`."""

from __future__ import annotations

import asyncio
from datetime import datetime

from lib.performance.period import Period, find_period
from lib.platform import Platform
from lib.reporting import generating
from lib.reporting.gathering import Sources
from lib.reporting.generating import Desk, ReportResult
from lib.reporting.pages import REPORTS
from lib.reporting.report import ReportType
from lib.reporting.runs import RunHistory
from lib.tasks.performance import load_accounts
from lib.tasks.trading import rebalance_rules_of


async def generate_report(
    platform: Platform, account: str | None, kind: ReportType, history: RunHistory, *, key: str
) -> ReportResult:
    """Write the report of one account, or of all of the settings together, and record its message.

    Args:
        platform: The parts.
        account: Also one that cannot be used now, or that left the settings; None means all of the settings.
        kind: Daily, weekly or monthly.
        history: The runs of its period.
        key: The run's id.

    Raises:
        OperatorError: There never was such an account.
    """
    accounts = await asyncio.to_thread(load_accounts, platform, account)
    desk = Desk(sources_of(platform), platform.settings.home / REPORTS, platform.clock)
    return await asyncio.to_thread(generating.generate_report, kind, accounts, history, desk, key=key)


def find_report_period(platform: Platform, kind: ReportType) -> tuple[Period, datetime]:
    """Return a report's period and the present instant: the history of runs is asked for between its start and that."""
    now = platform.clock.now()
    return find_period(now, kind.days), now


def sources_of(platform: Platform) -> Sources:
    """Return where a report's contents come from."""
    analysis, rules = platform.analysis, rebalance_rules_of(platform.settings)
    return Sources(
        reports=analysis.reports,
        equity=analysis.equity,
        performance=analysis.performance,
        portfolio=platform.portfolio,
        states=analysis.states,
        balances=analysis.balances,
        strategies=analysis.strategies,
        market=platform.market,
        outbox=platform.notifications,
        targets=rules.targets,
        band=rules.band,
        refused=platform.refused_accounts,
    )
