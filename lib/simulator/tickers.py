"""Tickers, the public tape and the average price of a symbol."""

from __future__ import annotations

from typing import Any

from lib.simulator.candles import (
    BASE,
    HIGH,
    LOW,
    OPEN,
    PRICE_UNITS,
    QUOTE,
    QUOTE_UNITS,
    TRADES,
    format_quote,
    format_units,
)
from lib.simulator.exchange_market import ExchangeMarket
from lib.simulator.intervals import DAY_MS, MINUTE_MS
from lib.simulator.order_book import make_book, trade_in_second
from lib.simulator.source import Source

AVERAGE_PRICE_MINUTES = 5
TAPE_SECONDS = 3600  # how far back the tape is read


def to_day_ticker(source: Source, symbol: str, now_ms: int, brief: bool) -> dict[str, Any]:
    """Return the last 24 hours, from a whole minute on, as ticker/24hr writes them (`brief`: type MINI)."""
    opened_ms = max(now_ms // MINUTE_MS * MINUTE_MS - DAY_MS, source.listed_ms(symbol))
    last = source.price(symbol, now_ms)
    part = source.part(symbol, "1d", opened_ms, now_ms)
    column = part[:, 0].tolist() if part.shape[1] else [0, last, last, last, last, 0, 0, 0, 0, 0]
    last_id = now_ms // 1000
    ticker = {
        "symbol": symbol,
        "openPrice": format_units(column[OPEN]),
        "highPrice": format_units(column[HIGH]),
        "lowPrice": format_units(column[LOW]),
        "lastPrice": format_units(last),
        "volume": format_units(column[BASE]),
        "quoteVolume": format_quote(column[QUOTE]),
        "openTime": opened_ms,
        "closeTime": now_ms,
        "firstId": last_id - column[TRADES] + 1 if column[TRADES] else -1,
        "lastId": last_id if column[TRADES] else -1,
        "count": column[TRADES],
    }
    if brief:
        return ticker
    return ticker | _to_changes(column, last) | _to_last_and_best(source, symbol, now_ms)


def to_book_ticker(source: Source, symbol: str, now_ms: int) -> dict[str, Any]:
    """Return the best bid and ask; a side without orders reads zero."""
    bids, asks = make_book(source, symbol, now_ms, 1)
    (bid, bid_quantity), (ask, ask_quantity) = (
        side[:, 0].tolist() if side.shape[1] else (0, 0) for side in (bids, asks)
    )
    return {
        "symbol": symbol,
        "bidPrice": format_units(bid),
        "bidQty": format_units(bid_quantity),
        "askPrice": format_units(ask),
        "askQty": format_units(ask_quantity),
    }


def to_trades(market: ExchangeMarket, symbol: str, count: int, now_ms: int) -> list[dict[str, Any]]:
    """Return at most `count` public trades up to now, oldest first; one a second while the symbol trades."""
    rows: list[dict[str, Any]] = []
    second = now_ms // 1000
    for moment in range(second, second - TAPE_SECONDS, -1):
        at_ms, price, quantity, buyer_is_maker = trade_in_second(market.source, symbol, moment)
        if at_ms > now_ms or market.is_absent(symbol, at_ms):
            continue
        rows.append(
            {
                "id": moment,
                "price": format_units(price),
                "qty": format_units(quantity),
                "quoteQty": _format_product(price, quantity),
                "time": at_ms,
                "isBuyerMaker": buyer_is_maker,
                "isBestMatch": True,
            }
        )
        if len(rows) == count:
            break
    return rows[::-1]


def to_average_price(source: Source, symbol: str, now_ms: int) -> dict[str, Any]:
    """Return the volume-weighted average of the last five minutes, or the last price when nothing traded."""
    start_ms = max(now_ms // MINUTE_MS * MINUTE_MS - AVERAGE_PRICE_MINUTES * MINUTE_MS, source.listed_ms(symbol))
    part = source.part(symbol, "1d", start_ms, now_ms)
    price = source.price(symbol, now_ms)
    if part.shape[1] and part[BASE, 0]:
        price = _average(int(part[QUOTE, 0]), int(part[BASE, 0]))
    return {"mins": AVERAGE_PRICE_MINUTES, "price": format_units(price), "closeTime": now_ms}


def _to_changes(column: list[int], last: int) -> dict[str, Any]:
    change = last - column[OPEN]
    average = _average(column[QUOTE], column[BASE]) if column[BASE] else last
    return {
        "priceChange": format_units(change),
        "priceChangePercent": f"{100 * change / column[OPEN]:.3f}",
        "weightedAvgPrice": format_units(average),
        "prevClosePrice": format_units(column[OPEN]),
    }


def _to_last_and_best(source: Source, symbol: str, now_ms: int) -> dict[str, Any]:
    best = to_book_ticker(source, symbol, now_ms)
    _, _, quantity, _ = trade_in_second(source, symbol, now_ms // 1000 - 1)
    return best | {"lastQty": format_units(quantity)}


def _average(quote: int, base: int) -> int:
    """Return quote / base as a price in units of 1e-8."""
    return quote * PRICE_UNITS * PRICE_UNITS // (base * QUOTE_UNITS)


def _format_product(price: int, quantity: int) -> str:
    return format_quote(price * quantity * QUOTE_UNITS // (PRICE_UNITS * PRICE_UNITS))
