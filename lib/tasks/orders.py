"""Proposing single orders: `review_opening` and `review_closing`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from lib.allocation.stores import Approval, Decision
from lib.code_version import find_code_version
from lib.errors import CheckRefused, OrderRefused
from lib.execution.approval import BY_SETTINGS
from lib.execution.checks import Verdict
from lib.execution.closing import bound_exit, find_wanted, measure_sellable, plan_closing
from lib.execution.dealing import build_intent
from lib.execution.gate import Halted
from lib.execution.opening import OpeningWish, find_signal, plan_opening
from lib.execution.protection import free_up
from lib.execution.ticket_messages import write_approval_wanted
from lib.execution.ticket_report import OrderReview, to_items
from lib.execution.tickets import Ticket, make_ticket_id
from lib.platform import Platform
from lib.portfolio.exits import Exit, ExitPolicy
from lib.portfolio.fills import Side
from lib.portfolio.stores import Listing
from lib.results import Item, Status, calc_status
from lib.strategy.signal_alerts import calc_valid_until
from lib.tasks.exits import check_due
from lib.tasks.order_facts import (
    check_signal_unused,
    find_best,
    find_held,
    load_crossing,
    load_listing,
)
from lib.tasks.portfolio import update_positions
from lib.tasks.protected import load_known, load_locked
from lib.tasks.trading import make_gate

TASK = "review_order"


async def review_opening(
    platform: Platform, wish: OpeningWish, *, timeframe: str | None, run: str, execute: bool, halted: Halted
) -> OrderReview:
    """Propose the order that opens a position, with what every check says of it.

    Args:
        platform: The parts.
        wish: What is asked for.
        timeframe: Of the signal; None means the settings'.
        run: The flow run's id; run again, it reviews the ticket that it stored.
        execute: Whether it is to be sent; otherwise nothing is stored.
        halted: Says why trading is halted.

    Raises:
        OrderRefused: It cannot be what is wanted; with `execute`, also what a check refuses.
    """
    platform.check_account(wish.account)
    started_at, ticket_id = platform.clock.now(), make_ticket_id(wish.account, run)
    if known := await asyncio.to_thread(platform.trading.tickets.load, wish.account, ticket_id):
        return await _review_again(platform, known, started_at)
    listing = await load_listing(platform, wish.symbol)
    found = None
    if wish.strategy is not None:
        named = timeframe or platform.settings.signal_timeframe
        signals = platform.analysis.signals
        found = await asyncio.to_thread(
            find_signal, signals, wish.account, wish.strategy, wish.symbol, named, started_at
        )
    ticket = plan_opening(
        wish,
        found,
        best_ask=await find_best(platform, wish.symbol, Side.BUY),
        listing=listing,
        held=await find_held(platform, wish.account, wish.symbol),
        ticket_id=ticket_id,
        now=started_at,
        code_version=find_code_version(),
    )
    await check_signal_unused(platform, ticket)
    return await _review(platform, ticket, listing, "", None, execute=execute, halted=halted)


async def review_closing(
    platform: Platform,
    account: str,
    symbol: str,
    quantity: Decimal | None,
    share_pct: Decimal,
    *,
    exit_id: int | None,
    run: str,
    execute: bool,
    halted: Halted,
) -> OrderReview:
    """Propose the order that closes a position or a part of it, with what every check says of it.

    Args:
        platform: The parts.
        account: Whose position.
        symbol: Of the position.
        quantity: Base; None: the share.
        share_pct: Of the position.
        exit_id: Of the exit that wants it; None: a person does.
        run: The flow run's id; run again, it reviews the ticket that it stored.
        execute: Whether it is to be sent; otherwise nothing is stored.
        halted: Says why trading is halted.

    Raises:
        OrderRefused: There is nothing to sell; with `execute`, also what a check refuses.
    """
    platform.check_account(account)
    started_at, ticket_id = platform.clock.now(), make_ticket_id(account, run)
    if known := await asyncio.to_thread(platform.trading.tickets.load, account, ticket_id):
        return await _review_again(platform, known, started_at)
    crossing = None if exit_id is None else await load_crossing(platform, account, symbol, exit_id)
    await check_due(platform, crossing)
    if any(one.is_live for one in await load_known(platform, account, symbol)):
        await update_positions(platform, account)  # what rests on the exchange may have sold it a moment ago
    held = await find_held(platform, account, symbol)
    if held is None:
        raise OrderRefused(
            f"Account {account} has no open position in {symbol}. Each run of critical-path lists what it holds."
        )
    listing = await load_listing(platform, symbol)
    balances = free_up(await platform.accounts[account].fetch_balances(), await load_locked(platform, account))
    wanted = find_wanted(held, quantity, share_pct)
    sellable = measure_sellable(held, balances.get(symbol.partition("/")[0]), listing, wanted)
    best_bid = await find_best(platform, symbol, Side.SELL)
    if crossing is not None:
        sellable = bound_exit(sellable, best_bid, platform.settings.max_order_notional, listing)
    ticket = plan_closing(
        held,
        sellable,
        best_bid=best_bid,
        crossing=crossing,
        ticket_id=ticket_id,
        now=started_at,
        code_version=find_code_version(),
    )
    return await _review(platform, ticket, listing, sellable.note, crossing, execute=execute, halted=halted)


async def _review(
    platform: Platform,
    ticket: Ticket,
    listing: Listing,
    note: str,
    crossing: Exit | None,
    *,
    execute: bool,
    halted: Halted,
) -> OrderReview:
    intent = build_intent(ticket, listing, platform.settings.max_slippage_pct, ticket.created_at)
    gate = await make_gate(platform, ticket.account, halted, is_exit=crossing is not None)
    if ticket.side is Side.SELL:
        gate = replace(gate, freed=await load_locked(platform, ticket.account))
    verdicts = await gate.review(intent)
    if execute:
        _raise_first(verdicts)
        ticket = await _store(platform, ticket, crossing)
    items = to_items(verdicts)
    review = OrderReview(
        task=TASK,
        status=calc_status(TASK, items),
        counts={"orders proposed": 1},
        items=items,
        started_at=ticket.created_at,
        finished_at=platform.clock.now(),
        ticket=ticket,
        intent=intent,
        max_slippage_pct=platform.settings.max_slippage_pct,
        note=note,
        **_tell_what_follows(platform, ticket, execute=execute),
    )
    await _tell_approval_wanted(platform, review)
    return review


async def _tell_approval_wanted(platform: Platform, review: OrderReview) -> None:
    """Record, once a ticket, that a person is waited for."""
    if review.asks and review.ticket is not None:
        message = write_approval_wanted(review, review.ticket, platform.clock.now())
        await asyncio.to_thread(platform.notifications.record, message)


async def _review_again(platform: Platform, ticket: Ticket, started_at: datetime) -> OrderReview:
    """A run that was resumed or started anew goes on with what was reviewed."""
    review = OrderReview(
        task=TASK,
        status=Status.OK,
        counts={},
        items=(Item(name=ticket.name, status=Status.OK, detail="as it was reviewed"),),
        started_at=started_at,
        finished_at=platform.clock.now(),
        ticket=ticket,
        **_tell_what_follows(platform, ticket, execute=True),
    )
    await _tell_approval_wanted(platform, review)  # the run may have been killed before it was recorded
    return review


def _tell_what_follows(platform: Platform, ticket: Ticket, *, execute: bool) -> dict[str, Any]:
    within = timedelta(hours=platform.settings.approval_hours)
    if ticket.signal is not None:
        within = min(within, calc_valid_until(ticket.signal) - platform.clock.now())
    asks = execute and ticket.approval is None
    return {"execute": execute, "asks": asks, "answer_within": max(within, timedelta(0))}


def _raise_first(verdicts: Sequence[Verdict]) -> None:
    for one in verdicts:
        if one.refusal is not None:
            raise CheckRefused(one.refusal.code, str(one.refusal))


async def _store(platform: Platform, ticket: Ticket, crossing: Exit | None) -> Ticket:
    """Store a ticket; where no person has to approve it, together with the approval, so that neither is lost."""
    settings = platform.settings.effective_accounts[ticket.account]
    asks = settings.needs_approval if crossing is None else crossing.policy is ExitPolicy.APPROVE
    if asks:
        return await asyncio.to_thread(platform.trading.tickets.add, ticket)
    by = BY_SETTINGS if crossing is None else f"{BY_SETTINGS} ({crossing.kind} policy {crossing.policy})"
    approved = replace(ticket, approval=Approval(Decision.APPROVED, by, platform.clock.now()))
    return await asyncio.to_thread(platform.trading.tickets.add, approved)
