"""Chains that overlap do the work once; one that is killed leaves nothing half-done, and the next one carries on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from prefect.client.schemas.objects import State

from flows.market import critical_path
from tests.flow_processes import flow_process
from tests.platforms import World, flow_environment
from tests.prefect_servers import PrefectServer, wait_until
from tests.runs import read_run
from tests.simulators import API_KEY, RunningSimulator, running_simulator

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]

TIME, KLINES, FILLS = "/api/v3/time", "/api/v3/klines", "/api/v3/myTrades"
SERIES = 8


@pytest.fixture
def standing(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
    """An exchange whose time stands still: no candle closes while requests are counted."""
    with running_simulator(start_at=datetime.now(UTC)) as simulator:
        monkeypatch.setenv("FKS_EXCHANGE_URL", simulator.url)
        monkeypatch.setenv("FKS_CLOCK_OFFSET_ALERT_MS", "600000")
        yield simulator


async def run_chain() -> State[Any]:
    return await critical_path(return_state=True)


def count_requests(simulator: RunningSimulator, path: str) -> int:
    return int(simulator.control.stats()["by_route"].get(f"GET {path}", 0))


def has_struck(simulator: RunningSimulator) -> bool:
    return any(fault["struck"] for fault in simulator.control.request("GET", "/faults")["faults"])


async def test_two_chains_at_once_fetch_book_and_tell_everything_once(
    prefect_world: World, prefect_server: PrefectServer, standing: RunningSimulator
) -> None:
    def are_both_under_way() -> bool:
        return count_requests(standing, TIME) == 2 and count_requests(standing, KLINES) == SERIES

    with flow_process(flow_environment(prefect_server)) as other:
        with psycopg2.connect(prefect_world.database_url) as gate, gate.cursor() as cursor:
            cursor.execute("LOCK TABLE candles IN EXCLUSIVE MODE")  # who fetched cannot store yet
            other.begin()
            ours = asyncio.create_task(run_chain())
            await asyncio.to_thread(wait_until, "both are under way", are_both_under_way)
        gate.close()
        first = await ours
        assert {first.name, (await read_run(other.finish())).state_name} == {"Completed"}
        assert count_requests(standing, KLINES) == SERIES
        booked = prefect_world.query("SELECT symbol, fill_id FROM fills")
        assert len(booked) == len(set(booked)) == count_trades(standing)

        prefect_world.let_stop_trigger("SOL/USDT", standing)
        other.begin()
        second = await run_chain()
        assert {second.name, (await read_run(other.finish())).state_name} == {"Completed"}
    (told,) = prefect_world.webhooks.contents
    assert "🛑" in told
    assert count_requests(standing, KLINES) == SERIES
    assert prefect_world.query("SELECT symbol, fill_id FROM fills") == booked


def count_trades(simulator: RunningSimulator) -> int:
    """Return how many trades the exchange's own books have."""
    books = simulator.control.request("GET", "/books")
    return len(books["accounts"][API_KEY]["trades"])


async def test_a_chain_killed_in_the_first_backfill_keeps_whole_answers_and_the_next_one_fetches_the_rest(
    prefect_world: World, prefect_server: PrefectServer, standing: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", '{"5m": 20}')
    monkeypatch.setenv("FKS_SIGNAL_TIMEFRAME", "5m")
    monkeypatch.setenv("FKS_EXCHANGE_CONCURRENCY", "2")
    pages, candles = 4 * 6, 4 * 20 * 288
    standing.control.arm("delay", KLINES, count=0, seconds=0.1)
    with flow_process(flow_environment(prefect_server)) as killed:
        killed.begin()
        wait_until("a third is fetched", lambda: count_requests(standing, KLINES) >= pages / 3)
        killed.kill()

    [[stored]] = prefect_world.query("SELECT count(*) FROM candles")
    assert 0 < stored < candles
    series = prefect_world.query(
        "SELECT candle_count, count(*), extract(epoch FROM max(opened_at) - min(opened_at)) / 300 + 1 "
        "FROM sync_status JOIN candles USING (symbol, timeframe) GROUP BY symbol, timeframe, candle_count"
    )
    assert all(noted == there == span for noted, there, span in series)

    standing.control.clear_faults()
    standing.control.reset_usage()
    state = await run_chain()
    assert state.name == "Completed", state.message
    assert prefect_world.query("SELECT count(*) FROM candles") == [(candles,)]
    assert count_requests(standing, KLINES) <= pages - stored // 1000 + 4


async def test_a_chain_killed_while_fills_are_fetched_has_booked_none_and_the_next_one_books_all(
    prefect_world: World, prefect_server: PrefectServer, standing: RunningSimulator
) -> None:
    standing.control.arm("timeout_before", FILLS, count=0)
    with flow_process(flow_environment(prefect_server)) as killed:
        killed.begin()
        wait_until("fills are asked for", lambda: has_struck(standing))
        killed.kill()
    for table in ("fills", "positions", "account_balances"):
        assert prefect_world.query(f"SELECT count(*) FROM {table}") == [(0,)]

    standing.control.clear_faults()
    state = await run_chain()
    assert state.name == "Completed", state.message
    assert prefect_world.query("SELECT count(*) FROM fills") == [(count_trades(standing),)]
