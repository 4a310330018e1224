"""A scheduled run that starts too late for its interval skips itself; whatever a person starts runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from flows.market import CRITICAL_PATH_EVERY, critical_path
from tests.platforms import World
from tests.runs import execute, id_of, read_run, scheduled_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


async def test_a_run_later_than_its_interval_skips_itself_and_says_so(
    prefect_world: World, elsewhere: None, caplog: pytest.LogCaptureFixture
) -> None:
    due_at = minutes_ago(6)
    async with scheduled_run(critical_path, due_at, CRITICAL_PATH_EVERY) as run:
        assert run.auto_scheduled
        state = await execute(critical_path, run)
    assert (state.type, state.name) == ("COMPLETED", "Skipped")
    assert "s late, more than its interval" in str(state.message)
    name = (await read_run(run.id)).name
    assert name.startswith(f"{due_at:%H:%M} skipped: started 36")
    assert prefect_world.simulator.control.stats()["requests"] == 0
    assert state.message in caplog.messages


async def test_a_run_within_its_interval_does_its_work(prefect_world: World) -> None:
    due_at = minutes_ago(4)
    async with scheduled_run(critical_path, due_at, CRITICAL_PATH_EVERY) as run:
        state = await execute(critical_path, run)
    assert (state.type, state.name) == ("COMPLETED", "Completed")
    name = (await read_run(run.id)).name
    assert name.startswith(f"{due_at:%H:%M} ")
    assert "5 positions" in name


async def test_a_run_that_a_person_asked_for_an_hour_ago_does_its_work(prefect_world: World) -> None:
    async with get_client() as client:
        run = await client.create_flow_run(critical_path, state=Scheduled(scheduled_time=minutes_ago(60)))
    state = await execute(critical_path, run)
    assert (state.type, state.name) == ("COMPLETED", "Completed")
    assert id_of(state) == run.id
