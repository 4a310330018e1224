"""The platform: the parts that `wiring` chose. What each task does with them is in `lib.tasks`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lib.allocation.stores import PlanStore
from lib.errors import OperatorError, SettingsError
from lib.execution.findings import FindingStore
from lib.execution.protection import ProtectionStore
from lib.execution.stores import OrderStore
from lib.execution.tickets import TicketStore
from lib.execution.venue import OrderVenue
from lib.market.stores import SyncStore
from lib.news.feeds import FeedFetcher
from lib.notifications.channels import Subscriber
from lib.notifications.outbox import NotificationStore
from lib.portfolio.exits import ExitStore
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import BookSource, Clock, Exchange, ExchangeAccount
from lib.results import TaskResult, combine, failed_item
from lib.settings import Settings

if TYPE_CHECKING:  # not for the five-minute chain
    from lib.analysis_stores import AnalysisStores
    from lib.archive.stores import Archive

Show = Callable[[int, int, str], None]
R = TypeVar("R", bound=TaskResult)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TradingParts:
    """What orders go through.

    Attributes:
        orders: Intents, attempts and fills.
        plans: Rebalance plans.
        tickets: Single orders that were proposed.
        exits: What crossed limits want sold.
        protections: What rests on the exchange for positions.
        findings: What reconciling found about orders.
        venues: Where each account's orders are sent.
    """

    orders: OrderStore
    plans: PlanStore
    tickets: TicketStore
    exits: ExitStore
    protections: ProtectionStore
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
        trading: What orders go through.
        choose_analysis: Makes `analysis`.
        choose_archive: Makes `archive`.
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
    trading: TradingParts
    choose_analysis: Callable[[], AnalysisStores]
    choose_archive: Callable[[], Archive]
    refused_accounts: Mapping[str, SettingsError] = field(default_factory=dict)

    @cached_property
    def analysis(self) -> AnalysisStores:
        """What the other chains keep; chosen at its first use, because the five-minute chain never asks for it."""
        return self.choose_analysis()

    @cached_property
    def archive(self) -> Archive:
        """Where old data goes; chosen at its first use, as above."""
        return self.choose_archive()

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
