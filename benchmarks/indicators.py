"""Indicators: the standard set of 1,500 series x 300 candles beside TA-Lib and `ta`; the whole refresh as it grows.

Everyone fills one matrix (indicators, series, candles) anew each time: that is what is stored and what strategies
read. The refresh loads candles from PostgreSQL, computes and stores; its rows are compared with TA-Lib's first.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import ta
import talib
from sqlalchemy import Engine, text

from benchmarks.measuring import calc_ratio, measure_paired, render_spread, show_table
from benchmarks.servers import running_database
from lib.adapters.database.engine import make_engine
from lib.adapters.database.indicators import DatabaseIndicators
from lib.indicators import filling, kernels
from lib.indicators.names import COLUMNS
from lib.indicators.refresh import update_indicators
from lib.indicators.warm import warm_kernels
from lib.market.matrix import FloatMatrix
from lib.ports import SystemClock

ROUNDS, SLOW_ROUNDS = 15, 3
SERIES, CANDLES = 1500, 300
SLOW_SERIES = 60  # of which `ta` is measured, since it takes long
TIMEFRAMES = {"5m": "5 minutes", "1h": "1 hour", "4h": "4 hours"}
SIZES = ((50, 1100), (500, 1100), (50, 11_000))  # symbols, candles stored of each series
NEWER = 5  # refreshes with one candle more

Candles = tuple[FloatMatrix, FloatMatrix, FloatMatrix]


def run() -> None:
    warm_kernels()
    candles = make_candles(SERIES, CANDLES)
    check_same(candles)
    _compare_sets(candles)
    _compare_few()
    _show_start()
    _show_refreshes()


def make_candles(series: int, bars: int) -> Candles:
    """Return high, low and close of random walks."""
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (series, bars)), axis=1))
    return close * (1 + random.uniform(0, 0.01, close.shape)), close * (1 - random.uniform(0, 0.01, close.shape)), close


def check_same(candles: Candles) -> None:
    """Make sure that what is compared is the same."""
    ours, theirs = np.array(list(kernels.standard(*candles).values())), compute_by_talib(candles)
    there = ~np.isnan(theirs)
    if not np.allclose(ours[there], theirs[there], rtol=1e-9, atol=1e-9):
        raise RuntimeError("The values differ between FKS and TA-Lib.")


def compute_by_talib(candles: Candles) -> FloatMatrix:
    out = np.empty((len(COLUMNS), *candles[2].shape))
    for series, (high, low, close) in enumerate(zip(*candles, strict=True)):
        out[0, series] = talib.RSI(close, 14)
        out[1, series], out[2, series], out[3, series] = talib.MACD(close, 12, 26, 9)
        out[6, series], out[5, series], out[4, series] = talib.BBANDS(close, 20, 2, 2)
        out[7, series] = talib.ATR(high, low, close, 14)
        for place, period in ((8, 20), (9, 50), (10, 200)):
            out[place, series] = talib.SMA(close, period)
        for place, period in ((11, 12), (12, 26)):
            out[place, series] = talib.EMA(close, period)
    return out


def keep_talibs(candles: Candles) -> list[tuple[FloatMatrix, ...]]:
    """Keep TA-Lib's arrays as they come, in no matrix, and the bands' middle as the mean of 20: its least."""
    return [
        (
            talib.RSI(close, 14),
            *talib.MACD(close, 12, 26, 9),
            *talib.BBANDS(close, 20, 2, 2),
            talib.ATR(high, low, close, 14),
            *(talib.SMA(close, period) for period in (50, 200)),
            *(talib.EMA(close, period) for period in (12, 26)),
        )
        for high, low, close in zip(*candles, strict=True)
    ]


def compute_by_ta(candles: Candles) -> FloatMatrix:
    out = np.empty((len(COLUMNS), *candles[2].shape))
    for series, values in enumerate(zip(*candles, strict=True)):
        high, low, close = (pd.Series(column) for column in values)
        macd, bands = ta.trend.MACD(close, 26, 12, 9), ta.volatility.BollingerBands(close, 20, 2)
        columns = (
            ta.momentum.rsi(close, 14),
            *(macd.macd(), macd.macd_signal(), macd.macd_diff()),
            *(bands.bollinger_lband(), bands.bollinger_mavg(), bands.bollinger_hband()),
            ta.volatility.average_true_range(high, low, close, 14),
            *(ta.trend.sma_indicator(close, period) for period in (20, 50, 200)),
            *(ta.trend.ema_indicator(close, period) for period in (12, 26)),
        )
        for place, column in enumerate(columns):
            out[place, series] = column
    return out


def _compare_sets(candles: Candles) -> None:
    few: Candles = (candles[0][:SLOW_SERIES], candles[1][:SLOW_SERIES], candles[2][:SLOW_SERIES])
    works: Mapping[str, Callable[[], object]] = {
        "FKS": partial(kernels.standard, *candles),
        "FKS, one processor": partial(_compute_alone, candles),
        "TA-Lib": partial(compute_by_talib, candles),
        "TA-Lib, no matrix": partial(keep_talibs, candles),
    }
    fast = {name: partial(_measure, work) for name, work in works.items()}
    times = measure_paired(fast, ROUNDS)
    spent = measure_paired({name: partial(_measure_processor, work) for name, work in works.items()}, ROUNDS)
    slow: Mapping[str, Callable[[], float]] = {
        "FKS": fast["FKS"],
        "ta": lambda: _measure(compute_by_ta, few) * SERIES / SLOW_SERIES,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `ta`, about pandas
        slow_times = measure_paired(slow, SLOW_ROUNDS)
    rows = [
        (
            name,
            render_spread([1000 * t for t in values], 1),
            f"{calc_ratio(times['FKS'], values):.1f}",
            render_spread([1000 * t for t in spent[name]], 1),
        )
        for name, values in times.items()
    ]
    ratio = calc_ratio(slow_times["FKS"], slow_times["ta"])
    rows.append(
        (f"ta (from {SLOW_SERIES} series)", render_spread([1000 * t for t in slow_times["ta"]], 0), f"{ratio:,.0f}", "")
    )
    show_table((f"{SERIES:,} series x {CANDLES} candles", "ms", "x FKS's time", "ms of processors"), rows)


def _compute_alone(candles: Candles) -> list[Mapping[str, FloatMatrix]]:
    """Compute in parts that are too small for threads, and keep them."""
    step = filling.LARGE // CANDLES
    return [kernels.standard(*(matrix[begin : begin + step] for matrix in candles)) for begin in range(0, SERIES, step)]


def _compare_few() -> None:
    """What a call costs with hardly any work in it."""
    one = make_candles(1, CANDLES)
    ways = {"FKS": partial(_measure, kernels.standard, *one), "TA-Lib": partial(_measure, compute_by_talib, one)}
    times = measure_paired(ways, 200)
    rows = [(name, f"{1e6 * float(np.median(values)):.0f}") for name, values in times.items()]
    show_table((f"1 series x {CANDLES} candles", "µs (median)"), rows)


def _show_start() -> None:
    """A flow run is a fresh process: import, and the first call with what is in numba's cache."""
    seconds = []
    for code in ("import numpy", "from lib.indicators.warm import warm_kernels; warm_kernels()") * 5:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - started)
    rows = [
        ("with numpy", render_spread(seconds[::2])),
        ("with every kernel called once", render_spread(seconds[1::2])),
    ]
    show_table(("a fresh process, warm cache", "seconds"), rows)


