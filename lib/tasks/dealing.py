"""Deciding on a proposed order and sending it: `decide_order` and `place_order`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from lib.allocation.stores import Decision
from lib.errors import OperatorError, OrderRefused
from lib.execution.approval import ApprovalForm
from lib.execution.closing import bound_exit, measure_sellable
from lib.execution.dealing import build_intent, place_ticket, withdraw_unsent
from lib.execution.gate import Halted
from lib.execution.opening import check_beyond, check_valid
from lib.execution.orders import OrderIntent
from lib.execution.placing import Placing
from lib.execution.protection import Guard, free_up
from lib.execution.ticket_report import OrderResult, describe_execution
from lib.execution.tickets import Ticket
from lib.platform import Platform
from lib.portfolio.fills import Side
from lib.portfolio.stores import HeldPosition, Listing
from lib.results import Item, Status, TaskResult
from lib.tasks.order_facts import (
    check_imported,
    check_signal_unused,
    find_best,
    find_held,
    load_crossing,
    load_listing,
)
from lib.tasks.portfolio import update_positions
from lib.tasks.protected import load_known, load_locked, release_for_sale
from lib.tasks.trading import make_gate, open_trading

DECIDE, PLACE = "decide_order", "place_order"


async def decide_order(platform: Platform, account: str, ticket_id: str, form: ApprovalForm) -> TaskResult:
    """Keep what a person said to a ticket; a second answer changes nothing.

    Raises:
        OperatorError: There is no such ticket.
    """
    started_at = platform.clock.now()
    ticket = await _load_ticket(platform, account, ticket_id)
    decided = await asyncio.to_thread(platform.trading.tickets.decide, ticket, form.to_approval(started_at))
    approval = decided.approval
    assert approval is not None
    detail = f"{approval.decision} by {approval.who}" + (f": {approval.note}" if approval.note else "")
    is_approved = approval.decision is Decision.APPROVED
    status = Status.OK if is_approved else Status.SKIPPED
    return TaskResult(
        task=DECIDE,
        status=status,
        counts={"orders approved" if is_approved else "orders rejected": 1},
        items=(Item(name=ticket.name, status=status, detail=detail),),
        started_at=started_at,
        finished_at=platform.clock.now(),
    )


async def place_order(platform: Platform, account: str, ticket_id: str, halted: Halted) -> OrderResult:
    """Send the one order of an approved ticket, checked again just before; run again, it goes on with that order.

    Raises:
        OperatorError: It was not approved, or a check or the exchange refuses it.
        OutcomeUnknown: It is not known yet what became of it; running this again looks it up.
    """
    started_at = platform.clock.now()
    ticket = await _load_ticket(platform, account, ticket_id)
    async with open_trading(platform, account, halted, is_exit=ticket.exit_id is not None) as placing:
        order = await place_ticket(
            ticket,
            lambda: _intend(platform, ticket, placing, halted),
            placing=placing,
            orders=platform.trading.orders,
            clock=platform.clock,
            max_age=timedelta(minutes=platform.settings.plan_max_age_minutes),
        )
    status = Status.PARTIAL if order.remainder else Status.OK
    return OrderResult(
        task=PLACE,
        status=status,
        counts={"fills": len(order.fills)},
        items=(Item(name=ticket.name, status=status, detail=describe_execution(order)),),
        started_at=started_at,
        finished_at=platform.clock.now(),
        order=order,
    )


async def _intend(platform: Platform, ticket: Ticket, placing: Placing, halted: Halted) -> OrderIntent:
    """Build the order of a ticket as things are now, with the account's lock held."""
    await _withdraw_others(platform, ticket, placing)
    listing = await load_listing(platform, ticket.symbol)
    now, slippage = platform.clock.now(), platform.settings.max_slippage_pct
    if ticket.side is Side.BUY:
        check_valid(ticket, now)
        await check_signal_unused(platform, ticket)
        await _check_limits_now(platform, ticket)
        return build_intent(ticket, listing, slippage, now)
    if ticket.exit_id is not None:
        await load_crossing(platform, ticket.account, ticket.symbol, ticket.exit_id)
    known = await load_known(platform, ticket.account, ticket.symbol)
    if any(one.is_live for one in known):
        held = await _find_held_now(platform, ticket, known)
        await _check_sale(platform, ticket, await _intend_sale(platform, ticket, held, listing), halted)
        released = await release_for_sale(platform, ticket.account, ticket.symbol, placing)
        known = [*(one for one in known if not one.is_live), *released]
    return await _intend_sale(platform, ticket, await _find_held_now(platform, ticket, known), listing)


