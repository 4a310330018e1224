"""One backtest engine in a process of its own: ``python backtest_engines.py ENGINE CANDLES.npz ROUNDS``.

Prints a line of JSON. Each engine computes its averages and ranges, signals, trades with a stop inside the candle, and
metrics, of one pair of parameters (single) and of all (grid). With no rounds it does the grid once and ends: what a
fresh process costs is then measured from outside. Imports nothing of FKS but for FKS's own engine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FAST = (5, 8, 10, 12, 15, 20, 25, 30)
SLOW = (50, 75, 100, 150, 200)
STOPS = (1.5, 2.0, 2.5, 3.0, 4.0)  # average true ranges
PAIRS = [(fast, slow, stop) for fast in FAST for slow in SLOW for stop in STOPS]
ATR_PERIOD, FEE, CASH = 14, 0.001, 1e9
FEW = 4  # pairs of an engine that takes long, spread over all


class Done(NamedTuple):
    """What a grid amounts to, so that a reader sees that the work was alike."""

    pairs: int
    trades: float
    total_return: float


Run = Callable[[Sequence[tuple[int, int, float]]], Done]


def make_fks(candles: dict[str, Any], threads: int) -> Run:
    """FKS as its search uses it."""
    from benchmarks.backtest_strategy import EmaCross
    from lib.market.matrix import CandleMatrix
    from lib.research.rules import Sizing, TradingRules
    from lib.research.sweep import sweep

    matrices = (candles[name][np.newaxis] for name in ("open", "high", "low", "close", "volume"))
    matrix = CandleMatrix(("A/B",), "5m", candles["opened_at"].astype("datetime64[us]"), *matrices)
    rules = TradingRules(cash=CASH, fee_ratio=FEE, slippage_ratio=0.0, sizing=Sizing.FULL)

    def run(pairs: Sequence[tuple[int, int, float]]) -> Done:
        chosen = [EmaCross(fast=fast, slow=slow, stop_atr=stop) for fast, slow, stop in pairs]
        found = sweep(chosen, matrix, "A/B", 0, rules, threads)
        return Done(len(pairs), float(found.trades.mean()), float(found.total_return.mean()))

    return run


def make_vectorbt(candles: dict[str, Any]) -> Run:
    """vectorbt: averages computed once, all pairs of a stop as columns of one portfolio, as it is fastest."""
    import pandas as pd
    import vectorbt as vbt

    index = pd.DatetimeIndex(candles["opened_at"])
    opens, highs, lows, closes = (pd.Series(candles[name], index) for name in ("open", "high", "low", "close"))
    vbt.settings.returns["year_freq"] = "365 days"

    def run(pairs: Sequence[tuple[int, int, float]]) -> Done:
        atr = vbt.ATR.run(highs, lows, closes, ATR_PERIOD, ewm=True).atr
        periods = sorted({period for fast, slow, _ in pairs for period in (fast, slow)})
        means = {period: vbt.MA.run(closes, period, ewm=True).ma.to_numpy() for period in periods}
        counts, totals = [], []
        for stop in sorted({stop for *_, stop in pairs}):
            above = np.column_stack([means[fast] > means[slow] for fast, slow, one in pairs if one == stop])
            entries, exits = np.zeros_like(above), np.zeros_like(above)
            entries[2:] = above[1:-1] & ~above[:-2]  # filled at the next open
            exits[2:] = ~above[1:-1] & above[:-2]
            distance = np.roll((stop * atr / closes).to_numpy(), 1)
            distance[:2] = np.nan
            portfolio = vbt.Portfolio.from_signals(
                closes, entries, exits, price=opens.to_numpy()[:, np.newaxis], sl_stop=distance[:, np.newaxis],
                open=opens, high=highs, low=lows, fees=FEE, init_cash=CASH, freq="5min",
                stop_entry_price="fillprice",
            )  # fmt: skip
            trades = portfolio.trades
            counts.append(trades.count())
            totals.append(portfolio.total_return())
            for measure in ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "max_drawdown", "annualized_volatility"):
                getattr(portfolio, measure)()
            trades.win_rate()
            trades.profit_factor()
        return Done(len(pairs), float(np.mean(np.concatenate(counts))), float(np.mean(np.concatenate(totals))))

    return run


def make_raptorbt(candles: dict[str, Any]) -> Run:
    """raptorbt: its averages, and its batch over all processors."""
    import raptorbt

    columns = {name: np.ascontiguousarray(candles[name]) for name in ("open", "high", "low", "close", "volume")}
    stamps = candles["opened_at"].astype("datetime64[ns]").astype(np.int64)
    config = raptorbt.BacktestConfig(initial_capital=CASH, fees=FEE, slippage=0.0, fill_timing="next_bar_open")

    def run(pairs: Sequence[tuple[int, int, float]]) -> Done:
        periods = sorted({period for fast, slow, _ in pairs for period in (fast, slow)})
        means = {period: np.asarray(raptorbt.ema(columns["close"], period)) for period in periods}
        items = []
        for fast, slow, stop in pairs:
            above = means[fast] > means[slow]
            known = ~np.isnan(means[slow])
            entries, exits = np.zeros_like(above), np.zeros_like(above)
            entries[1:] = above[1:] & ~above[:-1] & known[:-1]
            exits[1:] = ~above[1:] & above[:-1]
            instrument = raptorbt.InstrumentConfig()
            instrument.set_atr_stop(stop, ATR_PERIOD)
            items.append(
                raptorbt.BatchSingleItem(
                    f"{fast} {slow} {stop}", entries, exits, config=config, instrument_config=instrument
                )
            )
        found = [result.metrics for _, result in raptorbt.batch_single_backtest(stamps, **columns, items=items)]
        trades, totals = (
            np.mean([getattr(one, name) for one in found]) for name in ("total_trades", "total_return_pct")
        )
        return Done(len(pairs), float(trades), float(totals) / 100)

    return run


def make_backtesting(candles: dict[str, Any]) -> Run:
    """backtesting.py: one pair after the other."""
    import warnings

    import backtesting
    import pandas as pd

    warnings.simplefilter("ignore")
    heads = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    frame = pd.DataFrame({head: candles[name] for name, head in heads.items()}, pd.DatetimeIndex(candles["opened_at"]))

    class EmaCross(backtesting.Strategy):  # type: ignore[misc]  # ships no types
        fast, slow, stop = 12, 50, 2.0

        def init(self) -> None:
            close = self.data.Close.s
            high, low = self.data.High.s, self.data.Low.s
            ranges = high - low, (high - close.shift()).abs(), (close.shift() - low).abs()
            true = pd.concat(ranges, axis=1).max(axis=1)
            self.above = np.asarray(close.ewm(span=self.fast).mean() > close.ewm(span=self.slow).mean())
            self.atr = np.asarray(true.ewm(alpha=1 / ATR_PERIOD).mean())

        def next(self) -> None:
            bar = len(self.data) - 1
            if self.position:
                if not self.above[bar]:
                    self.position.close()
            elif self.above[bar] and not self.above[bar - 1]:
                self.buy(sl=self.data.Close[-1] - self.stop * self.atr[bar])

    def run(pairs: Sequence[tuple[int, int, float]]) -> Done:
        engine = backtesting.Backtest(frame, EmaCross, cash=CASH, commission=FEE, finalize_trades=True)
        found = [engine.run(fast=fast, slow=slow, stop=stop) for fast, slow, stop in pairs]
        trades, totals = ([one[name] for one in found] for name in ("# Trades", "Return [%]"))
        return Done(len(pairs), float(np.mean(trades)), float(np.mean(totals)) / 100)

    return run


ENGINES: dict[str, Callable[[dict[str, Any]], Run]] = {
    "FKS, one processor": lambda candles: make_fks(candles, 1),
    "FKS": lambda candles: make_fks(candles, 2),
    "vectorbt": make_vectorbt,
    "raptorbt": make_raptorbt,
    "backtesting.py": make_backtesting,
}
SLOW_ENGINES = {"backtesting.py"}


def main() -> None:
    """Run one engine as the command line says."""
    name, path, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    run = ENGINES[name](dict(np.load(path)))
    grid = PAIRS[:: len(PAIRS) // FEW] if name in SLOW_ENGINES else PAIRS
    done = run(grid)
    measured: dict[str, list[tuple[float, float]]] = {"single": [], "grid": []}
    if rounds:
        run(PAIRS[:1])
    for _ in range(rounds):
        for what, pairs in (("single", PAIRS[82:83]), ("grid", grid)):
            wall, processor = time.perf_counter(), time.process_time()
            run(pairs)
            scale = len(PAIRS) / len(pairs) if what == "grid" else 1
            spent = time.perf_counter() - wall, time.process_time() - processor
            measured[what].append((spent[0] * scale, spent[1] * scale))
    print(json.dumps({"done": done, **measured}))


if __name__ == "__main__":
    main()
