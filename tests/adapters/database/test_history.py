"""Stored candles as matrices: each value in its place, NaN where nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from lib.adapters.database.copying import copy_rows
from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.tables.market import CANDLES
from lib.errors import DatabaseUnavailable, SettingsError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAN = float("nan")


def store(engine: Engine, closes: dict[tuple[str, str, datetime], float]) -> None:
    rows = [(*key, close, close + 2, close - 0.5, close, close * 10, None, None) for key, close in closes.items()]
    with engine.begin() as connection:
        copy_rows(connection, "candles", CANDLES, rows)


def hour(number: int) -> datetime:
    return NOON + number * HOUR


def test_each_symbol_is_a_row_and_a_missing_candle_is_nan(engine: Engine) -> None:
    store(
        engine,
        {
            ("BTC/USDT", "1h", hour(0)): 1.0,
            ("BTC/USDT", "1h", hour(2)): 3.0,
            ("ETH/USDT", "1h", hour(1)): 5.0,
            ("BTC/USDT", "5m", hour(1)): 99.0,
            ("SOL/USDT", "1h", hour(1)): 99.0,
        },
    )
    matrix = DatabaseHistory(engine).load_matrix(["ETH/USDT", "BTC/USDT"], "1h", hour(0), hour(3))
    assert matrix.symbols == ("ETH/USDT", "BTC/USDT")
    assert matrix.timeframe == "1h"
    assert matrix.opened_at.dtype == np.dtype("datetime64[us]")
    assert matrix.opened_at.tolist() == [hour(number).replace(tzinfo=None) for number in range(3)]
    closes = np.array([[NAN, 5.0, NAN], [1.0, NAN, 3.0]])
    for name, expected in {
        "open": closes,
        "high": closes + 2,
        "low": closes - 0.5,
        "close": closes,
        "volume": closes * 10,
    }.items():
        np.testing.assert_array_equal(getattr(matrix, name), expected, err_msg=name)


def test_the_window_holds_its_start_and_not_its_end(engine: Engine) -> None:
    store(engine, {("BTC/USDT", "1h", hour(number)): number + 1.0 for number in range(5)})
    history = DatabaseHistory(engine)
    assert history.load_matrix(["BTC/USDT"], "1h", hour(1), hour(3)).close.tolist() == [[2.0, 3.0]]
    between = history.load_matrix(["BTC/USDT"], "1h", hour(1) - HOUR / 2, hour(3) + HOUR / 2)
    assert between.close.tolist() == [[2.0, 3.0, 4.0]]
    assert between.opened_at[0] == np.datetime64(hour(1).replace(tzinfo=None), "us")


def test_a_symbol_that_nobody_stored_is_a_row_of_nan(engine: Engine) -> None:
    store(engine, {("BTC/USDT", "1h", hour(0)): 1.0})
    matrix = DatabaseHistory(engine).load_matrix(["NOBODY/USDT", "BTC/USDT"], "1h", hour(0), hour(2))
    np.testing.assert_array_equal(matrix.close, [[NAN, NAN], [1.0, NAN]])


def test_an_empty_window_and_no_symbols_are_empty_matrices(engine: Engine) -> None:
    history = DatabaseHistory(engine)
    for end in (hour(1), hour(0)):
        empty = history.load_matrix(["BTC/USDT"], "1h", hour(1), end)
        assert empty.close.shape == (1, 0)
        assert empty.opened_at.shape == (0,)
    assert history.load_matrix([], "1h", hour(0), hour(3)).close.shape == (0, 3)


def test_a_symbol_asked_for_twice_comes_twice(engine: Engine) -> None:
    store(engine, {("BTC/USDT", "1h", hour(0)): 1.0})
    matrix = DatabaseHistory(engine).load_matrix(["BTC/USDT", "BTC/USDT"], "1h", hour(0), hour(1))
    assert matrix.close.tolist() == [[1.0], [1.0]]


def test_an_unknown_timeframe_is_refused(engine: Engine) -> None:
    with pytest.raises(SettingsError, match="7m"):
        DatabaseHistory(engine).load_matrix(["BTC/USDT"], "7m", hour(0), hour(1))


def test_a_database_that_is_not_there_is_an_error_to_retry() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match="1h"):
        DatabaseHistory(engine).load_matrix(["BTC/USDT"], "1h", hour(0), hour(1))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["Ä/USDT", "B'/USDT"]), st.sampled_from(["5m", "1h"]), st.integers(0, 30)),
        st.floats(min_value=1.5, max_value=1e9),
    )
)
def test_what_is_stored_is_read_to_the_last_bit(engine: Engine, closes: dict[tuple[str, str, int], float]) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE candles"))
    store(engine, {(symbol, timeframe, hour(number)): close for (symbol, timeframe, number), close in closes.items()})
    matrix = DatabaseHistory(engine).load_matrix(["B'/USDT", "Ä/USDT"], "1h", hour(0), hour(31))
    expected = np.full((2, 31), NAN)
    for (symbol, timeframe, number), close in closes.items():
        if timeframe == "1h":
            expected[matrix.row_of(symbol), number] = close
    np.testing.assert_array_equal(matrix.close, expected)
