"""``python -m lib.research.warm``: compile every kernel, the indicators' first, for the processes to come.

See `lib.indicators.warm`; without it the first nightly search and the first `fks backtest` would wait for the compiler.
"""

from __future__ import annotations

import time

import numpy as np

from lib.indicators import warm as indicators
from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix
from lib.research.engine import simulate
from lib.research.rules import TradingRules
from lib.research.sweep import sweep
from lib.strategy.registry import STRATEGIES

BARS = 40


def warm_kernels() -> float:
    """Trade a few candles once with every strategy, as searches and backtests do; return the seconds it took."""
    started = time.perf_counter()
    close = 100 + np.sin(np.arange(BARS))[np.newaxis]
    opened_at = np.datetime64("2026-01-01", "us") + np.arange(BARS) * np.timedelta64(3600, "s")
    candles = CandleMatrix(("A/B",), "1h", opened_at, close, close + 1, close - 1, close, np.ones_like(close))
    rules = TradingRules()
    for strategy in (kind() for kind in STRATEGIES.values()):
        simulate(candles, strategy.decide(IndicatorShelf(candles)), rules)
        sweep([strategy], candles, "A/B", 0, rules, threads=1)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(f"The indicators' kernels are compiled ({indicators.warm_kernels():.1f} s).", flush=True)
    print(f"Those of backtests too ({warm_kernels():.1f} s).")
