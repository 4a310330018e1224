"""Settling protections: when the orders of one have ended and their fills are in the ledger, people are told, once.

Every chain that imports fills settles what is due, so that it does not matter which process learned of the end.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lib.errors import FksError, RetryableError
from lib.execution.protection import Guard, ProtectionStore
from lib.execution.protection_messages import write_ended, write_target_refused
from lib.portfolio.ledger import Position
from lib.portfolio.stores import HeldPosition, PortfolioStore
from lib.ports import Clock
from lib.results import Item, Status, failed_item

logger = logging.getLogger(__name__)


def settle_protections(
    known: Sequence[Guard], *, protections: ProtectionStore, store: PortfolioStore, clock: Clock
) -> tuple[Item, ...]:
    """Settle those protections of one account whose orders have ended and whose fills were imported.

    Returns:
        An item for each that was settled and had filled, or could not be settled.

    Raises:
        RetryableError: Trying again repeats nothing.
    """
    items = []
    for guard in known:
        if guard.is_live or guard.protection.settled_at is not None:
            continue
        try:
            item = _settle(guard, known, protections, store, clock)
        except RetryableError:
            raise
        except FksError as error:  # one's trouble must not keep the others waiting
            logger.exception("The %s could not be settled", guard.protection.name)
            item = failed_item(guard.protection.name, error)
        items += [item] if item else []
    return tuple(items)


def _is_replaced(guard: Guard, known: Sequence[Guard]) -> bool:
    """Tell whether another one rests in its place, as the stop loss alone does where the take profit was refused."""
    position = (guard.protection.symbol, guard.protection.opened_by)
    return any(one.is_resting and (one.protection.symbol, one.protection.opened_by) == position for one in known)


def _settle(
    guard: Guard, known: Sequence[Guard], protections: ProtectionStore, store: PortfolioStore, clock: Clock
) -> Item | None:
    protection = guard.protection
    fills = [fill for order in guard.orders for fill in order.fills]
    with store.open_books(protection.account) as books:
        stored = books.load_stored(fills)
        newest = {position.symbol: position for position in books.load_newest_positions()}
    if not all(fill.key in stored for fill in fills):
        return Item(name=protection.name, status=Status.SKIPPED, detail="its fills are not imported yet")
    held = find_position(store, protection.account, protection.symbol)
    closed = newest.get(protection.symbol) if held is None else None
    message = None
    if fills or not _is_replaced(guard, known):
        message = write_ended(guard, held, _if_closed(closed), clock.now(), known=known)
    elif guard.target_was_refused:
        message = write_target_refused(guard, clock.now())
    protections.settle(protection, clock.now(), message)
    if not fills:
        return None
    return Item(name=protection.name, status=Status.OK, detail=f"{guard.ending}: its fills are imported")


def find_position(store: PortfolioStore, account: str, symbol: str) -> HeldPosition | None:
    """Return the open position of a symbol, if there is one."""
    return next((held for held in store.load_held(account) if held.symbol == symbol), None)


def _if_closed(position: Position | None) -> Position | None:
    return position if position is not None and position.closed_at is not None else None
