"""Settling tickets: once its fills are in the ledger, a position gets its limits, and people the confirmation.

Every chain that imports fills settles what is due. So a run that is killed after its order was filled leaves no
position without its stop loss for longer than until the next chain.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lib.errors import FksError, RetryableError
from lib.execution.opening import merge_limits
from lib.execution.ticket_messages import write_executed
from lib.execution.tickets import Executed, TicketStore
from lib.portfolio.fills import Side
from lib.portfolio.ledger import Position
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition, PortfolioStore
from lib.ports import Clock
from lib.results import Item, Status, failed_item

logger = logging.getLogger(__name__)


def settle_tickets(
    unsettled: Sequence[Executed], *, tickets: TicketStore, store: PortfolioStore, clock: Clock
) -> tuple[Item, ...]:
    """Settle those tickets of one account whose order has ended and whose fills were imported.

    Args:
        unsettled: The account's.
        tickets: Where they are kept.
        store: The account's positions.
        clock: Now.

    Returns:
        An item for each that was settled, or could not be.

    Raises:
        RetryableError: Trying again repeats nothing.
    """
    items = []
    for one in unsettled:
        if not one.order.state.is_final:
            continue
        try:
            item = _settle(one, tickets, store, clock)
        except RetryableError:
            raise
        except FksError as error:  # one ticket's trouble must not keep the others waiting
            logger.exception("The ticket %s could not be settled", one.ticket.name)
            item = failed_item(one.ticket.name, error)
        items += [item] if item else []
    return tuple(items)


def _settle(one: Executed, tickets: TicketStore, store: PortfolioStore, clock: Clock) -> Item | None:
    ticket, order = one.ticket, one.order
    if not order.fills:
        tickets.settle(ticket, clock.now())
        return None
    with store.open_books(ticket.account) as books:
        stored = books.load_stored(order.fills)
        if not all(fill.key in stored for fill in order.fills):
            return Item(name=ticket.name, status=Status.SKIPPED, detail="its fills are not imported yet")
        newest = {position.symbol: position for position in books.load_newest_positions()}
    held = _find_held(store, one)
    trouble = _set_limits(one, held, store)
    if trouble is None:
        return Item(name=ticket.name, status=Status.SKIPPED, detail="its position was just changed by another run")
    closed = newest.get(ticket.symbol) if held is None and ticket.side is Side.SELL else None
    message = write_executed(one, _find_held(store, one), _if_closed(closed), trouble, clock.now())
    tickets.settle(ticket, clock.now(), message)
    status = Status.PARTIAL if trouble else Status.OK
    return Item(name=ticket.name, status=status, detail=trouble or "done: fills are imported, limits are set")


def _find_held(store: PortfolioStore, one: Executed) -> HeldPosition | None:
    return next((held for held in store.load_held(one.ticket.account) if held.symbol == one.ticket.symbol), None)


def _if_closed(position: Position | None) -> Position | None:
    return position if position is not None and position.closed_at is not None else None


def _set_limits(one: Executed, held: HeldPosition | None, store: PortfolioStore) -> str | None:
    """Give the position the ticket's limits; return why they cannot be, or None when it has to be tried again."""
    ticket = one.ticket
    if held is None or ticket.side is Side.SELL or (ticket.stop_loss is None and ticket.take_profit is None):
        return ""
    stop, target = merge_limits(ticket, held)
    if stop is not None and target is not None and stop >= target:
        return (
            f"Stop loss {format_number(stop)} and take profit {format_number(target)} contradict each other, so "
            "neither was changed. Set both with the flow set-stop-loss."
        )
    return "" if store.save_limits(held, stop, target) else None
