"""Checks of Binance's public answers: klines, prices, symbols.

Sources: Binance Spot API, "Market Data endpoints", "Exchange information" and "Filters".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from lib.adapters.exchange.answers import (
    refuse,
    to_amount,
    to_flag,
    to_instant,
    to_integer,
    to_list,
    to_object,
    to_statistic,
    to_text,
)
from lib.errors import BadAnswer
from lib.market.candles import Candle, find_impossibility
from lib.market.symbols import Symbol, SymbolStatus
from lib.market.timeframes import width_of
from lib.ports import CandlePage

KLINE_FIELDS = 12

Checked = tuple[Candle, str | None]  # a candle, and why it is impossible


def find_newest_open(answer: Any) -> int:
    """Return the latest open time in klines, in milliseconds; 0 where none can be read."""
    rows = [row for row in answer if isinstance(row, list) and row] if isinstance(answer, list) else []
    return max((row[0] for row in rows if type(row[0]) is int), default=0)


def to_candle_page(
    answer: Any, *, where: str, timeframe: str, since: datetime, limit: int, latest: datetime
) -> CandlePage:
    """Return the candles of a klines answer, rising in time; impossible ones are put aside.

    Args:
        answer: JSON of ``klines``.
        where: For messages: "binance klines BTC/USDT 1h".
        timeframe: Asked for; a candle of another width is put aside.
        since: Asked for; an earlier candle refuses the answer.
        limit: Asked for; more candles refuse the answer.
        latest: The exchange's time; a candle that opens later refuses the answer.

    Raises:
        BadAnswer: As said above, or a value of a wrong type. Candles out of order are sorted and equal twins
            dropped; candles that differ at the same time refuse the answer.
    """
    rows = to_list(answer, where)
    if len(rows) > limit:
        raise refuse(where, "", f"at most {limit} candles", rows)
    span_ms = width_of(timeframe) // timedelta(milliseconds=1) - 1
    return to_page([_to_candle(row, where, timeframe, span_ms) for row in rows], where, since, latest)


def to_page(parsed: Sequence[Checked], where: str, since: datetime, latest: datetime) -> CandlePage:
    """Return the page of candles that were read one by one, each with the reason why it is impossible, or None."""
    by_time: dict[datetime, Checked] = {}
    for candle, reason in parsed:
        if not since <= candle.opened_at <= latest:
            raise BadAnswer(
                f"Bad answer in {where}: expected candles from {since:%Y-%m-%d %H:%M:%S} to "
                f"{latest:%Y-%m-%d %H:%M:%S} UTC, was one of {candle.opened_at:%Y-%m-%d %H:%M:%S}. Nothing is stored."
            )
        if by_time.setdefault(candle.opened_at, (candle, reason))[0] != candle:
            raise BadAnswer(
                f"Bad answer in {where}: two different candles open at {candle.opened_at:%Y-%m-%d %H:%M:%S} UTC. "
                "Nothing is stored."
            )
    checked = [by_time[opened_at] for opened_at in sorted(by_time)]
    return CandlePage(
        candles=tuple(candle for candle, reason in checked if reason is None),
        rejected=tuple((candle.opened_at, reason) for candle, reason in checked if reason is not None),
    )


def _to_candle(row: Any, where: str, timeframe: str, span_ms: int) -> Checked:
    if not isinstance(row, list) or len(row) != KLINE_FIELDS:
        raise refuse(where, "", f"arrays of {KLINE_FIELDS}", row)
    candle = Candle(
        to_instant(row[0], where, "open time"),
        to_statistic(row[1], where, "open"),
        to_statistic(row[2], where, "high"),
        to_statistic(row[3], where, "low"),
        to_statistic(row[4], where, "close"),
        to_statistic(row[5], where, "volume"),
        to_statistic(row[7], where, "quote volume"),
        to_integer(row[8], where, "trade count"),
    )
    if to_integer(row[6], where, "close time") - row[0] != span_ms:
        return candle, f"it closes {row[6] - row[0]} ms after its open time; its width is not {timeframe}"
    return candle, find_impossibility(candle, timeframe)


def to_prices(answer: Any, *, where: str, names: Mapping[str, str]) -> dict[str, Decimal]:
    """Return the prices of ``ticker/price`` by our names.

    Args:
        answer: JSON of ``ticker/price``.
        where: For messages.
        names: Our name by the exchange's id ("BTCUSDT" -> "BTC/USDT"); other symbols are left out.

    A price of zero means that the symbol has never traded; it is left out.
    """
    prices: dict[str, Decimal] = {}
    for row in to_list(answer, where):
        ticker = to_object(row, where)
        identifier = to_text(ticker.get("symbol"), where, "symbol")
        price = to_amount(ticker.get("price"), where, f"price of {identifier}")
        name = names.get(identifier)
        if name is None or not price:
            continue
        if name in prices:
            raise refuse(where, "symbol", "each symbol once", identifier)
        prices[name] = price
    return prices


def to_symbols(answer: Any, *, where: str, refreshed_at: datetime) -> dict[str, Symbol]:
    """Return the spot symbols of ``exchangeInfo`` by name.

    Left out are symbols whose id is not base and quote in one word, because no later answer could be matched to
    them, and symbols that neither trade nor have steps, because no order for them could be rounded.
    """
    symbols: dict[str, Symbol] = {}
    for row in to_list(to_object(answer, where).get("symbols"), where, "symbols"):
        symbol = _to_symbol(to_object(row, where), where, refreshed_at)
        if symbol is None:
            continue
        if symbol.name in symbols:
            raise refuse(where, "symbol", "each symbol once", symbol.name)
        symbols[symbol.name] = symbol
    if not symbols:
        raise refuse(where, "symbols", "at least one spot symbol", answer["symbols"])
    return symbols


def _to_symbol(row: Mapping[str, Any], where: str, refreshed_at: datetime) -> Symbol | None:
    identifier = to_text(row.get("symbol"), where, "symbol")
    inside = f"{where}, {identifier}"
    base = to_text(row.get("baseAsset"), inside, "baseAsset")
    quote = to_text(row.get("quoteAsset"), inside, "quoteAsset")
    spot = to_flag(row.get("isSpotTradingAllowed", True), inside, "isSpotTradingAllowed")
    trades = to_text(row.get("status"), inside, "status") == "TRADING" and spot
    filters = _to_filters(row.get("filters"), inside)
    price_step = _to_step(filters.get("PRICE_FILTER"), inside, "tickSize")
    quantity_step = _to_step(filters.get("LOT_SIZE"), inside, "stepSize")
    has_steps = price_step > 0 and quantity_step > 0
    if trades and not has_steps:
        raise refuse(inside, "filters", "a price step and a quantity step above zero", row["filters"])
    if identifier != base + quote or not has_steps:
        return None
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return Symbol(
        name=f"{base}/{quote}",
        base=base,
        quote=quote,
        status=SymbolStatus.TRADING if trades else SymbolStatus.HALTED,
        price_step=price_step,
        quantity_step=quantity_step,
        min_quantity=to_amount(filters["LOT_SIZE"].get("minQty"), inside, "minQty"),
        min_notional=to_amount(notional.get("minNotional"), inside, "minNotional"),
        refreshed_at=refreshed_at,
    )


def _to_filters(value: Any, where: str) -> dict[str, Mapping[str, Any]]:
    rows = [to_object(row, where, "filters") for row in to_list(value, where, "filters")]
    return {to_text(row.get("filterType"), where, "filterType"): row for row in rows}


def _to_step(row: Mapping[str, Any] | None, where: str, field: str) -> Decimal:
    return to_amount(row.get(field), where, field) if row else Decimal(0)
