"""The platform: the parts that `wiring` chose. What each task does with them is in `lib.tasks`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lib.errors import OperatorError, SettingsError
from lib.market.stores import SyncStore
from lib.notifications.channels import Subscriber
from lib.notifications.sending import NotificationStore
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import BookSource, Clock, Exchange, ExchangeAccount
from lib.results import TaskResult, combine, failed_item
from lib.settings import Settings

Show = Callable[[int, int, str], None]
R = TypeVar("R", bound=TaskResult)
logger = logging.getLogger(__name__)


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
        refused_channels: Why a channel of the settings cannot be used.
        candles: Candles, gaps, sync status and symbols, as synchronisation keeps them.
        market: Stored symbols and candles, as the portfolio asks for them.
        portfolio: Accounts, fills and positions.
        notifications: The outbox.
        subscribers: The channels.
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
    refused_accounts: Mapping[str, SettingsError] = field(default_factory=dict)
    refused_channels: Mapping[str, SettingsError] = field(default_factory=dict)

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
