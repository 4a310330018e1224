"""update_indicators on a real database: what is stored is what a computation over everything would give."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import CheckConstraint, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from lib.adapters.database.copying import copy_upsert
from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import WANTED_CANDLES
from lib.adapters.database.indicators import LAST, LOAD_MARKS, SINCE, STORED, DatabaseIndicators
from lib.adapters.database.tables.indicators import INDICATOR_STATES, INDICATORS
from lib.adapters.database.tables.market import CANDLES
from lib.errors import AllItemsFailed, DatabaseUnavailable
from lib.indicators import kernels
from lib.indicators.names import COLUMNS
from lib.indicators.refresh import update_indicators
from lib.indicators.result import IndicatorsResult
from lib.market.matrix import FloatMatrix
from lib.results import Status
from tests.indicators.examples import walk

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
BTC, ETH = "BTC/USDT", "ETH/USDT"


class Noon:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC)


class World:
    """Candles of one long walk a symbol, of which some are stored."""

    def __init__(self, engine: Engine, bars: int = 3000) -> None:
        self.engine = engine
        self.high, self.low, self.close = walk(2, bars)

    def put(self, symbol: str, numbers: Collection[int], factor: float = 1.0, timeframe: str = "1h") -> None:
        """Store candles by number, with their prices multiplied."""
        series = (BTC, ETH).index(symbol)
        prices = {n: [m[series, n] * factor for m in (self.high, self.low, self.close)] for n in numbers}
        rows = [
            (symbol, timeframe, START + n * HOUR, close, high, low, close, 1.0, None, None)
            for n, (high, low, close) in prices.items()
        ]
        with self.engine.begin() as connection:
            copy_upsert(connection, CANDLES, rows)

    def refresh(
        self, symbols: Sequence[str] = (BTC,), timeframes: Sequence[str] = ("1h",), keep: int = 300
    ) -> IndicatorsResult:
        store = DatabaseIndicators(self.engine)
        return update_indicators(store=store, clock=Noon(), symbols=symbols, timeframes=timeframes, keep=keep)

    def load(self, symbol: str, columns: Sequence[str] = ("close", *COLUMNS)) -> Mapping[datetime, list[float]]:
        """Return every stored row; null is NaN."""
        query = f"SELECT opened_at, {', '.join(columns)} FROM indicators WHERE symbol = :symbol ORDER BY opened_at"
        with self.engine.connect() as connection:
            rows = connection.execute(text(query), {"symbol": symbol}).all()
        return {at: [np.nan if value is None else value for value in values] for at, *values in rows}

    def compute_all(self, symbol: str) -> dict[datetime, FloatMatrix]:
        """Compute every row from every stored candle."""
        query = "SELECT opened_at, high, low, close FROM candles WHERE symbol = :symbol ORDER BY opened_at"
        with self.engine.connect() as connection:
            rows = connection.execute(text(query), {"symbol": symbol}).all()
        high, low, close = (np.array([[row[place] for row in rows]]) for place in (1, 2, 3))
        table = np.vstack([close, *kernels.standard(high, low, close).values()])
        return {row[0]: table[:, number] for number, row in enumerate(rows)}

    def check(self, symbol: str = BTC, count: int | None = None) -> None:
        """Every stored row is that of a computation over everything."""
        stored, expected = self.load(symbol), self.compute_all(symbol)
        assert count is None or len(stored) == count
        for at, values in stored.items():
            wanted = expected[at]
            # Differences of prices have the rounding of prices.
            np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-13 * wanted[0], err_msg=f"{at}")


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def test_a_new_series_gets_the_rows_of_its_last_candles(world: World) -> None:
    world.put(BTC, range(2500))
    result = world.refresh(keep=300)
    assert result.status is Status.OK
    assert result.counts == {"rows": 300, "series": 1, "indicator series fresh": 0}
    world.check(count=300)
    assert max(world.load(BTC)) == START + 2499 * HOUR


def test_a_new_candle_costs_one_row(world: World) -> None:
    world.put(BTC, range(2000))
    world.refresh()
    world.put(BTC, [2000])
    result = world.refresh()
    assert result.counts["rows"] == 1
    assert [item.detail for item in result.items] == ["1 new"]
    world.check(count=301)


def test_nothing_new_is_skipped_as_fresh(world: World) -> None:
    world.put(BTC, range(400))
    world.refresh()
    result = world.refresh()
    assert result.status is Status.SKIPPED
    assert result.counts == {"rows": 0, "series": 0, "indicator series fresh": 1}


def test_growing_candle_by_candle_equals_computing_it_all_at_once(world: World) -> None:
    for number in range(60):
        world.put(BTC, range(number * 20, number * 20 + 20))
        world.refresh()
    world.check(count=1200)


@pytest.mark.parametrize("number", [1999, 1990, 1750])
def test_a_candle_corrected_afterwards_is_computed_again_from_there(world: World, number: int) -> None:
    world.put(BTC, range(2000))
    world.refresh()
    world.put(BTC, [number], factor=1.01)
    result = world.refresh()
    assert result.status is Status.OK
    assert result.counts["rows"] >= 2000 - number
    world.check(count=300)


def test_a_correction_is_noticed_together_with_a_new_candle(world: World) -> None:
    world.put(BTC, range(2000))
    world.refresh()
    world.put(BTC, [1998], factor=0.99)
    world.put(BTC, [2000])
    world.refresh()
    world.check(count=301)


def test_a_repaired_gap_is_computed_from_there(world: World) -> None:
    world.put(BTC, [number for number in range(2000) if not 1900 <= number < 1910])
    world.refresh()
    world.check(count=300)
    world.put(BTC, range(1900, 1910))
    world.refresh()
    world.check(count=310)


def test_a_long_halt_does_not_shorten_what_the_indicators_see(world: World) -> None:
    world.put(BTC, range(1000))
    world.refresh()
    world.put(BTC, range(2900, 2905))
    world.refresh()
    stored = world.load(BTC, ["sma_200", "rsi_14"])
    assert not np.any(np.isnan(list(stored.values())[-5:]))
    world.check(count=305)


def test_older_history_that_comes_to_a_young_series_counts(world: World) -> None:
    world.put(BTC, range(1500, 1600))
    world.refresh()
    assert np.isnan(world.load(BTC, ["sma_200"])[START + 1599 * HOUR][0])
    world.put(BTC, range(500, 1500))
    world.refresh()
    world.check(count=300)
    world.put(BTC, range(500))
    world.refresh()
    world.check(count=300)


def test_older_history_that_comes_to_an_old_series_changes_nothing(world: World) -> None:
    world.put(BTC, range(1000, 2500))
    world.refresh()
    world.put(BTC, range(1000))
    assert world.refresh().counts == {"rows": 0, "series": 0, "indicator series fresh": 1}
    world.check(count=300)


def test_a_long_absence_is_caught_up_without_a_hole(world: World) -> None:
    world.put(BTC, range(1000))
    world.refresh()
    world.put(BTC, range(1000, 2800))
    assert world.refresh().counts["rows"] == 1800
    world.check(count=2100)


def test_the_cost_of_a_refresh_does_not_grow_with_stored_history(world: World) -> None:
    loaded = []
    for begin in (2000, 0):
        world.put(BTC, range(begin, 2999))
        world.refresh()
        world.refresh()
        store = DatabaseIndicators(world.engine)
        marks = store.load_marks([BTC], "1h")
        loaded.append(store.load_since({BTC: marks[BTC].watched_from}, "1h").close.shape[1])
    assert loaded == [600, 600]


def test_no_query_of_a_refresh_reads_a_whole_table(world: World) -> None:
    for symbol in (BTC, ETH):
        world.put(symbol, range(2999))
    world.refresh([BTC, ETH])
    wanted = {"symbols": [BTC, ETH], "timeframe": "1h", "count": 900, "starts": [START + 2500 * HOUR] * 2}
    window = {**wanted, "start": START + 2500 * HOUR, "end": START + 2600 * HOUR}
    with world.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        for query in (SINCE, LAST, STORED, WANTED_CANDLES):
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {query}", window).scalars())
            assert "Nested Loop" in plan, plan
            assert "Seq Scan" not in plan, plan
        plan = "\n".join(connection.execute(text(f"EXPLAIN {LOAD_MARKS}"), wanted).scalars())
        assert "candles_pkey" in plan, plan


def test_a_series_shorter_than_the_warm_up_is_stored_with_nulls(world: World) -> None:
    world.put(BTC, range(30))
    result = world.refresh()
    assert result.status is Status.OK
    world.check(count=30)
    (row,) = list(world.load(BTC).values())[-1:]
    assert dict(zip(("close", *COLUMNS), np.isnan(row).tolist(), strict=True)) == {
        "close": False,
        "rsi_14": False,
        "macd": False,
        "macd_signal": True,
        "macd_histogram": True,
        "bollinger_lower": False,
        "bollinger_middle": False,
        "bollinger_upper": False,
        "atr_14": False,
        "sma_20": False,
        "sma_50": True,
        "sma_200": True,
        "ema_12": False,
        "ema_26": False,
    }


def test_a_symbol_without_candles_is_skipped_and_says_what_to_do(world: World) -> None:
    world.put(BTC, range(300))
    result = world.refresh(["NOBODY/USDT", BTC], ["1h", "4h"])
    assert result.status is Status.OK
    assert [item.status for item in result.items] == [Status.SKIPPED, Status.OK, Status.SKIPPED, Status.SKIPPED]
    assert "sync_market_data" in result.items[0].detail


def test_the_table_shows_each_timeframe(world: World) -> None:
    world.put(BTC, range(500))
    world.put(ETH, range(400))
    result = world.refresh([BTC, ETH], ["1h", "4h"])
    (table,) = result.render_tables()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["timeframe", "series", "computed", "rows written", "newest candle (UTC)"]
    assert lines[2] == ["1h", "2", "2", "600", f"{START + 399 * HOUR:%Y-%m-%d %H:%M}"]
    assert lines[3] == ["4h", "0", "0", "0", "–"]


def test_one_bad_series_does_not_stop_the_others(world: World) -> None:
    world.put(BTC, range(400))
    world.put(ETH, range(400))
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE indicators ADD CONSTRAINT no_ether CHECK (symbol <> 'ETH/USDT')"))
    result = world.refresh([BTC, ETH])
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["ETH/USDT 1h"]
    world.check(count=300)
    assert world.load(ETH) == {}
    with pytest.raises(AllItemsFailed, match="ETH/USDT 1h"):
        world.refresh([ETH])


def test_extreme_prices_are_stored_as_they_can_be(world: World) -> None:
    world.put(BTC, range(400))
    world.put(BTC, [390], factor=1e98)
    world.put(BTC, [395], factor=1e250)
    assert world.refresh().status is Status.OK
    world.check(count=300)
    assert np.isnan(world.load(BTC, COLUMNS)[START + 395 * HOUR]).all()


def test_killed_before_the_write_is_complete_leaves_nothing_half_written(world: World) -> None:
    world.put(BTC, range(400))
    world.refresh()
    world.put(BTC, range(400, 420))
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE indicator_states ADD CONSTRAINT stop CHECK (computed_to < '2026-01-18')"))
    with pytest.raises(AllItemsFailed):
        world.refresh()
    assert len(world.load(BTC)) == 300
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE indicator_states DROP CONSTRAINT stop"))
    assert world.refresh().counts["rows"] == 20
    world.check(count=320)


def test_two_refreshes_at_once_store_what_one_would(world: World) -> None:
    for symbol in (BTC, ETH):
        world.put(symbol, range(1500))
    with ThreadPoolExecutor(2) as pool:
        orders = ([BTC, ETH], [ETH, BTC])
        results = [job.result() for job in [pool.submit(world.refresh, order) for order in orders]]
    assert all(not result.failed for result in results)
    world.check(BTC, count=300)
    world.check(ETH, count=300)
    assert world.refresh([BTC, ETH]).status is Status.SKIPPED


def test_another_number_of_kept_rows_is_honoured(world: World) -> None:
    world.put(BTC, range(2000))
    world.refresh(keep=100)
    world.refresh(keep=700)
    world.check(count=700)


def test_rows_of_a_window_are_read_back_on_their_bars(world: World) -> None:
    world.put(BTC, [number for number in range(400) if number != 397])
    world.refresh()
    store = DatabaseIndicators(world.engine)
    stored = store.load_stored(["NOBODY/USDT", BTC], "1h", START + 395 * HOUR, START + 400 * HOUR)
    assert np.isnan(stored.close).tolist() == [[True] * 5, [False, False, True, False, False]]
    rows = world.load(BTC, ["ema_12"])
    assert stored.values["ema_12"][1, 4] == rows[START + 399 * HOUR][0]
    assert set(stored.values) == set(COLUMNS)


def test_a_database_that_is_lost_is_an_error_to_retry() -> None:
    store = DatabaseIndicators(make_engine("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailable):
        update_indicators(store=store, clock=Noon(), symbols=[BTC], timeframes=["1h"])


def test_the_migration_makes_the_checks_that_the_tables_declare(world: World) -> None:
    for table in (INDICATORS, INDICATOR_STATES):
        declared = {check.name for check in table.constraints if isinstance(check, CheckConstraint)}
        assert {check["name"] for check in inspect(world.engine).get_check_constraints(table.name)} == declared


def test_a_row_whose_state_is_upside_down_is_refused_by_the_database_itself(world: World) -> None:
    statement = "INSERT INTO indicator_states VALUES ('A', '1h', '2026-01-02', '2026-01-01', NULL, 1)"
    with pytest.raises(DBAPIError, match="in_order"), world.engine.begin() as connection:
        connection.execute(text(statement))


STEPS = st.lists(
    st.tuples(st.sampled_from(["grow", "gap", "correct", "late"]), st.integers(1, 40), st.integers(0, 200)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=st.sampled_from([5, 150, 900]), steps=STEPS)
def test_whatever_happens_to_the_candles_the_rows_are_those_of_everything(
    engine: Engine, begin: int, steps: list[tuple[str, int, int]]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE candles, indicators, indicator_states"))
    world, end = World(engine, 1500), 100 + begin
    world.put(BTC, range(100, end))
    world.refresh()
    for kind, count, back in steps:
        if kind == "grow":
            world.put(BTC, range(end, end + count))
            end += count
        elif kind == "gap":
            end += count
            world.put(BTC, [end])
            end += 1
        elif kind == "correct":
            world.put(BTC, [max(100, end - 1 - back)], factor=1 + count / 100)
        else:
            world.put(BTC, range(max(0, end - back - count), max(1, end - back)))
        if back % 3:
            world.refresh()
    world.refresh()
    world.check()
