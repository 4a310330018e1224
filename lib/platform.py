"""The platform: the parts that `wiring` chose, and what each task does with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from lib.errors import OperatorError, SettingsError
from lib.market.run import SyncOptions, SyncProgress
from lib.market.stores import SyncStore
from lib.market.symbols import SymbolGroup
from lib.market.sync import backfill_market_data, sync_market_data
from lib.market.sync_result import SyncResult
from lib.notifications.channels import Subscriber
from lib.notifications.delivery import Pace
from lib.notifications.messages import MessageType
from lib.notifications.sending import NotificationsResult, NotificationStore, send_notifications
from lib.notifications.texts import write_clock_off, write_import_failed, write_note
from lib.portfolio.limits import set_missing_stops, set_stop_loss
from lib.portfolio.position_report import FILLS, PositionsUpdate, line_of
from lib.portfolio.positions import update_positions
from lib.portfolio.stops import check_stop_loss
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import Clock, Exchange, ExchangeAccount
from lib.results import Item, TaskResult, calc_status, combine, failed_item
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
        accounts: Private sides by account; None for a paper account.
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
    accounts: Mapping[str, ExchangeAccount | None]
    candles: SyncStore
    market: MarketFacts
    portfolio: PortfolioStore
    notifications: NotificationStore
    subscribers: Sequence[Subscriber]
    refused_accounts: Mapping[str, SettingsError] = field(default_factory=dict)
    refused_channels: Mapping[str, SettingsError] = field(default_factory=dict)

    async def sync_market_data(
        self, symbols: Sequence[str] | None = None, timeframes: Sequence[str] | None = None, *, show: Show | None = None
    ) -> SyncResult:
        """Bring candles into step with the exchange; tell people when our clock is off.

        Args:
            symbols: None means all that are kept.
            timeframes: None means all that are kept.
            show: Told ``(done, total, what)`` during long work.
        """
        result = await sync_market_data(
            exchange=self.exchange,
            store=self.candles,
            clock=self.clock,
            options=sync_options_of(self.settings),
            symbols=symbols or self.settings.symbols,
            timeframes=timeframes,
            show=_show_candles(show),
        )
        if abs(result.clock_offset_ms) > self.settings.clock_offset_alert_ms:
            now = self.clock.now()
            self.notifications.record(write_clock_off(self.exchange.name, result.clock_offset_ms, at=now))
        return result

    async def backfill_market_data(
        self,
        symbols: Sequence[str] | None,
        timeframes: Sequence[str] | None,
        *,
        start: datetime,
        end: datetime | None,
        show: Show | None = None,
    ) -> SyncResult:
        """Fetch what is missing in a window, and ask again for what was found absent.

        Args:
            symbols: None means all that are kept.
            timeframes: None means all that are kept.
            start: UTC where it has no time zone.
            end: UTC where it has no time zone; None means now.
            show: Told ``(done, total, what)``.
        """
        return await backfill_market_data(
            exchange=self.exchange,
            store=self.candles,
            clock=self.clock,
            options=sync_options_of(self.settings),
            symbols=symbols or self.settings.symbols,
            timeframes=timeframes or self.settings.timeframes,
            start=_to_utc(start),
            end=_to_utc(end) if end else self.clock.now(),
            verified=True,
            show=_show_candles(show),
        )

    async def update_positions(self, account: str | None = None) -> PositionsUpdate:
        """Import fills, rebuild and price the positions of one account, or of all, and give them their stop losses."""

        async def update(name: str) -> PositionsUpdate:
            result = await update_positions(
                account=name,
                exchange=self.exchange,
                exchange_account=self.accounts[name],
                store=self.portfolio,
                market=self.market,
                clock=self.clock,
                universe=self.settings.symbols,
            )
            self._tell_of_failed_imports(result)
            stops = await asyncio.to_thread(self._set_missing_stops, name)
            if not stops:
                return result
            held = await asyncio.to_thread(self.portfolio.load_held, name)
            items = (*result.items, *stops)
            shown = {"positions": tuple(line_of(one) for one in held), "items": items}
            return result.model_copy(update={**shown, "status": calc_status(result.task, items)})

        return await self._for_each_account(account, update)

    async def check_stop_loss(self, account: str | None = None) -> TaskResult:
        """Check the stop losses and take profits of one account, or of all."""

        async def check(name: str) -> TaskResult:
            return await asyncio.to_thread(
                check_stop_loss,
                account=name,
                store=self.portfolio,
                outbox=self.notifications,
                clock=self.clock,
                max_age=timedelta(seconds=self.settings.stop_price_max_age_seconds),
                realert=timedelta(minutes=self.settings.stop_realert_minutes),
            )

        return await self._for_each_account(account, check)

    async def set_stop_loss(
        self,
        account: str,
        symbol: str,
        stop_loss: Decimal | None,
        take_profit: Decimal | None,
        *,
        remove_stop_loss: bool,
        remove_take_profit: bool,
    ) -> TaskResult:
        """Set or remove the limits of an open position."""
        self._check_account(account)
        if remove_stop_loss and self.settings.effective_accounts[account].stop_loss_pct is not None:
            raise OperatorError(
                f"Account {account} has a stop loss for every position (stop_loss_pct): it would come back with the "
                "next run. Set a lower stop loss, or take stop_loss_pct out of the account's settings first."
            )
        return await asyncio.to_thread(
            set_stop_loss,
            account=account,
            symbol=symbol,
            store=self.portfolio,
            clock=self.clock,
            stop_loss=stop_loss,
            take_profit=take_profit,
            remove_stop_loss=remove_stop_loss,
            remove_take_profit=remove_take_profit,
        )

    async def send_notifications(
        self, kind: MessageType | None = None, message: str | None = None, *, urgent: bool = False, key: str = ""
    ) -> NotificationsResult:
        """Record the message if there is one, and deliver what is due.

        Args:
            kind: What the message is about.
            message: In a person's own words; None to deliver only.
            urgent: Whether a person must see it now.
            key: The run's id, so that a retry says it once.
        """
        note = None
        if message is not None:
            at = self.clock.now()
            note = write_note(kind or MessageType.OPERATIONS, message, urgent=urgent, key=key, at=at)
        pace = Pace(escalation_seconds=self.settings.escalation_seconds)
        result = await asyncio.to_thread(
            send_notifications, self.notifications, self.subscribers, self.clock, note=note, pace=pace
        )
        items = (*result.items, *(failed_item(name, error) for name, error in self.refused_channels.items()))
        return result.model_copy(update={"items": items, "status": calc_status(result.task, items)})

    async def _for_each_account(self, account: str | None, work: Callable[[str], Awaitable[R]]) -> R:
        """Do the work for one account or for each; one account's failure does not stop another."""
        if account is not None:
            self._check_account(account)
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

    def _tell_of_failed_imports(self, result: PositionsUpdate) -> None:
        """What passes by itself is not told: the next run imports it."""
        for item in result.failed:
            if item.name.endswith(FILLS) and not item.retryable:
                self.notifications.record(write_import_failed(item.name, item.detail, at=self.clock.now()))

    def _set_missing_stops(self, account: str) -> tuple[Item, ...]:
        percent = self.settings.effective_accounts[account].stop_loss_pct
        if percent is None:
            return ()
        return set_missing_stops(account=account, percent_below=percent, store=self.portfolio, market=self.market)

    def _check_account(self, account: str) -> None:
        if account in self.refused_accounts:
            raise self.refused_accounts[account]
        if account not in self.accounts:
            raise OperatorError(f"Unknown account {account!r}. Expected one of {', '.join(self.accounts)}.")


def sync_options_of(settings: Settings) -> SyncOptions:
    """Return how the settings want candles synchronised."""
    groups = {SymbolGroup.MAIN: settings.mains, SymbolGroup.ALT: settings.alts}
    return SyncOptions(
        history={timeframe: timedelta(days=days) for timeframe, days in settings.history_days.items()},
        groups={f"{asset}/{settings.quote_asset}": group for group, assets in groups.items() for asset in assets},
        concurrency=settings.exchange_concurrency,
        wait=timedelta(seconds=settings.sync_wait_seconds),
        settle=timedelta(seconds=settings.gap_settle_seconds),
    )


def _show_candles(show: Show | None) -> Callable[[SyncProgress], None]:
    def show_candles(progress: SyncProgress) -> None:
        if show is None:
            return
        series = f"{progress.series_done} of {progress.series_total} series, candles"
        show(progress.candles_done, progress.candles_expected, series)

    return show_candles


def _to_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
