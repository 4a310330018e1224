"""Reading recorded candles from files into exact integer columns.

Files are named by symbol and interval, in any folder below the given one: `BTC_USDT_5m.csv` with columns timestamp
(open time, Unix milliseconds), open, high, low, close, volume; `BTC_USDT-1h.feather` with date (open time, UTC) in
place of timestamp.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib.simulator.arrays import Floats, Integers
from lib.simulator.candles import BASE, COLUMNS, OPEN, OPENED, QUOTE, TAKER_BASE, TAKER_QUOTE, TRADES
from lib.simulator.intervals import NAMES, floor_all

_FILE_NAME = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)[-_](\d+[mhdwM])\.(csv|feather)")
_NUMBERS = ["open", "high", "low", "close", "volume"]
QUOTE_A_TRADE = 500.0  # recordings hold no trade counts: one trade for so much quote is assumed


@dataclass(frozen=True)
class Recording:
    """The recorded candles of one market.

    Attributes:
        base: Such as "BTC".
        quote: Such as "USDT".
        series: Candles by interval, shape `(10, n)`, rising in time. Quote volume is volume x mean of the four
            prices, and trade counts and taker volumes are estimates: the files hold none.
    """

    base: str
    quote: str
    series: dict[str, Integers]


def read_recordings(folder: Path) -> dict[str, Recording]:
    """Read every recording below a folder, by symbol such as "BTCUSDT".

    Raises:
        ValueError: When there is none, or a file is not as described, or two files disagree about a candle.
    """
    recordings: dict[str, Recording] = {}
    for path in sorted(folder.rglob("*")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or match[3] not in NAMES:
            continue
        base, quote, interval = match[1], match[2], match[3]
        recording = recordings.setdefault(base + quote, Recording(base, quote, {}))
        candles = _read_file(path, interval)
        known = recording.series.get(interval)
        recording.series[interval] = candles if known is None else _join(known, candles, path)
    if not recordings:
        raise ValueError(
            f"No recorded candles in {folder}. Expected files such as BTC_USDT_5m.csv or BTC_USDT-1h.feather."
        )
    return recordings


def _read_file(path: Path, interval: str) -> Integers:
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_feather(path)
    opened_name = "timestamp" if path.suffix == ".csv" else "date"
    if lacking := sorted({opened_name, *_NUMBERS} - set(frame.columns)):
        raise ValueError(f"{path.name} lacks the column {lacking[0]!r}.")
    opened = frame[opened_name]
    if opened_name == "date":
        opened = opened.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ms]")
    opened_ms = opened.to_numpy().astype(np.int64)
    numbers = frame[_NUMBERS].to_numpy(dtype=np.float64).T
    if (np.diff(opened_ms) <= 0).any() or (floor_all(opened_ms, interval) != opened_ms).any():
        raise ValueError(f"{path.name}: expected rising open times on the grid of {interval}.")
    if not np.isfinite(numbers).all() or (numbers[:4] <= 0).any() or (numbers[4] < 0).any():
        raise ValueError(f"{path.name}: expected finite positive prices and volumes of 0 or more.")
    return _to_columns(opened_ms, numbers)


def _to_columns(opened_ms: Integers, numbers: Floats) -> Integers:
    candles = np.zeros((COLUMNS, len(opened_ms)), dtype=np.int64)
    candles[OPENED] = opened_ms
    for row, values in enumerate(numbers, start=OPEN):
        candles[row] = to_exact_units(values)
    quote = numbers[4] * numbers[:4].mean(axis=0)
    candles[QUOTE] = np.rint(quote * 1e6).astype(np.int64)
    candles[TRADES] = np.where(numbers[4] > 0, 1 + (quote / QUOTE_A_TRADE).astype(np.int64), 0)
    candles[TAKER_BASE] = candles[BASE] // 2
    candles[TAKER_QUOTE] = candles[QUOTE] // 2
    return candles


def to_exact_units(values: Floats) -> Integers:
    """Return units of 1e-8 of the decimals that the floats were written from, at most eight; shape `(n,)`.

    More decimals are rounded to eight.
    """
    decimals = count_decimals(values)
    units: Integers = np.rint(values * 10.0**decimals).astype(np.int64) * 10 ** (8 - decimals)
    return units


def count_decimals(values: Floats) -> int:
    """Return the fewest decimals, at most eight, with which all values are written exactly."""
    for decimals in range(8):
        scale = 10.0**decimals
        if (np.rint(values * scale) / scale == values).all():
            return decimals
    return 8


def _join(known: Integers, more: Integers, path: Path) -> Integers:
    _, in_known, in_more = np.intersect1d(known[OPENED], more[OPENED], return_indices=True)
    if (known[OPEN : BASE + 1, in_known] != more[OPEN : BASE + 1, in_more]).any():
        raise ValueError(f"{path.name} disagrees with another file of the same symbol and interval. Remove one.")
    fresh = np.setdiff1d(np.arange(more.shape[1]), in_more)
    both = np.concatenate([known, more[:, fresh]], axis=1)
    return both[:, np.argsort(both[OPENED])]
