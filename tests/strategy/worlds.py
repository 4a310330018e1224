"""Candles to decide on: random ones, and ones written by hand."""

from __future__ import annotations

import numpy as np

from lib.market.matrix import CandleMatrix, FloatMatrix

FIRST = np.datetime64("2026-01-01T00:00", "us")
HOUR = np.timedelta64(3600, "s")


def make_candles(close: FloatMatrix, *, spread: float = 0.0, high: FloatMatrix | None = None) -> CandleMatrix:
    """Candles with these closes, shape (symbols, bars), that open at the close before.

    Args:
        close: NaN where there is no candle.
        spread: How far high and low reach beyond open and close, share of the price.
        high: Instead.
    """
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    opened = np.where(np.isnan(opened), close, opened)
    opened = np.where(np.isnan(close), np.nan, opened)
    return CandleMatrix(
        symbols=tuple(f"S{row}/USDT" for row in range(len(close))),
        timeframe="1h",
        opened_at=FIRST + np.arange(close.shape[1]) * HOUR,
        open=opened,
        high=np.maximum(opened, close) * (1 + spread) if high is None else high,
        low=np.minimum(opened, close) * (1 - spread),
        close=close,
        volume=np.where(np.isnan(close), np.nan, 1.0),
    )


def make_walk(symbols: int, bars: int, *, seed: int = 1, gaps: float = 0.0, volatility: float = 0.01) -> CandleMatrix:
    """A random walk of each symbol; a share of the candles is missing, and one symbol is listed late."""
    draw = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(draw.normal(0, volatility, (symbols, bars)), axis=1))
    close[draw.random(close.shape) < gaps] = np.nan
    if gaps:
        close[0, : bars // 3] = np.nan
    return make_candles(close, spread=0.003)


def cut(candles: CandleMatrix, start: int, end: int) -> CandleMatrix:
    """The bars [start, end)."""
    parts = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    opened_at = candles.opened_at[start:end]
    return CandleMatrix(candles.symbols, candles.timeframe, opened_at, *(part[:, start:end] for part in parts))
