"""Series that tests of indicators share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lib.market.matrix import FloatMatrix

REAL_DATA = Path(os.environ.get("FKS_REAL_DATA", "../shared/data"))


def walk(symbols: int, bars: int, seed: int = 1) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """High, low and close of random walks, (symbols, bars)."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (symbols, bars)), axis=1))
    high = close * (1 + random.uniform(0, 0.01, close.shape))
    low = close * (1 - random.uniform(0, 0.01, close.shape))
    return high, low, close


def real_candles(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """High, low and close of a recorded series; skips where the recordings are absent."""
    path = REAL_DATA / "candles" / name
    if not path.exists():
        pytest.skip(f"No recorded candles at {path}; set FKS_REAL_DATA to their folder.")
    frame = pd.read_feather(path) if path.suffix == ".feather" else pd.read_csv(path)
    return tuple(frame[column].to_numpy(np.float64) for column in ("high", "low", "close"))  # type: ignore[return-value]
