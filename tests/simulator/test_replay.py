from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.simulator.recordings import read_recordings, to_exact_units
from lib.simulator.replay import Replay
from tests.simulators import ControlRefused, running_simulator

TEN = int(datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp()) * 1000
MINUTE_MS = 60_000
HEADER = "timestamp,datetime,open,high,low,close,volume\n"
# Five candles of 5m with a gap at 10:10; the first rises, the second falls.
FIVES = [
    (0, "100.0", "103.0", "97.0", "102.0", "3.5"),
    (5, "102.0", "104.0", "98.0", "99.0", "0.3"),
    (15, "99.0", "99.5", "98.5", "99.0", "0"),
    (20, "99.0", "110.25", "99.0", "110.0", "1"),
    (25, "110.0", "111.0", "90.0", "95.0", "2.123"),
]


def write(path: Path, rows: list[tuple[int, str, str, str, str, str]]) -> None:
    lines = (f"{TEN + minute * MINUTE_MS},ignored,{','.join(numbers)}" for minute, *numbers in rows)
    path.write_text(HEADER + "\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "BTC_USDT_5m.csv", FIVES)
    return tmp_path


def at(minutes: float) -> datetime:
    return datetime.fromtimestamp(TEN / 1000 + minutes * 60, UTC)


def test_recorded_candles_are_answered_as_recorded_and_gaps_stay_gaps(folder: Path) -> None:
    with running_simulator(replay_folder=folder, start_at=at(40)) as simulator:
        rows = simulator.get("/klines", symbol="BTCUSDT", interval="5m", startTime=0)
    assert [(row[0] - TEN) // MINUTE_MS for row in rows] == [minute for minute, *_ in FIVES]
    assert [[Decimal(text) for text in row[1:6]] for row in rows] == [
        [Decimal(text) for text in numbers] for _, *numbers in FIVES
    ]
    assert rows[4][1:6] == ["110.00000000", "111.00000000", "90.00000000", "95.00000000", "2.12300000"]
    assert all(row[6] == row[0] + 5 * MINUTE_MS - 1 for row in rows)


def test_wider_candles_are_aggregated_and_only_whole_ones(folder: Path) -> None:
    with running_simulator(replay_folder=folder, start_at=at(300)) as simulator:
        quarters = simulator.get("/klines", symbol="BTCUSDT", interval="15m")
        hours = simulator.get("/klines", symbol="BTCUSDT", interval="1h")
        minutes = simulator.get("/klines", symbol="BTCUSDT", interval="1m")
    assert [[Decimal(text) for text in row[1:6]] for row in quarters] == [
        [Decimal("100"), Decimal("104"), Decimal("97"), Decimal("99"), Decimal("3.8")],  # 10:10 is missing
        [Decimal("99"), Decimal("111"), Decimal("90"), Decimal("95"), Decimal("3.123")],
    ]
    assert hours == []  # recorded for half an hour only
    assert minutes == []  # finer than what was recorded


def test_a_candle_without_trades_says_nothing_about_the_wider_one(tmp_path: Path) -> None:
    write(
        tmp_path / "BTC_USDT_5m.csv",
        [(0, "1", "1", "1", "1", "0"), (5, "2", "4", "2", "3", "5"), (10, "9", "9", "9", "9", "0")]
        + [(minute, "3", "3", "3", "3", "0") for minute in (15, 20, 25)],
    )
    replay = Replay(tmp_path)
    quarters = replay.candles("BTCUSDT", "15m", 0, TEN * 2)
    assert (quarters[1:6] // 10**8).T.tolist() == [[2, 4, 2, 3, 5], [3, 3, 3, 3, 0]]
    running = replay.part("BTCUSDT", "15m", TEN, TEN + 14 * MINUTE_MS)
    assert (running[1:6, 0] // 10**8).tolist() == [2, 4, 2, 3, 5]


def test_the_price_runs_through_the_candle_and_stands_still_in_a_gap(folder: Path) -> None:
    replay = Replay(folder)

    def price(minute: float) -> float:
        return replay.price("BTCUSDT", TEN + int(minute * MINUTE_MS)) / 1e8

    assert price(0) == 100
    assert price(5 / 3) == 97  # rising: the low comes after the first third
    assert price(2.5) == 100
    assert price(10 / 3) == 103
    assert price(5 + 5 / 3) == 104  # falling: the high comes first
    assert price(9.9999) == pytest.approx(99, abs=0.01)
    assert price(12) == 99
    assert price(-1) == 100
    assert price(500) == 95


def test_the_range_covers_the_candles_between(folder: Path) -> None:
    replay = Replay(folder)

    def extremes(start: float, end: float) -> tuple[float, float]:
        low, high = replay.range("BTCUSDT", TEN + int(start * MINUTE_MS), TEN + int(end * MINUTE_MS))
        return low / 1e8, high / 1e8

    assert extremes(0, 5) == (97, 103)
    assert extremes(0, 30) == (90, 111)
    assert extremes(10, 20) == (98.5, 99.5)
    assert extremes(2.5, 2.5) == (100, 100)
    assert extremes(11, 14) == (99, 99)
    assert extremes(40, 50) == (95, 95)


def test_the_running_candle_is_partial_under_a_driven_clock(folder: Path) -> None:
    with running_simulator(replay_folder=folder, start_at=at(2.5)) as simulator:
        row = simulator.get("/klines", symbol="BTCUSDT", interval="5m")[-1]
        assert [Decimal(text) for text in row[1:6]] == [100, 100, 97, 100, Decimal("1.75")]
        assert simulator.get("/ticker/price", symbol="BTCUSDT")["price"] == "100.00000000"
        wide = simulator.get("/klines", symbol="BTCUSDT", interval="1h")[-1]
        assert wide[1:6] == row[1:6]
        simulator.control.advance(seconds=150)
        rows = simulator.get("/klines", symbol="BTCUSDT", interval="5m")
        assert [Decimal(text) for text in rows[0][1:6]] == [100, 103, 97, 102, Decimal("3.5")]
        assert len(rows) == 2
        simulator.control.advance(seconds=360)  # 10:11, in the gap
        assert len(simulator.get("/klines", symbol="BTCUSDT", interval="5m")) == 2


def test_a_recorded_interval_is_preferred_over_aggregation_and_windows_may_differ(folder: Path) -> None:
    # Recorded by the hour: the hour of the five-minute file, told differently, and the one before it.
    write(
        folder / "BTC_USDT_1h.csv", [(-60, "90.0", "101.0", "89.0", "100.0", "7"), (0, "1.5", "2.5", "0.5", "2.0", "9")]
    )
    replay = Replay(folder)
    hours = replay.candles("BTCUSDT", "1h", 0, TEN * 2)
    assert hours[1].tolist() == [90 * 10**8, 15 * 10**7]
    assert replay.price("BTCUSDT", TEN) == 100 * 10**8  # the finest decides about the price
    assert replay.price("BTCUSDT", TEN - 1) == pytest.approx(100 * 10**8, rel=1e-4)
    assert replay.listed_ms("BTCUSDT") == TEN - 60 * MINUTE_MS
    halves = replay.candles("BTCUSDT", "30m", 0, TEN * 2)
    assert halves[0].tolist() == [TEN]


def test_feather_recordings_read_as_the_same_candles(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("feather")
    frame = pd.read_csv(folder / "BTC_USDT_5m.csv")
    frame["date"] = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    columns = ["date", "open", "high", "low", "close", "volume"]
    frame[columns].to_feather(other / "BTC_USDT-5m.feather")
    assert (read_recordings(folder)["BTCUSDT"].series["5m"] == read_recordings(other)["BTCUSDT"].series["5m"]).all()


def test_steps_are_the_finest_that_occur(folder: Path) -> None:
    instrument = Replay(folder).instruments["BTCUSDT"]
    assert (instrument.base, instrument.quote) == ("BTC", "USDT")
    assert instrument.tick_size == Decimal("0.01")
    assert instrument.step_size == Decimal("0.001")


def test_floats_become_the_decimals_they_were_written_from() -> None:
    texts = ["0.1", "123456789.1", "0.30000001", "70000.07", "1168.906046"]
    for text in texts:
        assert to_exact_units(np.array([float(text)])).tolist() == [int(Decimal(text) * 10**8)]


def test_recorded_prices_cannot_be_changed_but_symbols_can_halt_and_candles_can_miss(folder: Path) -> None:
    with running_simulator(replay_folder=folder, start_at=at(40)) as simulator:
        with pytest.raises(ControlRefused, match="Recorded prices"):
            simulator.control.set_price("BTCUSDT", "1")
        with pytest.raises(ControlRefused, match="Recorded prices"):
            simulator.control.scenario("crash")
        simulator.control.halt("BTCUSDT")
        assert simulator.get("/exchangeInfo")["symbols"][0]["status"] == "HALT"
        simulator.control.add_missing(at(0), at(5))
        assert len(simulator.get("/klines", symbol="BTCUSDT", interval="5m", startTime=0)) == 4
        quarter = simulator.get("/klines", symbol="BTCUSDT", interval="15m", startTime=0)[0]
        assert Decimal(quarter[1]) == 102


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEADER + f"{TEN + 1},x,1,1,1,1,1\n", "on the grid of 5m"),
        (HEADER + f"{TEN},x,1,1,1,1,1\n{TEN},x,1,1,1,1,1\n", "rising open times"),
        (HEADER + f"{TEN},x,1,1,1,nan,1\n", "finite positive"),
        (HEADER + f"{TEN},x,1,1,0,1,1\n", "finite positive"),
        ("timestamp,open,high,low,close\n", "lacks the column 'volume'"),
    ],
)
def test_an_unusable_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "ETH_USDT_5m.csv").write_text(text)
    with pytest.raises(ValueError, match=f"ETH_USDT_5m.csv.*{reason}"):
        Replay(tmp_path)


def test_files_that_disagree_are_refused(folder: Path) -> None:
    inner = folder / "again"
    inner.mkdir()
    write(inner / "BTC_USDT-5m.csv", [(0, "100.0", "103.0", "97.0", "102.5", "3.5")])
    with pytest.raises(ValueError, match="disagrees"):
        Replay(folder)


def test_an_empty_folder_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"BTC_USDT_5m\.csv"):
        Replay(tmp_path)
