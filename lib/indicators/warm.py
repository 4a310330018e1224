"""``python -m lib.indicators.warm``: compile every kernel and leave it in numba's cache for the processes to come.

Numba keeps its cache beside the source files (in ``__pycache__``) or, where those cannot be written, in the user's
cache folder; ``NUMBA_CACHE_DIR`` names another one. What is there already and fits this processor is only read.
"""

from __future__ import annotations

import time

import numpy as np

from lib.indicators import kernels


def warm_kernels() -> float:
    """Call every kernel once; return the seconds it took."""
    started = time.perf_counter()
    close = np.array([[1.0, 2.0, np.nan, 3.0]])
    kernels.sma(close, 2)
    kernels.ema(close, 2)
    kernels.rsi(close, 2)
    kernels.macd(close, 1, 2, 1)
    kernels.bollinger(close, 2, 2.0)
    kernels.atr(close, close, close, 2)
    kernels.highest(close, 2)
    kernels.lowest(close, 2)
    kernels.standard(close, close, close)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(f"The indicators' kernels are compiled ({warm_kernels():.1f} s).")
