"""Daily returns of what is held, from stored daily candles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from lib.market.matrix import CandleHistory, CandleMatrix, FloatMatrix
from lib.market.timeframes import calc_newest_closed

TIMEFRAME = "1d"


def load_daily(history: CandleHistory, symbols: Sequence[str], now: datetime, days: int) -> CandleMatrix:
    """Return the closed daily candles of the last `days` daily returns, so one more than these."""
    newest = calc_newest_closed(now, TIMEFRAME)
    return history.load_matrix(symbols, TIMEFRAME, newest - timedelta(days=days), newest + timedelta(days=1))


def to_daily_returns(close: FloatMatrix) -> FloatMatrix:
    """Return ``close / close of the day before - 1``, shape (symbols, bars - 1).

    NaN where either day has no candle or a price that is not above zero: a gap is not bridged, since a return over
    two days is none of one.

    >>> to_daily_returns(np.array([[100.0, 110.0, np.nan, 99.0]])).round(6)
    array([[0.1, nan, nan]])
    """
    prices = np.where(np.isfinite(close) & (close > 0), close, np.nan)
    returns: FloatMatrix = prices[:, 1:] / prices[:, :-1] - 1
    return returns


def to_instant(opened_at: np.datetime64) -> datetime:
    """Return a bar's open time as an aware instant."""
    return datetime.fromtimestamp(float(opened_at.astype("datetime64[s]").astype(np.int64)), UTC)
