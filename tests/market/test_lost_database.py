"""The database goes away in the middle of a run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deployments import postgres
from lib.adapters.database import migrate
from lib.adapters.database.engine import make_engine
from lib.errors import DatabaseUnavailable, EnvironmentRefused
from lib.market.series import Series
from lib.ports import CandlePage
from tests.market.desks import Desk
from tests.market.exchanges import BTC, BTC_5M, ETH, NOON, DrivenClock, HandExchange, list_candles


@pytest.fixture
def server(session_home: Path) -> Iterator[postgres.Server]:
    """A server of its own, to be stopped and started."""
    folder = session_home / f"lost-{os.getpid()}"
    server = postgres.start(folder / "postgres", durable=False)
    server.ensure_database("fks")
    migrate.upgrade(server.url("fks"))
    yield server
    postgres.stop(folder / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_database_restarted_in_the_middle_ends_the_run_and_the_next_one_carries_on(
    server: postgres.Server,
) -> None:
    clock = DrivenClock()
    desk = Desk(make_engine(server.url("fks")), clock, HandExchange(clock))
    desk.change(history={"5m": timedelta(days=9)}, concurrency=1)

    def restart(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        if len(desk.exchange.asked) == 4:
            postgres.stop(server.data_dir)
            postgres.start(server.data_dir, server.port, durable=False)
        return page

    desk.exchange.bend = restart
    with pytest.raises(DatabaseUnavailable, match="The database went away while storing"):
        await desk.sync(BTC, ETH)
    stored = len(desk.candles(BTC_5M)) + len(desk.candles(Series(ETH, "5m")))
    assert stored % 1000 in (0, 592)
    assert stored > 0
    desk.exchange.bend = None
    result = await desk.sync(BTC, ETH)
    assert result.counts["candles"] == 2 * 2592 - stored
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(days=9), NOON)
    desk.engine.dispose()


FULL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM candles) >= 1000 THEN
        RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'could not extend file: No space left on device';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON candles FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


async def test_a_full_disk_ends_the_run_with_the_remedy_and_the_next_one_carries_on(desk: Desk) -> None:
    desk.execute(FULL)
    desk.change(history={"5m": timedelta(days=9)})
    with pytest.raises(EnvironmentRefused, match=r"The database's disk is full while storing BTC/USDT 5m\. Free space"):
        await desk.sync()
    assert len(desk.candles(BTC_5M)) == desk.status(BTC_5M).candle_count == 1000
    desk.execute("DROP TRIGGER full_disk ON candles")
    assert (await desk.sync()).counts["candles"] == 1592
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(days=9), NOON)


async def test_a_database_that_is_not_there_is_told_as_such(server: postgres.Server) -> None:
    clock = DrivenClock()
    desk = Desk(make_engine(server.url("fks")), clock, HandExchange(clock))
    postgres.stop(server.data_dir)
    with pytest.raises(DatabaseUnavailable):
        await desk.sync()
    assert desk.exchange.asked == []
