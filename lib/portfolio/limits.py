"""Setting stop losses and take profits."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lib.errors import OperatorError
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition, MarketFacts, PortfolioStore
from lib.ports import Clock
from lib.results import Item, Status, TaskResult
from lib.units import floor_to_step

TASK = "set_stop_loss"


def set_stop_loss(
    *,
    account: str,
    symbol: str,
    store: PortfolioStore,
    clock: Clock,
    stop_loss: Decimal | None = None,
    take_profit: Decimal | None = None,
    remove_stop_loss: bool = False,
    remove_take_profit: bool = False,
) -> TaskResult:
    """Set or remove the limits of an open position; what is not given stays as it is.

    Setting another stop loss begins anew: if the price falls to it, people are told at once.

    Args:
        account: Name of the account.
        symbol: The position's symbol.
        store: Where positions are.
        clock: Now.
        stop_loss: Quote per base; above zero and below the current price.
        take_profit: Quote per base; above the current price.
        remove_stop_loss: Have none from now on.
        remove_take_profit: Have none from now on.

    Raises:
        OperatorError: No such open position, it was never priced, or a value that cannot be; nothing was changed.
    """
    started_at = clock.now()
    wanted = (stop_loss, take_profit, remove_stop_loss or None, remove_take_profit or None)
    if all(value is None for value in wanted):
        raise OperatorError("Nothing to set. Give a stop loss, a take profit, or what to remove.")
    held = _find_held(account, symbol, store)
    new_stop = _choose("stop loss", held.stop_loss, stop_loss, remove=remove_stop_loss)
    new_target = _choose("take profit", held.take_profit, take_profit, remove=remove_take_profit)
    _check_limits(held, stop_loss, take_profit)
    if contradiction := _find_contradiction(new_stop, new_target):
        raise OperatorError(f"{contradiction} Set or remove both at once.")
    if not store.save_limits(held, new_stop, new_target):
        raise OperatorError(
            f"The position {held.name} was closed or changed in the meantime. Nothing was set: look at it, then set "
            "its limits again."
        )
    detail = (
        f"stop loss {_number(new_stop)} (was {_number(held.stop_loss)}), "
        f"take profit {_number(new_target)} (was {_number(held.take_profit)})"
    )
    return TaskResult(
        task=TASK,
        status=Status.OK,
        counts={"stops set": 1},
        items=(Item(name=held.name, status=Status.OK, detail=detail),),
        started_at=started_at,
        finished_at=clock.now(),
    )


def set_missing_stops(
    *, account: str, percent_below: Decimal, store: PortfolioStore, market: MarketFacts
) -> tuple[Item, ...]:
    """Give every open position without a stop loss one, so far below its average cost or its price, the lower of both.

    The stop is cut down to the symbol's price step. Average cost 100, price 90, 10 percent: 81.

    Args:
        account: Name of the account.
        percent_below: Above 0 and below 100.
        store: Where positions are.
        market: Stored symbols, for their price steps.

    Returns:
        An item for each position that had none.
    """
    if not (percent_below.is_finite() and 0 < percent_below < 100):
        raise OperatorError(f"Expected a percentage between 0 and 100, was {percent_below}.")
    bare = [held for held in store.load_held(account) if held.stop_loss is None]
    listings = market.load_listings({held.symbol for held in bare})
    items = []
    for held in bare:
        reference = min(
            held.position.average_cost, held.valuation.price if held.valuation else held.position.average_cost
        )
        stop = reference * (100 - percent_below) / 100
        step = listings[held.symbol].price_step if held.symbol in listings else None
        stop = floor_to_step(stop, step) if step else round(stop, 8)
        items.append(_set_missing(held, stop, store))
    return tuple(items)


def write_stop_missing(name: str, why: str, *, at: datetime) -> Message:
    """Return the warning that a position could not be given the stop loss its account promises; one a day.

    Args:
        name: The position's.
        why: What is in the way.
        at: UTC.
    """
    body = (
        f"{name} has no stop loss: {why.rstrip('.')}.\n"
        "The settings give every position of the account one (stop_loss_pct); this one could not be set, so nothing "
        "watches it.\nWhat to do: set one with the flow set-stop-loss, or sell."
    )
    key = f"stop missing:{name}:{at:%Y-%m-%d}"
    return compose(MessageType.STOP_LOSS, Severity.WARNING, f"No stop loss: {name}", body, key=key, at=at)


def _set_missing(held: HeldPosition, stop: Decimal, store: PortfolioStore) -> Item:
    if stop <= 0:
        detail = "the price is too small for such a stop loss: it would be zero after rounding to the price step"
        return Item(name=held.name, status=Status.FAILED, detail=detail)
    if contradiction := _find_contradiction(stop, held.take_profit):
        return Item(name=held.name, status=Status.FAILED, detail=contradiction)
    if not store.save_limits(held, stop, held.take_profit):
        return Item(name=held.name, status=Status.SKIPPED, detail="closed or changed in the meantime")
    return Item(name=held.name, status=Status.OK, detail=f"stop loss {_number(stop)}")


def _find_held(account: str, symbol: str, store: PortfolioStore) -> HeldPosition:
    held = {one.symbol: one for one in store.load_held(account)}
    if symbol not in held:
        there = f"Open are {', '.join(held)}." if held else "None is open."
        raise OperatorError(f"Account {account} has no open position in {symbol}. {there}")
    return held[symbol]


def _choose(name: str, current: Decimal | None, wanted: Decimal | None, *, remove: bool) -> Decimal | None:
    if remove and wanted is not None:
        raise OperatorError(f"Expected a {name} to set or to remove, was both. Give one of them.")
    if remove:
        return None
    return current if wanted is None else wanted


def _check_limits(held: HeldPosition, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
    """Check the values that are to be set against the last price."""
    for name, value in (("stop loss", stop_loss), ("take profit", take_profit)):
        if value is not None and not (value.is_finite() and value > 0):
            raise OperatorError(f"Expected a {name} above zero, was {value}.")
    if stop_loss is None and take_profit is None:
        return
    if held.valuation is None:
        raise OperatorError(f"The position {held.name} was never priced. Run critical-path first, then set its limits.")
    price = held.valuation.price
    if stop_loss is not None and stop_loss >= price:
        raise OperatorError(
            f"Expected a stop loss below the price {_number(price)} of {held.symbol}, was {_number(stop_loss)}: "
            "it would be triggered at once. Set a lower one, or sell."
        )
    if take_profit is not None and take_profit <= price:
        raise OperatorError(
            f"Expected a take profit above the price {_number(price)} of {held.symbol}, was {_number(take_profit)}: "
            "it would be reached at once. Set a higher one, or sell."
        )


def _find_contradiction(stop_loss: Decimal | None, take_profit: Decimal | None) -> str | None:
    if stop_loss is None or take_profit is None or stop_loss < take_profit:
        return None
    return f"Expected the stop loss {_number(stop_loss)} below the take profit {_number(take_profit)}."


def _number(number: Decimal | None) -> str:
    return "none" if number is None else format_number(number)
