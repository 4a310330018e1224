"""Parts of a candle matrix, and which of its bars end a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import CandleMatrix
from lib.strategy.strategy import Decisions

PRICES = ("open", "high", "low", "close", "volume")
DECIDED = ("entries", "exits", "score", "stop_distance", "target_distance")


def cut_candles(candles: CandleMatrix, start: int, end: int, rows: Sequence[int] | None = None) -> CandleMatrix:
    """Return the bars [start, end) of all symbols, or of these rows."""
    chosen = list(range(len(candles.symbols))) if rows is None else list(rows)
    return replace(
        candles,
        symbols=tuple(candles.symbols[row] for row in chosen),
        opened_at=candles.opened_at[start:end],
        **{name: getattr(candles, name)[chosen, start:end] for name in PRICES},
    )


def cut_decisions(decisions: Decisions, start: int, end: int, rows: Sequence[int]) -> Decisions:
    """Return what was decided at the bars [start, end) of these rows; the conditions stay those of all bars."""
    return replace(decisions, **{name: getattr(decisions, name)[list(rows), start:end] for name in DECIDED})


def find_day_ends(opened_at: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the last bar of each UTC day, rising; the last bar ends a day that is not over."""
    days = opened_at.astype("datetime64[D]")
    return np.append(np.flatnonzero(days[1:] != days[:-1]), len(days) - 1).astype(np.int64)
