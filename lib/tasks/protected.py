"""Protections as the chains see them: what is due, what has ended, and room for a sale."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from lib.errors import AccountBusy, FksError, OrderNotSent
from lib.execution.dealing import learn_unfinished
from lib.execution.orders import OrderIntent
from lib.execution.placing import Placing, PlacingRules, open_placing
from lib.execution.protecting import release_protections
from lib.execution.protection import Guard, count_locked
from lib.execution.protection_needs import Judgement, judge
from lib.execution.protection_settling import settle_protections as settle
from lib.platform import Platform
from lib.portfolio.stores import HeldPosition
from lib.results import Item

AT_ONCE = PlacingRules(patience=timedelta(0))
logger = logging.getLogger(__name__)


async def load_known(platform: Platform, account: str, symbol: str | None = None) -> list[Guard]:
    """Return an account's protections that are not settled, and those of its open positions; of one symbol, or all."""
    known = await asyncio.to_thread(platform.trading.protections.load_current, account)
    return [one for one in known if symbol in (None, one.protection.symbol)]


async def load_locked(platform: Platform, account: str) -> Mapping[str, Decimal]:
    """Return what protections hold at the exchange and free before any sale: base by asset."""
    return count_locked(await load_known(platform, account))


def is_on(platform: Platform, account: str) -> bool:
    """Tell whether the settings want protective orders for an account."""
    return platform.settings.effective_accounts[account].protective_orders


async def judge_positions(platform: Platform, account: str, *, again: bool = False) -> dict[str, Judgement]:
    """Return what the protection of each symbol of an account needs, by what is stored."""
    known = await load_known(platform, account)
    held = {one.symbol: one for one in await asyncio.to_thread(platform.portfolio.load_held, account)}
    now, wanted = platform.clock.now(), is_on(platform, account)
    return {
        symbol: judge(
            held.get(symbol),
            [one for one in known if one.protection.symbol == symbol],
            is_on=wanted,
            now=now,
            again=again,
        )
        for symbol in sorted({*held, *(one.protection.symbol for one in known)})
    }


async def find_due(platform: Platform) -> list[str]:
    """Return the accounts whose protections need something, by what is stored: the exchange is asked nothing."""
    due = []
    for account in platform.accounts:
        judged = await judge_positions(platform, account)
        if any(one.is_due for one in judged.values()):
            due.append(account)
    return due


async def describe_protected(platform: Platform, account: str) -> dict[str, str]:
    """Return what protects each position on the exchange, in words; nothing where that is not wanted."""
    known = await load_known(platform, account)
    if not is_on(platform, account) and not any(one.is_live for one in known):
        return {}
    judged = await judge_positions(platform, account)
    resting = {one.protection.symbol: one for one in known if one.is_resting}
    return {symbol: _describe(resting.get(symbol), one) for symbol, one in judged.items()}


def _describe(guard: Guard | None, judged: Judgement) -> str:
    if guard is None:
        return f"nothing: {judged.why}"
    target = "" if guard.has_target or guard.protection.take_profit is None else ", the stop only"
    return guard.protection.describe() + target


async def settle_protections(platform: Platform, account: str) -> tuple[Item, ...]:
    """Tell people of protections that have ended, once their fills are in the ledger.

    Orders of one that has sold, as the ledger shows, are looked up, once; nothing is sent.
    """
    known = await load_known(platform, account)
    if not any(one.protection.settled_at is None for one in known):
        return ()
    held = {one.symbol: one for one in await asyncio.to_thread(platform.portfolio.load_held, account)}
    for symbol in {one.protection.symbol for one in known if _has_moved(one, held.get(one.protection.symbol))}:
        await _look_up(platform, account, symbol)
    known = await load_known(platform, account)
    return await asyncio.to_thread(
        settle, known, protections=platform.trading.protections, store=platform.portfolio, clock=platform.clock
    )


def _has_moved(guard: Guard, held: HeldPosition | None) -> bool:
    """Tell whether less is held than the protection is to sell."""
    if not guard.is_live:
        return False
    if held is None or held.position.opened_by != guard.protection.opened_by:
        return True
    return guard.locked - held.position.quantity >= max(held.position.quantity_step, Decimal("1e-18"))


async def _look_up(platform: Platform, account: str, symbol: str) -> None:
    """Learn what became of a symbol's orders; whoever places orders of the account now is left alone."""
    store, venue = platform.trading.orders, platform.trading.venues[account]
    try:
        async with open_placing(
            account, store=store, venue=venue, check=_send_nothing, clock=platform.clock, rules=AT_ONCE
        ) as placing:
            await learn_unfinished(placing, symbol)
    except AccountBusy:
        return
    except FksError as error:  # the next chain looks again; stops are checked all the same
        logger.warning("What became of the protection of %s %s is not known yet: %s", account, symbol, error)


async def release_for_sale(platform: Platform, account: str, symbol: str, placing: Placing) -> Sequence[Guard]:
    """Cancel what protects a position before it is sold, and return it as it ended: it may have sold before.

    Its fills count for nobody until they are imported. What is left of the position is protected again by the next run.

    Raises:
        OutcomeUnknown: It is not known yet how an order of it ended.
    """
    live = [one for one in await load_known(platform, account, symbol) if one.is_live]
    return await release_protections(
        live,
        placing=placing,
        store=platform.trading.protections,
        why="it made room for a sale",
        clock=platform.clock,
    )


async def _send_nothing(intent: OrderIntent) -> None:
    raise OrderNotSent(f"{intent.client_order_id} is only looked up.")
