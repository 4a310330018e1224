"""The platform: the parts that `wiring` chose. What each task does with them is in `lib.tasks`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from lib.allocation.stores import PlanStore
from lib.archive.stores import Archive
from lib.balances.stores import BalanceStore
from lib.errors import OperatorError, SettingsError
from lib.execution.findings import FindingStore
from lib.execution.stores import OrderStore
from lib.execution.tickets import TicketStore
from lib.execution.venue import OrderVenue
from lib.indicators.stored import IndicatorHistory
from lib.indicators.stores import IndicatorStore
from lib.market.matrix import CandleHistory
from lib.market.stores import SyncStore
from lib.news.feeds import FeedFetcher
from lib.news.stores import NewsStore, SentimentStore
from lib.notifications.channels import Subscriber
from lib.notifications.outbox import NotificationStore
from lib.performance.stores import PerformanceStore
from lib.portfolio.exits import ExitStore
from lib.portfolio.state import StateStore
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import BookSource, Clock, Exchange, ExchangeAccount
from lib.reporting.stores import ReportStore
from lib.results import TaskResult, combine, failed_item
from lib.risk.drawdown import EquityStore
from lib.risk.stores import RiskStore
from lib.settings import Settings
from lib.strategy.stores import SignalStore, StrategyStore

Show = Callable[[int, int, str], None]
R = TypeVar("R", bound=TaskResult)
logger = logging.getLogger(__name__)


class IndicatorParts(IndicatorStore, IndicatorHistory, Protocol):
    """Indicators to keep and to read."""


@dataclass(frozen=True)
class AnalysisStores:
    """What the chains beside the five-minute one keep.

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


@dataclass(frozen=True)
class TradingParts:
    """What orders go through.

    Attributes:
        orders: Intents, attempts and fills.
        plans: Rebalance plans.
        tickets: Single orders that were proposed.
        exits: What crossed limits want sold.
        findings: What reconciling found about orders.
        venues: Where each account's orders are sent.
    """

    orders: OrderStore
    plans: PlanStore
    tickets: TicketStore
    exits: ExitStore
    findings: FindingStore
    venues: Mapping[str, OrderVenue]


@dataclass(frozen=True)
class Platform:
    """One process's view of everything.

    Attributes:
        settings: The operator's.
        clock: Ours.
        exchange: Its public side.
        books: The exchange's order books.
        accounts: Private sides by account.
        refused_accounts: Why an account of the settings cannot be used.
        candles: Candles, gaps, sync status and symbols, as synchronisation keeps them.
        market: Stored symbols and candles, as the portfolio asks for them.
        portfolio: Accounts, fills and positions.
        notifications: The outbox.
        subscribers: Every channel of the settings, also what cannot be used.
        feeds: The news feeds' network.
        analysis: What the other chains keep.
        trading: What orders go through.
        archive: Where old data goes.
    """

    settings: Settings
    clock: Clock
    exchange: Exchange
    books: BookSource
    accounts: Mapping[str, ExchangeAccount]
    candles: SyncStore
    market: MarketFacts
    portfolio: PortfolioStore
    notifications: NotificationStore
    subscribers: Sequence[Subscriber]
    feeds: FeedFetcher
    analysis: AnalysisStores
    trading: TradingParts
    archive: Archive
    refused_accounts: Mapping[str, SettingsError] = field(default_factory=dict)

    async def for_each_account(self, account: str | None, work: Callable[[str], Awaitable[R]]) -> R:
        """Do the work for one account or for each; one account's failure does not stop another."""
        if account is not None:
            self.check_account(account)
            return await work(account)
        done, failed = [], [failed_item(name, error) for name, error in self.refused_accounts.items()]
        for name in self.accounts:
            try:
                done.append(await work(name))
            except Exception as error:
                if len(self.accounts) == 1 and not failed:
                    raise
                logger.exception("Account %s", name)
                failed.append(failed_item(name, error))
        return combine(done, failed)

    def check_account(self, account: str) -> None:
        """Raise `OperatorError` unless the account can be used."""
        if account in self.refused_accounts:
            raise self.refused_accounts[account]
        if account not in self.accounts:
            raise OperatorError(f"Unknown account {account!r}. Expected one of {', '.join(self.accounts)}.")
