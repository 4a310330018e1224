"""The chain while the database restarts or its disk is full, and after it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from pydantic import SecretStr

from deployments import postgres
from deployments.apply import save_database_block
from flows.market import critical_path
from lib.adapters.database import migrate
from tests.platforms import World
from tests.prefect_servers import wait_until
from tests.runs import id_of, read_run, read_task_runs

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
KLINES = "/api/v3/klines"


@pytest.fixture
def own_server(prefect_world: World, session_home: Path) -> Iterator[postgres.Server]:
    """A database server for the flows alone, to be stopped and started."""
    folder = session_home / f"restarted-{os.getpid()}"
    server = postgres.start(folder / "postgres", durable=False)
    server.ensure_database("fks")
    migrate.upgrade(server.url("fks"))
    asyncio.run(save_database_block(SecretStr(server.url("fks"))))
    yield server
    postgres.stop(server.data_dir)
    shutil.rmtree(folder, ignore_errors=True)


async def run_chain() -> State[Any]:
    return await critical_path(return_state=True)


def start_again(server: postgres.Server) -> None:
    postgres.start(server.data_dir, server.port, durable=False)


async def test_a_database_that_restarts_while_candles_are_fetched_costs_a_retry(
    prefect_world: World, own_server: postgres.Server
) -> None:
    control = prefect_world.simulator.control
    control.arm("delay", KLINES, count=0, seconds=1)

    def restart() -> None:
        wait_until("candles are asked for", lambda: control.request("GET", "/faults")["faults"][0]["struck"])
        postgres.stop(own_server.data_dir)
        start_again(own_server)
        control.clear_faults()

    state, _ = await asyncio.gather(run_chain(), asyncio.to_thread(restart))

    assert state.name == "Completed", state.message
    tasks = await read_task_runs(id_of(state))
    assert tasks.pop("sync_market_data").run_count in (2, 3)
    assert [run.run_count for run in tasks.values()] == [1, 1, 1]


async def test_a_chain_that_begins_while_the_database_restarts_waits_for_it(
    prefect_world: World, own_server: postgres.Server, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.stop(own_server.data_dir)

    def start_when_missed() -> None:
        wait_until("the chain has missed it", lambda: "Trying again in 2 s" in caplog.text)
        start_again(own_server)

    state, _ = await asyncio.gather(run_chain(), asyncio.to_thread(start_when_missed))

    assert state.name == "Completed", state.message


@contextmanager
def full_disk(server: postgres.Server, world: World) -> Iterator[None]:
    """Let the disk be full under the (empty) table of candles: its file is the device that takes nothing."""
    [[path]] = world.query("SELECT pg_relation_filepath('candles')")
    file = server.data_dir / "cluster" / path
    aside = file.with_name("aside")
    file.rename(aside)
    file.symlink_to("/dev/full")
    try:
        yield
    finally:
        aside.replace(file)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full: a file on a disk without space")
async def test_a_full_disk_is_named_with_its_remedy_and_the_next_run_carries_on(
    prefect_world: World, migrated_server: postgres.Server
) -> None:
    with full_disk(migrated_server, prefect_world):
        full = await run_chain()
    assert full.type == "FAILED"
    assert "The database's disk is full while storing BTC/USDT" in str(full.message)
    assert "Free space there; the next run carries on" in str(full.message)
    assert "5 positions" in (await read_run(id_of(full))).name
    tasks = await read_task_runs(id_of(full))
    assert (tasks["sync_market_data"].run_count, tasks["check_stop_loss"].state_name) == (1, "Completed")
    assert prefect_world.query("SELECT count(*) FROM candles") == [(0,)]

    state = await run_chain()
    assert state.name == "Completed", state.message
    [[candles]] = prefect_world.query("SELECT count(*) FROM candles")
    assert candles > 1000
