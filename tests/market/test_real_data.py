"""Candles recorded from Binance, replayed over HTTP and synchronised: data and answers that nobody here invented.

The recordings lie in the folder that FKS_REAL_DATA names, else in ../shared/data; its README has the known truths.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sqlalchemy import Engine, text

from deployments.postgres import Server
from lib.adapters.database.engine import make_engine
from lib.market.sync_result import SyncResult
from lib.results import Status
from tests.databases import TEMPLATE, new_database
from tests.market.http import UNLIMITED, sync_over_http
from tests.simulators import RunningSimulator, running_simulator

FOLDER = Path(os.environ.get("FKS_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "candles"
NUMBERS = ["open", "high", "low", "close", "volume"]
SUMS = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
SYMBOLS = ("BTC/USDT", "ETH/USDT", "BNB/USDT")
STARTS_AT = datetime(2020, 9, 20, tzinfo=UTC)
ENDS_AT = datetime(2025, 9, 19, 23, 0, 5, tzinfo=UTC)  # the recording's last hour has just closed
# First missing hour and number of hours, the same for every symbol.
GAPS = [
    ("2020-11-30 06:00", 1),
    ("2020-12-21 14:00", 4),
    ("2020-12-25 02:00", 1),
    ("2021-02-11 04:00", 1),
    ("2021-03-06 02:00", 1),
    ("2021-04-20 02:00", 2),
    ("2021-04-25 05:00", 3),
    ("2021-08-13 02:00", 4),
    ("2021-09-29 07:00", 2),
    ("2023-03-24 13:00", 1),
]

pytestmark = [
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason=f"no recorded candles in {FOLDER}; set FKS_REAL_DATA to the folder that holds them"
    ),
    pytest.mark.xdist_group("real-data"),
]


@pytest.fixture(scope="module")
def engine(migrated_server: Server) -> Iterator[Engine]:
    """One database for this module: five years are synchronised once and looked at from all sides."""
    with new_database(migrated_server, TEMPLATE) as url:
        engine = make_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def hourly() -> Iterator[RunningSimulator]:
    with running_simulator(
        replay_folder=FOLDER / "hourly", start_at=ENDS_AT, weight_limit_per_minute=UNLIMITED
    ) as running:
        yield running


@pytest.fixture(scope="module")
def synced(engine: Engine, hourly: RunningSimulator) -> SyncResult:
    """The first synchronisation of it all."""
    return sync(engine, hourly)


def sync(engine: Engine, hourly: RunningSimulator) -> SyncResult:
    history = dict.fromkeys(("1h", "4h", "1d"), ENDS_AT - STARTS_AT)
    return asyncio.run(sync_over_http(engine, hourly, ENDS_AT, SYMBOLS, history))


def load_stored(engine: Engine, symbol: str, timeframe: str) -> pd.DataFrame:
    query = text(
        "SELECT opened_at AS date, open, high, low, close, volume FROM candles "
        "WHERE symbol = :symbol AND timeframe = :timeframe ORDER BY opened_at"
    )
    with engine.connect() as connection:
        frame = pd.read_sql(query, connection, params={"symbol": symbol, "timeframe": timeframe})
    return frame.astype({"date": "datetime64[ns, UTC]"})


def load_recorded(symbol: str, timeframe: str) -> pd.DataFrame:
    name = symbol.replace("/", "_")
    return pd.read_feather(FOLDER / "hourly" / f"{name}-{timeframe}.feather")[["date", *NUMBERS]]


@pytest.mark.parametrize(
    ("symbol", "timeframe"),
    [("BTC/USDT", "1h"), ("ETH/USDT", "1h"), ("BNB/USDT", "1h"), ("BTC/USDT", "4h"), ("BTC/USDT", "1d")],
)
def test_stored_candles_equal_the_recording_to_the_last_bit(
    engine: Engine, synced: SyncResult, symbol: str, timeframe: str
) -> None:
    stored, recorded = load_stored(engine, symbol, timeframe), load_recorded(symbol, timeframe)
    assert_frame_equal(stored, recorded, check_exact=True)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_exactly_the_ten_known_gaps_are_found_and_verified_absent(
    engine: Engine, synced: SyncResult, symbol: str
) -> None:
    query = text(
        "SELECT starts_at, ends_at - starts_at AS length, state FROM candle_gaps "
        "WHERE symbol = :symbol AND timeframe = '1h' ORDER BY starts_at"
    )
    with engine.connect() as connection:
        rows = connection.execute(query, {"symbol": symbol}).all()
    assert {row.state for row in rows} == {"verified_absent"}
    assert [(f"{row.starts_at:%Y-%m-%d %H:%M}", row.length // timedelta(hours=1)) for row in rows] == GAPS


def test_the_result_tells_what_was_done(synced: SyncResult) -> None:
    assert synced.status is Status.OK
    assert synced.counts["candles"] == 3 * 43_803 + 3 * (10_955 + 1_825)
    assert (synced.counts["gaps found"], synced.counts["verified absent"]) == (30, 30)
    assert synced.counts["revised"] == 0


def test_a_second_synchronisation_writes_nothing(engine: Engine, synced: SyncResult, hourly: RunningSimulator) -> None:
    def fingerprint() -> list[object]:
        tables = ("candles", "candle_gaps", "sync_status")
        with engine.connect() as connection:
            return [
                connection.execute(text(f"SELECT count(*), md5(string_agg(xmin::text, '')) FROM {table}")).one()
                for table in tables
            ]

    before = fingerprint()
    result = sync(engine, hourly)
    assert (result.status, result.requests) == (Status.SKIPPED, 0)
    assert fingerprint() == before


@pytest.mark.parametrize(("timeframe", "rule"), [("4h", "4h"), ("1d", "1D")])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_hours_in_which_somebody_traded_add_up_to_the_longer_timeframes(
    engine: Engine, synced: SyncResult, symbol: str, timeframe: str, rule: str
) -> None:
    hours = load_stored(engine, symbol, "1h").set_index("date")
    longer = load_stored(engine, symbol, timeframe).set_index("date")
    # Binance's own 4h candle of 2023-03-24 12:00 opens with the first trade, not with the price of an hour without any.
    hours = hours[hours["volume"] > 0]
    summed = hours.resample(rule).agg(SUMS).dropna().loc[longer.index]
    prices = ["open", "high", "low", "close"]
    assert_frame_equal(summed[prices], longer[prices], check_exact=True, check_freq=False)
    assert_frame_equal(summed[["volume"]], longer[["volume"]], rtol=1e-12, check_freq=False)


async def test_five_minute_candles_of_this_year_have_no_gap_and_add_up_to_hours(database_url: str) -> None:
    engine = make_engine(database_url)
    recorded = pd.read_csv(FOLDER / "five_minute" / "SOL_USDT_5m.csv")
    opens = pd.to_datetime(recorded["timestamp"], unit="ms", utc=True).astype("datetime64[ns, UTC]")
    now = (opens.iloc[-1] + timedelta(minutes=5, seconds=2)).to_pydatetime()
    history = now - opens.iloc[0].to_pydatetime()
    with running_simulator(
        replay_folder=FOLDER / "five_minute", start_at=now, weight_limit_per_minute=UNLIMITED
    ) as simulator:
        await sync_over_http(engine, simulator, now, ["SOL/USDT"], {"5m": history, "1h": history})
    stored = load_stored(engine, "SOL/USDT", "5m")
    assert_frame_equal(stored, recorded[NUMBERS].assign(date=opens)[["date", *NUMBERS]], check_exact=True)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM candle_gaps WHERE timeframe = '5m'")).scalar_one() == 0
    hours = load_stored(engine, "SOL/USDT", "1h").set_index("date")
    summed = stored.set_index("date").resample("1h").agg(SUMS).loc[hours.index[1:-1]]
    prices = ["open", "high", "low", "close"]
    assert_frame_equal(summed[prices], hours[prices].iloc[1:-1], check_exact=True, check_freq=False)
    assert_frame_equal(summed[["volume"]], hours[["volume"]].iloc[1:-1], rtol=1e-9, check_freq=False)
    engine.dispose()
