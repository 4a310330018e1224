"""What the chains beside the five-minute one keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lib.balances.stores import BalanceStore
from lib.health.stores import HealthStore
from lib.indicators.stored import IndicatorHistory
from lib.indicators.stores import IndicatorStore
from lib.market.matrix import CandleHistory
from lib.news.stores import NewsStore, SentimentStore
from lib.performance.stores import PerformanceStore
from lib.portfolio.state import StateStore
from lib.reporting.stores import ReportStore
from lib.research.stores import SearchStore
from lib.risk.drawdown import EquityStore
from lib.risk.stores import RiskStore
from lib.strategy.stores import SignalStore, StrategyStore


class IndicatorParts(IndicatorStore, IndicatorHistory, Protocol):
    """Indicators to keep and to read."""


@dataclass(frozen=True)
class AnalysisStores:
    """See the module.

    Attributes:
        history: Candles as matrices.
        indicators: Stored indicators.
        strategies: Strategies and their parameters.
        signals: What strategies said, and each account's sizes.
        balances: Snapshots of balances, cash flows, breaks.
        states: What accounts hold.
        equity: The history of accounts' equity.
        performance: Measured performance, and the fills that it is measured of.
        reports: What only reports ask for, and the reports that were written.
        risk: Risk snapshots and alarms.
        news: Articles and feeds.
        sentiment: How the articles sound.
        searches: Searches of parameters.
        health: The platform's own figures.
    """

    history: CandleHistory
    indicators: IndicatorParts
    strategies: StrategyStore
    signals: SignalStore
    balances: BalanceStore
    states: StateStore
    equity: EquityStore
    performance: PerformanceStore
    reports: ReportStore
    risk: RiskStore
    news: NewsStore
    sentiment: SentimentStore
    searches: SearchStore
    health: HealthStore
