"""Pricing the open positions from one answer of the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from lib.market.symbols import SymbolStatus
from lib.portfolio.money import format_number
from lib.portfolio.quotes import Quotes
from lib.portfolio.stores import HeldPosition, Listing
from lib.portfolio.valuation import Valuation, find_price_flaw, value_position
from lib.results import Item, Status, failed_item


def price_positions(
    held: Sequence[HeldPosition], quotes: Quotes, listings: Mapping[str, Listing], now: datetime
) -> tuple[dict[str, Valuation], list[Item]]:
    """Value every open position.

    Where there is no price to believe, the last one stands with its old time, and only the quantity is new.

    Args:
        held: Open positions as stored, read by the account's only writer.
        quotes: What the exchange answered.
        listings: What is known of their symbols.
        now: Read after `held`, so that a stored price of a later instant comes from a clock that was ahead then.

    Returns:
        The valuation by symbol, and each position's outcome.
    """
    valuations: dict[str, Valuation] = {}
    items: list[Item] = []
    for one in held:
        status = listings[one.symbol].status if one.symbol in listings else SymbolStatus.TRADING
        item, valuation = _price(one, quotes, status, now)
        items.append(item)
        if valuation is not None:
            valuations[one.symbol] = valuation
    return valuations, items


def _price(held: HeldPosition, quotes: Quotes, status: SymbolStatus, now: datetime) -> tuple[Item, Valuation | None]:
    last = held.valuation
    stale = value_position(held.position, last.price, last.price_at) if last else None
    if status is not SymbolStatus.TRADING:
        return _skipped(held, f"{status} on the exchange; {_describe_last(last)}"), stale
    if quotes.error is not None:
        return failed_item(held.name, quotes.error), stale
    if last is not None and quotes.at < last.price_at <= now:
        return _skipped(held, "another run has stored a newer price"), stale
    price = quotes.prices.get(held.symbol)
    flaw = find_price_flaw(price, held.position, last, quotes.at)
    if price is None or flaw:
        return Item(
            name=held.name, status=Status.FAILED, detail=f"{flaw}; {_describe_last(last)}", retryable=True
        ), stale
    return Item(name=held.name, status=Status.OK), value_position(held.position, price, quotes.at)


def _skipped(held: HeldPosition, detail: str) -> Item:
    return Item(name=held.name, status=Status.SKIPPED, detail=detail)


def _describe_last(last: Valuation | None) -> str:
    if last is None:
        return "it was never priced"
    return f"the last price is {format_number(last.price)} of {last.price_at:%Y-%m-%d %H:%M:%S} UTC"
