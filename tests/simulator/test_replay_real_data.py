"""Replay of candles recorded from Binance: data nobody here invented (see `real_data` for where it is found)."""

import csv
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.simulators import RunningSimulator, running_simulator

PROJECT = Path(__file__).parents[2]
HOUR_MS = 3_600_000
# Last hour before and first after each gap of the hourly recording, the same for every symbol (its own README).
GAPS = [
    ("2020-11-30 05", "2020-11-30 07"),
    ("2020-12-21 13", "2020-12-21 18"),
    ("2020-12-25 01", "2020-12-25 03"),
    ("2021-02-11 03", "2021-02-11 05"),
    ("2021-03-06 01", "2021-03-06 03"),
    ("2021-04-20 01", "2021-04-20 04"),
    ("2021-04-25 04", "2021-04-25 08"),
    ("2021-08-13 01", "2021-08-13 06"),
    ("2021-09-29 06", "2021-09-29 09"),
    ("2023-03-24 12", "2023-03-24 14"),
]
FLAT_HOURS = ["2021-02-11 03", "2023-03-24 12"]  # candles without volume


@pytest.fixture(scope="module")
def candles_folder() -> Path:
    folder = Path(os.environ.get("FKS_REAL_DATA", PROJECT.parent / "shared" / "data")) / "candles"
    if not folder.is_dir():
        pytest.skip(f"no recorded candles in {folder}; set FKS_REAL_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="module")
def hourly(candles_folder: Path) -> Iterator[RunningSimulator]:
    with running_simulator(replay_folder=candles_folder / "hourly", weight_limit_per_minute=10**9) as running:
        yield running


@pytest.fixture(scope="module")
def five_minute(candles_folder: Path) -> Iterator[RunningSimulator]:
    with running_simulator(replay_folder=candles_folder / "five_minute", weight_limit_per_minute=10**9) as running:
        yield running


def fetch_all(simulator: RunningSimulator, symbol: str, interval: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    start = 0
    while page := simulator.get("/klines", symbol=symbol, interval=interval, startTime=start, limit=1000):
        rows += page
        start = page[-1][0] + 1
    return rows


def to_instant(hour: str) -> int:
    return int(datetime.strptime(hour + " +0000", "%Y-%m-%d %H %z").timestamp()) * 1000


def pad(text: str) -> str:
    return f"{Decimal(text):.8f}"


@pytest.mark.parametrize(
    ("symbol", "interval"), [("BTC", "1h"), ("BTC", "4h"), ("BTC", "1d"), ("ETH", "1h"), ("BNB", "1h")]
)
def test_served_candles_equal_the_feather_file(
    hourly: RunningSimulator, candles_folder: Path, symbol: str, interval: str
) -> None:
    frame = pd.read_feather(candles_folder / "hourly" / f"{symbol}_USDT-{interval}.feather")
    opens = [int(at.timestamp()) * 1000 for at in frame["date"]]
    numbers = frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
    rows = fetch_all(hourly, f"{symbol}USDT", interval)
    assert [row[0] for row in rows] == opens
    assert [row[1:6] for row in rows] == [[pad(repr(value)) for value in line] for line in numbers]


@pytest.mark.parametrize(
    "name", ["BTC_USDT_5m", "BTC_USDT_1h", "DOGE_USDT_5m", "ADA_USDT_5m", "ADA_USDT_1h", "DOT_USDT_1h"]
)
def test_served_candles_equal_the_csv_file(five_minute: RunningSimulator, candles_folder: Path, name: str) -> None:
    base, quote, interval = name.split("_")
    with (candles_folder / "five_minute" / f"{name}.csv").open() as file:
        recorded = [
            [int(line["timestamp"]), *(pad(line[column]) for column in ("open", "high", "low", "close", "volume"))]
            for line in csv.DictReader(file)
        ]
    assert [row[:6] for row in fetch_all(five_minute, base + quote, interval)] == recorded


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "BNBUSDT"])
def test_exactly_the_ten_known_gaps_are_served(hourly: RunningSimulator, symbol: str) -> None:
    rows = fetch_all(hourly, symbol, "1h")
    opens = [int(row[0]) for row in rows]
    gaps = [(a, b) for a, b in pairwise(opens) if b - a != HOUR_MS]
    assert gaps == [(to_instant(before), to_instant(after)) for before, after in GAPS]
    assert sum((after - before) // HOUR_MS - 1 for before, after in gaps) == 20
    assert [row[0] for row in rows if Decimal(row[5]) == 0] == [to_instant(hour) for hour in FLAT_HOURS]


def test_aggregated_candles_equal_binances_own(candles_folder: Path, tmp_path: Path) -> None:
    """Served from the 1h file alone, 4h and 1d must equal what Binance itself recorded."""
    (tmp_path / "BTC_USDT-1h.feather").symlink_to(candles_folder / "hourly" / "BTC_USDT-1h.feather")
    with running_simulator(replay_folder=tmp_path, weight_limit_per_minute=10**9) as simulator:
        for interval, hours in (("4h", 4), ("1d", 24)):
            frame = pd.read_feather(candles_folder / "hourly" / f"BTC_USDT-{interval}.feather")
            whole = frame[frame["date"] + timedelta(hours=hours) <= datetime(2025, 9, 19, 3, tzinfo=UTC)]
            numbers = whole[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
            rows = fetch_all(simulator, "BTCUSDT", interval)[: len(whole)]
            assert [row[0] for row in rows] == [int(at.timestamp()) * 1000 for at in whole["date"]]
            assert [row[1:6] for row in rows] == [[pad(repr(value)) for value in line] for line in numbers]


def test_hours_aggregated_from_five_minutes_equal_the_recorded_hours(candles_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "SOL_USDT_5m.csv").symlink_to(candles_folder / "five_minute" / "SOL_USDT_5m.csv")
    with (candles_folder / "five_minute" / "SOL_USDT_1h.csv").open() as file:
        recorded = {int(line["timestamp"]): [pad(line[name]) for name in line if name not in ("timestamp", "datetime")]
                    for line in csv.DictReader(file)}  # fmt: skip
    with running_simulator(replay_folder=tmp_path, weight_limit_per_minute=10**9) as simulator:
        rows = fetch_all(simulator, "SOLUSDT", "1h")
    assert len(rows) > 2000
    assert all(row[1:6] == recorded[int(row[0])] for row in rows)


def test_the_running_candle_is_partial_in_a_replayed_hour(candles_folder: Path) -> None:
    at = datetime(2023, 3, 24, 14, 30, tzinfo=UTC)
    with running_simulator(replay_folder=candles_folder / "hourly", start_at=at) as simulator:
        rows = simulator.get("/klines", symbol="BTCUSDT", interval="1h", limit=3)
        assert [row[0] for row in rows] == [to_instant(f"2023-03-24 {hour}") for hour in (11, 12, 14)]
        simulator.control.advance(seconds=1800)
        whole = simulator.get("/klines", symbol="BTCUSDT", interval="1h", limit=2)[0]
    assert rows[-1][1] == whole[1]
    assert Decimal(whole[3]) <= Decimal(rows[-1][3])
    assert Decimal(rows[-1][2]) <= Decimal(whole[2])
    assert Decimal(rows[-1][5]) == pytest.approx(Decimal(whole[5]) / 2, abs=Decimal("1e-7"))
