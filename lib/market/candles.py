"""Candles: what one is, and which ones are possible."""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from lib.market.timeframes import floor_to_timeframe


class Candle(NamedTuple):
    """One closed candle, named by its open time.

    Attributes:
        opened_at: UTC, aligned to the timeframe.
        open: In quote per base, like high, low and close.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: In base.
        quote_volume: In quote; None where the exchange does not tell.
        trade_count: Number of trades; None where the exchange does not tell.
    """

    opened_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None
    trade_count: int | None = None


def find_impossibility(candle: Candle, timeframe: str) -> str | None:
    """Return why this candle cannot be true, or None.

    A zero volume is possible (nobody traded; all four prices are then equal on Binance); a price of zero or
    below is not.
    """
    prices = (candle.open, candle.high, candle.low, candle.close)
    amounts = (candle.volume, candle.quote_volume if candle.quote_volume is not None else 0.0)
    if not all(math.isfinite(number) for number in (*prices, *amounts)):
        return "a number that is not finite"
    if min(prices) <= 0:
        return f"a price of {min(prices)}; expected above zero"
    if candle.low > min(candle.open, candle.close) or candle.high < max(candle.open, candle.close):
        return f"low {candle.low} and high {candle.high} do not enclose open and close"
    if min(amounts) < 0 or (candle.trade_count or 0) < 0:
        return f"a negative volume or trade count ({candle.volume}, {candle.trade_count})"
    if candle.opened_at != floor_to_timeframe(candle.opened_at, timeframe):
        return f"open time {candle.opened_at.isoformat()} is not aligned to {timeframe}"
    return None
