"""Risk: `analyze_risk`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

from lib.platform import Platform
from lib.risk import analysis
from lib.risk.options import RiskOptions
from lib.risk.report import RiskResult
from lib.risk.rules import RiskLimits
from lib.settings import Settings


async def analyze_risk(platform: Platform, account: str | None = None) -> RiskResult:
    """Analyze the risk of one account, or of all, and record what people must know."""
    options = risk_options_of(platform.settings)

    def analyze(name: str) -> RiskResult:
        return analysis.analyze_risk(
            account=name,
            state=platform.analysis.states.load_state(name),
            history=platform.analysis.history,
            equity=platform.analysis.equity,
            store=platform.analysis.risk,
            clock=platform.clock,
            options=options,
        )

    return await platform.for_each_account(account, lambda name: asyncio.to_thread(analyze, name))


def risk_options_of(settings: Settings) -> RiskOptions:
    """Return how the settings want risk judged."""

    def ratio(percent: Decimal) -> Decimal:
        return percent / 100

    limits = RiskLimits(
        high_exposure=ratio(settings.risk_high_exposure_pct),
        medium_exposure=ratio(settings.risk_medium_exposure_pct),
        high_loss=ratio(settings.risk_high_loss_pct),
        medium_loss=ratio(settings.risk_medium_loss_pct),
        high_position=ratio(settings.risk_high_position_pct),
    )
    return RiskOptions(limits=limits, realert=timedelta(hours=settings.risk_realert_hours))
