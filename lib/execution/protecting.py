"""Placing and releasing protections, each step so that a killed run leaves nothing that the next one cannot finish.

A protection is stored before its orders, and those before they are sent. Its release is stored before anything is
cancelled. What a killed run leaves is `live` and not `resting` (`lib.execution.protection`): it is released, and what
is wanted then is placed under a new name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from lib.errors import OutcomeUnknown
from lib.execution.orders import Order
from lib.execution.placing import Placing
from lib.execution.protection import Guard, ProtectionStore
from lib.execution.protection_plan import Planned
from lib.ports import Clock

logger = logging.getLogger(__name__)


async def release_protections(
    guards: Sequence[Guard], *, placing: Placing, store: ProtectionStore, why: str, clock: Clock
) -> list[Guard]:
    """Cancel what is live of protections, and return them as they ended: they may have filled before.

    Args:
        guards: Of one account.
        placing: Of the account.
        store: Where they are kept.
        why: For people.
        clock: Now.

    Raises:
        OutcomeUnknown: It is not known yet how one of their orders ended; nothing else may be sold before.
    """
    released = []
    for guard in guards:
        await asyncio.to_thread(store.release, guard.protection, why, clock.now())
        ended = [await _cancel(order, placing) for order in guard.orders]
        released.append(replace(guard, orders=tuple(ended)))
    return released


async def _cancel(order: Order, placing: Placing) -> Order:
    if order.state.is_final:
        return order
    ended = await placing.cancel(order.intent.client_order_id)
    if not ended.state.is_final:
        raise OutcomeUnknown(
            f"The protective order {ended.name} is {ended.state}, and nothing is sold before its end is known. Start "
            "this again: it is looked up first. Where the exchange does not know it any more, the flow withdraw-order "
            "ends it."
        )
    return ended


async def place_protection(planned: Planned, *, placing: Placing, store: ProtectionStore) -> Guard:
    """Store a protection and send its orders; return it as it is then. One that is refused is only stored."""
    await asyncio.to_thread(store.add, planned.protection)
    if not planned.intents:
        return Guard(planned.protection, ())
    if len(planned.intents) == 1:
        orders: Sequence[Order] = [await placing.place(planned.intents[0])]
    else:
        orders = await placing.place_list(planned.intents)
    guard = Guard(planned.protection, tuple(orders))
    if not guard.is_resting:
        logger.warning("The %s does not rest: %s", planned.protection.name, describe_orders(guard))
    return guard


def describe_orders(guard: Guard) -> str:
    """Render ``sell 2 SOL/USDT (fks-…-s) is rejected: Order would trigger immediately.``, order after order."""
    return "; ".join(
        f"{order.name} is {order.state}" + (f": {order.reason}" if order.reason else "") for order in guard.orders
    )


def has_sold(before: Sequence[Guard], after: Sequence[Guard]) -> bool:
    """Tell whether protections have sold more than was known before they were released."""
    known = sum(one.executed_quantity for one in before)
    return sum(one.executed_quantity for one in after) > known
