"""The Prefect server, started as the stack starts it, forgets what is old and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import Engine, text

from deployments import environment, postgres
from deployments.addresses import Addresses
from lib.adapters.database.engine import make_engine
from tests.prefect_servers import PrefectServer, wait_until
from tests.runs import id_of, send_pending

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack")]
KEPT = timedelta(days=environment.HISTORY_DAYS)


@flow(name="leaves-an-artifact")
async def leave_artifact() -> None:
    await acreate_markdown_artifact("text", key="of-a-retention-test")


@pytest.fixture
def prefect_database(database_server: postgres.Server) -> Iterator[Engine]:
    engine = make_engine(database_server.url(f"prefect_{os.getpid()}"))
    yield engine
    engine.dispose()


def read(engine: Engine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        result = connection.execute(text(query), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def test_ended_runs_go_with_their_artifacts_after_their_time_and_events_after_theirs(
    prefect_server: PrefectServer, prefect_database: Engine
) -> None:
    ids = {}
    heartbeat, other = "prefect.flow-run.heartbeat", f"fks.test.{uuid4().hex}"
    with temporary_settings({PREFECT_API_URL: prefect_server.env["PREFECT_API_URL"]}):
        for name, age in (("old", KEPT + timedelta(hours=1)), ("young", KEPT - timedelta(hours=1))):
            ids[name] = id_of(await leave_artifact(return_state=True))
            await send_pending()
            ended = {"id": ids[name], "at": datetime.now(UTC) - age}
            read(prefect_database, "UPDATE flow_run SET end_time = :at WHERE id = :id", **ended)
        async with get_client() as client:
            for days in (0.5, 2, 8):
                occurred = (datetime.now(UTC) - timedelta(days=days)).isoformat()
                told = [
                    {
                        "id": str(uuid4()),
                        "occurred": occurred,
                        "event": event,
                        "resource": {"prefect.resource.id": other},
                    }
                    for event in (heartbeat, other)
                ]
                await client.request("POST", "/events", json=told)

    def ages() -> list[tuple[Any, ...]]:
        query = (
            "SELECT event, round(extract(epoch FROM now() - occurred) / 86400, 1)::float FROM events "
            "WHERE resource_id = :id ORDER BY 1, 2"
        )
        return read(prefect_database, query, id=other)

    wait_until("old events are forgotten", lambda: ages() == [(other, 0.5), (other, 2.0), (heartbeat, 0.5)], 40)
    wait_until(
        "the old run is forgotten",
        lambda: not read(prefect_database, "SELECT 1 FROM flow_run WHERE id = :id", id=ids["old"]),
        40,
    )
    wait_until(
        "its artifact is forgotten",
        lambda: not read(prefect_database, "SELECT 1 FROM artifact WHERE flow_run_id = :id", id=ids["old"]),
    )
    assert read(prefect_database, "SELECT count(*) FROM artifact WHERE flow_run_id = :id", id=ids["young"]) == [(1,)]


def test_a_worker_writes_no_results_whatever_its_machine_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true")
    base = environment.base_environment(tmp_path, Addresses(prefect_port=1, simulator_port=None))
    assert environment.worker_environment(base)["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
