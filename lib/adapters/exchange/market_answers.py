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
        raise refuse(where, f"at most {limit} candles", rows)
    return to_page([_to_candle(row, where, timeframe) for row in rows], where, since, latest)


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


def _to_candle(row: Any, where: str, timeframe: str) -> Checked:
    if not isinstance(row, list) or len(row) != KLINE_FIELDS:
        raise refuse(where, f"arrays of {KLINE_FIELDS}", row)
    opened_at = to_instant(row[0], f"{where}, open time")
    candle = Candle(
        opened_at,
        to_statistic(row[1], f"{where}, open"),
        to_statistic(row[2], f"{where}, high"),
        to_statistic(row[3], f"{where}, low"),
        to_statistic(row[4], f"{where}, close"),
        to_statistic(row[5], f"{where}, volume"),
        to_statistic(row[7], f"{where}, quote volume"),
        to_integer(row[8], f"{where}, trade count"),
    )
    closed_at = to_instant(row[6], f"{where}, close time")
    if closed_at - opened_at != width_of(timeframe) - timedelta(milliseconds=1):
        return candle, f"it closes at {closed_at.isoformat()}; its width is not {timeframe}"
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
        identifier = to_text(ticker.get("symbol"), f"{where}, symbol")
        price = to_amount(ticker.get("price"), f"{where}, price of {identifier}")
        name = names.get(identifier)
        if name is None or not price:
            continue
        if name in prices:
            raise BadAnswer(f"Bad answer in {where}: {identifier} is there twice. Nothing is stored.")
        prices[name] = price
    return prices


def to_symbols(answer: Any, *, where: str, refreshed_at: datetime) -> dict[str, Symbol]:
    """Return the spot symbols of ``exchangeInfo`` by name.

    Left out are symbols whose id is not base and quote in one word, because no later answer could be matched to
    them, and symbols that neither trade nor have steps, because no order for them could be rounded.
    """
    symbols: dict[str, Symbol] = {}
    for row in to_list(to_object(answer, where).get("symbols"), f"{where}, symbols"):
        symbol = _to_symbol(to_object(row, where), where, refreshed_at)
        if symbol is None:
            continue
        if symbol.name in symbols:
            raise BadAnswer(f"Bad answer in {where}: {symbol.name} is there twice. Nothing is stored.")
        symbols[symbol.name] = symbol
    if not symbols:
        raise refuse(where, "at least one spot symbol", answer)
    return symbols


def _to_symbol(row: Mapping[str, Any], where: str, refreshed_at: datetime) -> Symbol | None:
    identifier = to_text(row.get("symbol"), f"{where}, symbol")
    inside = f"{where}, {identifier}"
    base = to_text(row.get("baseAsset"), f"{inside} baseAsset")
    quote = to_text(row.get("quoteAsset"), f"{inside} quoteAsset")
    open_ = to_text(row.get("status"), f"{inside} status") == "TRADING"
    spot = to_flag(row.get("isSpotTradingAllowed", True), f"{inside} isSpotTradingAllowed")
    filters = _to_filters(row.get("filters"), inside)
    steps = (
        _to_step(filters, "PRICE_FILTER", "tickSize", inside),
        _to_step(filters, "LOT_SIZE", "stepSize", inside),
    )
    trades = open_ and spot
    if trades and not all(steps):
        raise refuse(f"{inside} filters", "a price step and a quantity step above zero", row.get("filters"))
    if identifier != base + quote or not all(steps):
        return None
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return Symbol(
        name=f"{base}/{quote}",
        base=base,
        quote=quote,
        status=SymbolStatus.TRADING if trades else SymbolStatus.HALTED,
        price_step=steps[0],
        quantity_step=steps[1],
        min_quantity=to_amount(filters["LOT_SIZE"].get("minQty"), f"{inside} minQty"),
        min_notional=to_amount(notional.get("minNotional"), f"{inside} minNotional"),
        refreshed_at=refreshed_at,
    )


def _to_filters(value: Any, where: str) -> dict[str, Mapping[str, Any]]:
    rows = [to_object(row, f"{where} filters") for row in to_list(value, f"{where} filters")]
    return {to_text(row.get("filterType"), f"{where} filterType"): row for row in rows}


def _to_step(filters: Mapping[str, Mapping[str, Any]], kind: str, field: str, where: str) -> Decimal:
    row = filters.get(kind)
    return to_amount(row.get(field), f"{where}, {kind} {field}") if row else Decimal(0)
