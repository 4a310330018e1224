"""A short run of each kind of chaos; the long ones are `make chaos`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import postgres
from tests.databases import TEMPLATE, ensure_migrated, new_database
from tests.execution.chaos import Chaos, restart_killed
from tests.execution.lives import Fray
from tests.execution.plan_chaos import PlanChaos
from tests.execution.ticket_chaos import SYMBOLS, TicketChaos
from tests.simulators import RunningSimulator, running_simulator


@pytest.fixture
def exchange() -> Iterator[RunningSimulator]:
    """A simulator on the machine's clock, as processes need it."""
    with running_simulator(weight_limit_per_minute=10**6) as simulator:
        yield simulator


@pytest.fixture
def mortal_server(session_home: Path, worker_id: str) -> Iterator[postgres.Server]:
    """A server of the database for one test, durable, to be killed."""
    folder = session_home / f"killed-{worker_id}"
    server = postgres.start(folder / "postgres")
    ensure_migrated(server)
    yield server
    postgres.stop(server.data_dir)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(180)
def test_whatever_fails_and_whoever_is_killed_every_order_is_executed_exactly_once(
    exchange: RunningSimulator, database_url: str
) -> None:
    chaos = Chaos(exchange, database_url, seed=7, count=30)
    assert chaos.run(seconds=15) == [], chaos.counts
    assert chaos.counts["killed at random"] + chaos.counts["died at a point"] > 0
    assert chaos.counts["orders filled"] > 15


@pytest.mark.timeout(240)
def test_whatever_fails_an_approved_plan_is_carried_out_once_or_stopped_with_a_reason(
    exchange: RunningSimulator, database_url: str, tmp_path: Path
) -> None:
    fray = Fray(exchange, seed=7, slots=6)
    assert PlanChaos(fray, database_url, 6, tmp_path).run(seconds=200) == [], fray.counts
    assert fray.counts["died"] > 3


@pytest.mark.timeout(400)
def test_whatever_fails_tickets_and_exits_are_sold_once_and_the_ledger_is_the_exchanges_also_without_the_database(
    exchange: RunningSimulator, mortal_server: postgres.Server, tmp_path: Path
) -> None:
    fray = Fray(exchange, 7, len(SYMBOLS), lambda: restart_killed(mortal_server), looks_until_kill=20)
    with new_database(mortal_server, TEMPLATE) as url:
        assert TicketChaos(fray, url, 3, tmp_path).run(seconds=300) == [], fray.counts
    assert fray.counts["database killed"] > 0
    assert sum(count for what, count in fray.counts.items() if what.startswith("tickets to")) >= 3
