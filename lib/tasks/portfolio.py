"""Positions: `update_positions`, `check_stop_loss`, `set_stop_loss` and `trade_on_paper`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from lib.errors import OperatorError
from lib.execution.checks import check_halt
from lib.execution.gate import Halted
from lib.paper import trade
from lib.paper.account import PaperAccount, Wish
from lib.paper.trade import PaperTrade
from lib.platform import Platform
from lib.portfolio import limits, positions, stops
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.position_report import PositionsUpdate, line_of
from lib.portfolio.positions import Answer
from lib.portfolio.quotes import fetch_quotes
from lib.portfolio.unwatched import tell_of_unwatched
from lib.results import Item, Status, TaskResult, calc_status, failed_item
from lib.settings import AccountSettings
from lib.tasks.protected import describe_protected, settle_protections
from lib.tasks.settling import settle_tickets

logger = logging.getLogger(__name__)


async def update_positions(platform: Platform, account: str | None = None) -> PositionsUpdate:
    """Import fills, rebuild and price the positions of one account, or of all, and give them their stop losses.

    What an approved order has bought gets the limits of its ticket, and people its confirmation.

    All accounts are asked at once, and one request for all prices comes last: a slow account makes no price of another
    one old.
    """
    if account is not None:
        platform.check_account(account)
    names = platform.accounts if account is None else (account,)
    asking = {name: asyncio.ensure_future(_ask_account(platform, name)) for name in names}
    await asyncio.gather(*asking.values(), return_exceptions=True)
    quotes = await fetch_quotes(platform.exchange, platform.clock)

    async def update(name: str) -> PositionsUpdate:
        answer = await asking[name]
        result = await asyncio.to_thread(
            positions.update_positions,
            answer,
            quotes,
            store=platform.portfolio,
            market=platform.market,
            outbox=platform.notifications,
            clock=platform.clock,
        )
        settled = (*await settle_tickets(platform, name), *await settle_protections(platform, name))
        stops_set = await asyncio.to_thread(_set_missing_stops, platform, name)
        protected = await describe_protected(platform, name)
        if not settled and not stops_set and not protected:
            return result
        held = await asyncio.to_thread(platform.portfolio.load_held, name)
        items = (*result.items, *settled, *stops_set)
        lines = tuple(line_of(one, protected.get(one.symbol, "")) for one in held)
        shown = {"positions": lines, "items": items}
        return result.model_copy(update={**shown, "status": calc_status(result.task, items)})

    return await platform.for_each_account(account, update)


async def check_stop_loss(platform: Platform, account: str | None = None) -> TaskResult:
    """Check the stop losses and take profits of one account, or of all; then also tell of accounts nobody watches."""

    async def check(name: str) -> TaskResult:
        return await asyncio.to_thread(
            stops.check_stop_loss,
            account=name,
            store=platform.portfolio,
            clock=platform.clock,
            max_age=timedelta(seconds=platform.settings.stop_price_max_age_seconds),
            realert=timedelta(minutes=platform.settings.stop_realert_minutes),
            policies=exit_policies_of(platform.settings.effective_accounts[name]),
        )

    if account is not None:
        return await platform.for_each_account(account, check)
    try:
        result = await platform.for_each_account(None, check)
    finally:
        unwatched = await asyncio.to_thread(_tell_of_unwatched, platform)
    told = {item.name for item in unwatched}
    items = (*(item for item in result.items if item.name not in told), *unwatched)
    return result.model_copy(update={"items": items, "status": calc_status(result.task, items)})


def exit_policies_of(settings: AccountSettings) -> Mapping[AlarmKind, ExitPolicy]:
    """Return what an account wants done when a limit is crossed."""
    return {AlarmKind.STOP_LOSS: settings.stop_policy, AlarmKind.TAKE_PROFIT: settings.take_profit_policy}


async def trade_on_paper(platform: Platform, account: str, wish: Wish, halted: Halted) -> PaperTrade:
    """Buy or sell on a paper account.

    It is a person's own trade, as on the page of an exchange, so that the halt is the only check of orders it meets.

    Args:
        platform: The parts.
        account: A paper account.
        wish: What to trade.
        halted: Says why trading is halted; None when it is not.

    Raises:
        CheckRefused: Trading is halted.
        OperatorError: A live account, or what `lib.paper.trade.trade_on_paper` refuses.
    """
    platform.check_account(account)
    private = platform.accounts[account]
    if not isinstance(private, PaperAccount):
        raise OperatorError(f"Account {account} is live: trade it on the exchange. This is for paper accounts.")
    check_halt(await halted())
    return await trade.trade_on_paper(private, wish, platform.clock)


async def set_stop_loss(
    platform: Platform,
    account: str,
    symbol: str,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    *,
    remove_stop_loss: bool,
    remove_take_profit: bool,
) -> TaskResult:
    """Set or remove the limits of an open position."""
    platform.check_account(account)
    if remove_stop_loss and platform.settings.effective_accounts[account].stop_loss_pct is not None:
        raise OperatorError(
            f"Account {account} has a stop loss for every position (stop_loss_pct): it would come back with the "
            "next run. Set a lower stop loss, or take stop_loss_pct out of the account's settings first."
        )
    return await asyncio.to_thread(
        limits.set_stop_loss,
        account=account,
        symbol=symbol,
        store=platform.portfolio,
        clock=platform.clock,
        stop_loss=stop_loss,
        take_profit=take_profit,
        remove_stop_loss=remove_stop_loss,
        remove_take_profit=remove_take_profit,
    )


async def _ask_account(platform: Platform, name: str) -> Answer:
    return await positions.ask_account(
        account=name,
        exchange_account=platform.accounts[name],
        store=platform.portfolio,
        market=platform.market,
        clock=platform.clock,
        universe=platform.settings.symbols,
    )


def _tell_of_unwatched(platform: Platform) -> tuple[Item, ...]:
    try:
        return tell_of_unwatched(
            watched=platform.accounts,
            refused=platform.refused_accounts,
            exchange=platform.settings.exchange,
            store=platform.portfolio,
            outbox=platform.notifications,
            now=platform.clock.now(),
        )
    except Exception as error:  # counted as a failed item: the checks that were made stand
        logger.exception("Accounts that nobody watches could not be looked for")
        return (failed_item("unwatched accounts", error),)


def _set_missing_stops(platform: Platform, account: str) -> tuple[Item, ...]:
    percent = platform.settings.effective_accounts[account].stop_loss_pct
    if percent is None:
        return ()
    items = limits.set_missing_stops(
        account=account, percent_below=percent, store=platform.portfolio, market=platform.market
    )
    for item in items:
        if item.status is Status.FAILED:
            now = platform.clock.now()
            platform.notifications.record(limits.write_stop_missing(item.name, item.detail, at=now))
    return items
