"""Candles as integer columns: exact sums, exact text.

Prices and base quantities count units of 1e-8, quote quantities units of 1e-6, so that a month of the busiest symbol
fits 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from lib.simulator.arrays import Integers
from lib.simulator.intervals import floor_all, next_all

PRICE_UNITS = 10**8
QUOTE_UNITS = 10**6

# Rows of the column array.
OPENED, OPEN, HIGH, LOW, CLOSE, BASE, QUOTE, TRADES, TAKER_BASE, TAKER_QUOTE = range(10)
COLUMNS = 10

# A kline of Binance: open time, OHLC, volume, close time, quote volume, trades, taker base, taker quote, unused.
_ROW = '[%d,"%d.%08d","%d.%08d","%d.%08d","%d.%08d","%d.%08d",%d,"%d.%06d00",%d,"%d.%08d","%d.%06d00","0"]'


def empty_candles() -> Integers:
    """Return no candles, shape `(10, 0)`."""
    return np.empty((COLUMNS, 0), dtype=np.int64)


def aggregate(candles: Integers, interval: str) -> Integers:
    """Return the candles of a wider interval; gaps stay gaps, a partly missing candle is built from what exists.

    Args:
        candles: Shape `(10, n)`, rising in time, of an interval that divides `interval`.
        interval: Name of the wider interval.
    """
    if candles.shape[1] == 0:
        return candles
    opened = floor_all(candles[OPENED], interval)
    starts = np.flatnonzero(np.diff(opened, prepend=opened[0] - 1))
    return _group(candles, starts, opened[starts])


def merge(candles: Integers, opened_ms: int) -> Integers:
    """Return all candles as one that opens at `opened_ms`, shape `(10, 1)`, or none of none."""
    if candles.shape[1] == 0:
        return candles
    return _group(candles, np.zeros(1, dtype=np.intp), np.array([opened_ms]))


def _group(candles: Integers, starts: np.ndarray[tuple[int], np.dtype[np.intp]], opened: Integers) -> Integers:
    wide = np.empty((COLUMNS, len(starts)), dtype=np.int64)
    ends = np.append(starts[1:], candles.shape[1]) - 1
    wide[OPENED] = opened
    wide[OPEN] = candles[OPEN, starts]
    wide[HIGH] = np.maximum.reduceat(candles[HIGH], starts)
    wide[LOW] = np.minimum.reduceat(candles[LOW], starts)
    wide[CLOSE] = candles[CLOSE, ends]
    wide[BASE:] = np.add.reduceat(candles[BASE:], starts, axis=1)
    return wide


def drop_untraded(candles: Integers, interval: str) -> Integers:
    """Leave out candles without volume where another one of the same wider candle has some.

    Nothing traded in them, so that they say nothing about the wider candle's first or last price: Binance's own 4h
    candle of BTC at 2023-03-24 12:00 opens with the first trade at 14:00, not with the empty 1h candle before it.
    """
    traded = candles[BASE] > 0
    if traded.all():
        return candles
    opened = floor_all(candles[OPENED], interval)
    return candles[:, traded | ~np.isin(opened, opened[traded])]


def drop_spans(candles: Integers, interval: str, spans: tuple[tuple[int, int], ...]) -> Integers:
    """Return the candles that do not lie wholly inside one of the half-open spans (milliseconds)."""
    if not spans or candles.shape[1] == 0:
        return candles
    opened, ended = candles[OPENED], next_all(candles[OPENED], interval)
    keep = np.ones(candles.shape[1], dtype=bool)
    for start, end in spans:
        keep &= ~((opened >= start) & (ended <= end))
    return candles[:, keep]


@dataclass(frozen=True)
class KlineText:
    """Rendered candles.

    Attributes:
        opened: Open times, rising, shape `(n,)`.
        text: The rows as JSON, each followed by a comma.
        offsets: Where each row starts in `text`, and where the last one ends, shape `(n + 1,)`.
    """

    opened: Integers
    text: bytes
    offsets: Integers

    def rows(self, first: int, last: int) -> bytes:
        """Return rows `first` up to but not `last`, separated by commas, without one at the end."""
        return self.text[self.offsets[first] : self.offsets[last] - 1] if last > first else b""


def render(candles: Integers, interval: str) -> KlineText:
    """Render candles as Binance writes klines, prices and quantities as text with eight decimals."""
    closes = next_all(candles[OPENED], interval) - 1
    prices, parts = np.divmod(candles[OPEN : BASE + 1], PRICE_UNITS)
    quote, quote_part = np.divmod(candles[QUOTE], QUOTE_UNITS)
    taker, taker_part = np.divmod(candles[TAKER_BASE], PRICE_UNITS)
    taker_quote, taker_quote_part = np.divmod(candles[TAKER_QUOTE], QUOTE_UNITS)
    columns = [candles[OPENED]]
    for whole, part in zip(prices, parts, strict=True):
        columns += [whole, part]
    columns += [closes, quote, quote_part, candles[TRADES], taker, taker_part, taker_quote, taker_quote_part]
    rows = [_ROW % tuple(row) for row in np.stack(columns, axis=1).tolist()]
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) + 1 for row in rows], out=offsets[1:]) if rows else None
    text = (",".join(rows) + ",").encode("ascii") if rows else b""
    return KlineText(candles[OPENED].copy(), text, offsets)


def to_price(units: int) -> Decimal:
    """Return a price or base quantity with eight decimals."""
    return Decimal(units).scaleb(-8)


def to_units(value: Decimal) -> int:
    """Return a price or base quantity as units of 1e-8.

    Raises:
        ValueError: When it has more than eight decimals.
    """
    units = value.scaleb(8)
    if units != units.to_integral_value():
        raise ValueError(f"Expected at most eight decimals, was {value}.")
    return int(units)


def format_units(units: int) -> str:
    """Write a price or base quantity with eight decimals, as Binance does."""
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // PRICE_UNITS}.{abs(units) % PRICE_UNITS:08d}"


def format_quote(units: int) -> str:
    """Write a quote quantity with eight decimals, as Binance does."""
    return f"{units // QUOTE_UNITS}.{units % QUOTE_UNITS:06d}00"