def _show_refreshes() -> None:
    rows = []
    for symbols, candles in SIZES:
        with running_database() as url:
            engine = make_engine(url)
            first, again, fresh = _measure_refreshes(engine, symbols, candles)
            engine.dispose()
        size = f"{symbols} x {len(TIMEFRAMES)} x {candles:,}"
        rows.append((size, f"{first:.2f}", render_spread(again), render_spread(fresh)))
    headers = ("symbols x timeframes x stored candles", "first, s", "one candle more each, s", "nothing new, s")
    show_table(headers, rows)


def _measure_refreshes(engine: Engine, symbols: int, candles: int) -> tuple[float, list[float], list[float]]:
    """Return the seconds of the first refresh, of those with one candle more, and of those without any."""
    names = [f"S{number:03d}/USDT" for number in range(symbols)]
    _store(engine, names, 0, candles)
    first = _refresh(engine, names, rows=symbols * len(TIMEFRAMES) * 1000)
    again, fresh = [], []
    for number in range(NEWER):
        _store(engine, names, candles + number, 1)
        again.append(_refresh(engine, names, rows=symbols * len(TIMEFRAMES)))
        fresh.append(_refresh(engine, names, rows=0))
    return first, again, fresh


def _refresh(engine: Engine, names: Sequence[str], rows: int) -> float:
    started = time.perf_counter()
    result = update_indicators(
        store=DatabaseIndicators(engine), clock=SystemClock(), symbols=names, timeframes=list(TIMEFRAMES)
    )
    seconds = time.perf_counter() - started
    if result.counts["rows"] != rows:
        raise RuntimeError(f"Expected {rows} rows, was {result.summary}.")
    return seconds


def _store(engine: Engine, names: Sequence[str], begin: int, count: int) -> None:
    """Store candles as synchronisation leaves them: those of one instant beside each other."""
    query = text(
        "INSERT INTO candles SELECT symbol, :timeframe, '2020-01-01Z'::timestamptz + number * CAST(:width AS interval),"
        " price, price * 1.01, price * 0.99, price, 1, 1, 1 FROM (SELECT symbol, number, 100 + random() AS price "
        "FROM generate_series(CAST(:begin AS int), CAST(:last AS int)) AS number, "
        "unnest(CAST(:names AS text[])) AS symbol) AS drawn"
    )
    with engine.begin() as connection:
        for timeframe, width in TIMEFRAMES.items():
            values = {"timeframe": timeframe, "width": width, "begin": begin, "last": begin + count - 1}
            connection.execute(query, {**values, "names": list(names)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE candles"))


def _measure(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def _measure_processor(work: Callable[..., object], *arguments: object) -> float:
    """Seconds on processors, all threads together: other work on the machine weighs less in it."""
    started = time.process_time()
    work(*arguments)
    return time.process_time() - started
