"""Candles and decisions to trade: written by hand, random, and recorded ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.market.matrix import CandleMatrix
from lib.research.rules import Sizing, TradingRules
from lib.strategy.strategy import Decisions
from tests.strategy.worlds import FIRST, HOUR

FOLDER = Path(os.environ.get("FKS_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "candles"
needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded candles in {FOLDER}; set FKS_REAL_DATA to the folder that holds them"
)
FREE = TradingRules(cash=1000.0, fee_ratio=0.0, slippage_ratio=0.0, sizing=Sizing.FULL, min_notional=0.0)


def candles_of(*rows: Sequence[tuple[float, float, float, float] | None]) -> CandleMatrix:
    """Candles from (open, high, low, close); None where there is none."""
    missing = (np.nan,) * 4
    prices = np.array([[missing if candle is None else candle for candle in row] for row in rows], dtype=np.float64)
    opens, highs, lows, closes = (np.ascontiguousarray(prices[:, :, column]) for column in range(4))
    opened_at = FIRST + np.arange(prices.shape[1]) * HOUR
    volume = np.where(np.isnan(prices[:, :, 3]), np.nan, 1.0)
    return CandleMatrix(
        tuple(f"S{row}/USDT" for row in range(len(rows))), "1h", opened_at, opens, highs, lows, closes, volume
    )


def decisions_on(
    candles: CandleMatrix,
    *,
    enter: Collection[int | tuple[int, int]] = (),
    leave: Collection[int | tuple[int, int]] = (),
    stop: float = 10.0,
    target: float = 20.0,
    score: Mapping[int, float] | None = None,
) -> Decisions:
    """Decisions at bars, or at (row, bar); stop and target are so far from the close."""
    shape = candles.close.shape

    def mark(places: Collection[int | tuple[int, int]]) -> np.ndarray:
        marks = np.zeros(shape, dtype=np.bool_)
        for place in places:
            marks[(0, place) if isinstance(place, int) else place] = True
        return marks

    scores = np.full(shape, 0.5)
    for row, value in (score or {}).items():
        scores[row] = value
    return Decisions(mark(enter), mark(leave), scores, np.full(shape, stop), np.full(shape, target), (), ())


def random_decisions(candles: CandleMatrix, seed: int, often: float = 0.05) -> Decisions:
    """Entries and exits by chance, levels within a few percent of the close."""
    draw = np.random.default_rng(seed)
    shape, there = candles.close.shape, np.isfinite(candles.close)
    exits = there & (draw.random(shape) < often / 2)
    entries = there & (draw.random(shape) < often) & ~exits
    stop = candles.close * draw.uniform(0.005, 0.04, shape)
    target = candles.close * draw.uniform(0.005, 0.08, shape)
    return Decisions(entries, exits, draw.random(shape), stop, target, (), ())


def load_hourly(symbol: str = "BTC_USDT", bars: slice = slice(None)) -> CandleMatrix:
    """Five recorded years of 1h candles; bars that the exchange did not have are left out of the grid."""
    frame = pd.read_feather(FOLDER / "hourly" / f"{symbol}-1h.feather").iloc[bars]
    return _to_matrix(frame, frame["date"], symbol, "1h")


def load_five_minute(symbol: str) -> CandleMatrix:
    """Three recorded months of 5m candles, without a gap."""
    frame = pd.read_csv(FOLDER / "five_minute" / f"{symbol}_5m.csv")
    return _to_matrix(frame, pd.to_datetime(frame["timestamp"], unit="ms", utc=True), symbol, "5m")


def stack(*parts: CandleMatrix) -> CandleMatrix:
    """Put series of the same bars under each other."""
    joined = [np.vstack([getattr(part, name) for part in parts]) for name in PRICES]
    return CandleMatrix(tuple(part.symbols[0] for part in parts), parts[0].timeframe, parts[0].opened_at, *joined)


PRICES = ("open", "high", "low", "close", "volume")


def _to_matrix(frame: pd.DataFrame, opened: pd.Series[pd.Timestamp], symbol: str, timeframe: str) -> CandleMatrix:
    columns = (frame[name].to_numpy(np.float64)[np.newaxis] for name in PRICES)
    opened_at = opened.dt.tz_localize(None).to_numpy("datetime64[us]")
    return CandleMatrix((symbol.replace("_", "/"),), timeframe, opened_at, *columns)