async def _intend_sale(platform: Platform, ticket: Ticket, held: HeldPosition, listing: Listing) -> OrderIntent:
    """Build a sale of what there is, with what protective orders hold."""
    locked = await load_locked(platform, ticket.account)
    balances = free_up(await platform.accounts[ticket.account].fetch_balances(), locked)
    sellable = measure_sellable(held, balances.get(ticket.base), listing, ticket.quantity)
    if ticket.exit_id is not None:  # it is to be sold although the price goes on falling
        best_bid = await find_best(platform, ticket.symbol, Side.SELL)
        sellable = bound_exit(sellable, best_bid, platform.settings.max_order_notional, listing)
        ticket = replace(ticket, reference_price=best_bid)
    slippage = platform.settings.max_slippage_pct
    return build_intent(ticket, listing, slippage, platform.clock.now(), sellable.quantity)


async def _check_sale(platform: Platform, ticket: Ticket, intent: OrderIntent, halted: Halted) -> None:
    """Refuse a sale that would be refused, while the position is still protected.

    Raises:
        CheckRefused: See `Gate.check`.
    """
    gate = await make_gate(platform, ticket.account, halted, is_exit=ticket.exit_id is not None)
    await replace(gate, freed=await load_locked(platform, ticket.account)).check(intent)


async def _check_limits_now(platform: Platform, ticket: Ticket) -> None:
    book = await platform.books.fetch_book(ticket.symbol)
    check_beyond(
        ticket,
        await find_held(platform, ticket.account, ticket.symbol),
        best_bid=book.bids[0].price if book.bids else None,
        best_ask=book.asks[0].price if book.asks else None,
    )


async def _withdraw_others(platform: Platform, ticket: Ticket, placing: Placing) -> None:
    """Withdraw orders of other tickets that were never sent: of the same exit, or approved too long ago."""
    unsettled = await asyncio.to_thread(platform.trading.tickets.load_unsettled, ticket.account)
    oldest = platform.clock.now() - timedelta(minutes=platform.settings.plan_max_age_minutes)
    others = [one for one in unsettled if one.ticket.client_order_id != ticket.client_order_id]
    stale = [
        one.order
        for one in others
        if one.order.intent.created_at < oldest or (ticket.exit_id is not None and one.ticket.exit_id == ticket.exit_id)
    ]
    await withdraw_unsent(stale, placing)


async def _find_held_now(platform: Platform, ticket: Ticket, known: Sequence[Guard]) -> HeldPosition:
    """Return the position with all fills of our own orders in it: what one of them has sold is not sold again.

    Args:
        platform: The parts.
        ticket: The sale.
        known: What protected the position; its orders may be older than those that are looked at.
    """
    await update_positions(platform, ticket.account)
    await check_imported(platform, ticket.account, ticket.symbol, known)
    held = await find_held(platform, ticket.account, ticket.symbol)
    if held is None:
        raise OrderRefused(f"The position {ticket.account} {ticket.symbol} is closed already. There is nothing to do.")
    if ticket.opened_by is not None and held.position.opened_by != ticket.opened_by:
        raise OrderRefused(
            f"The position {ticket.account} {ticket.symbol} was closed and opened anew since the review. Start the "
            "flow again if the new one is to be sold too."
        )
    return held


async def _load_ticket(platform: Platform, account: str, ticket_id: str) -> Ticket:
    platform.check_account(account)
    ticket = await asyncio.to_thread(platform.trading.tickets.load, account, ticket_id)
    if ticket is None:
        raise OperatorError(f"Account {account} has no ticket {ticket_id}. Start the flow again.")
    return ticket
