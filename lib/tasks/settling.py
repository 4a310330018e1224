"""What follows from an order that was filled: `settle_tickets`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from lib.errors import AccountBusy, FksError, OrderNotSent
from lib.execution import settling
from lib.execution.dealing import learn_unfinished
from lib.execution.orders import OrderIntent, OrderState
from lib.execution.placing import PlacingRules, open_placing
from lib.platform import Platform
from lib.results import Item

AT_ONCE = PlacingRules(patience=timedelta(0))
logger = logging.getLogger(__name__)


async def settle_tickets(platform: Platform, account: str) -> tuple[Item, ...]:
    """Give positions the limits of their tickets, and confirm what was filled, once its fills are in the ledger.

    An order that a killed run has left is looked up, once; nothing is sent.
    """
    tickets = platform.trading.tickets
    unsettled = await asyncio.to_thread(tickets.load_unsettled, account)
    if any(not one.order.state.is_final and one.order.state is not OrderState.NEW for one in unsettled):
        await _look_up(platform, account)
        unsettled = await asyncio.to_thread(tickets.load_unsettled, account)
    if not unsettled:
        return ()
    return await asyncio.to_thread(
        settling.settle_tickets, unsettled, tickets=tickets, store=platform.portfolio, clock=platform.clock
    )


async def _look_up(platform: Platform, account: str) -> None:
    """Learn what became of the account's orders; whoever places them now is left alone."""
    store, venue = platform.trading.orders, platform.trading.venues[account]
    try:
        async with open_placing(
            account, store=store, venue=venue, check=_send_nothing, clock=platform.clock, rules=AT_ONCE
        ) as placing:
            await learn_unfinished(placing)
    except AccountBusy:
        return
    except FksError as error:  # the next chain looks again; fills are imported and stops checked all the same
        logger.warning("What became of the orders of %s is not known yet: %s", account, error)


async def _send_nothing(intent: OrderIntent) -> None:
    raise OrderNotSent(f"{intent.client_order_id} is only looked up.")
