"""The critical path as `prefect.yaml` deploys it, made by the server's scheduler and completed by a real worker."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client

from deployments.apply import ensure_pool
from deployments.first_run import FIRST
from deployments.specification import POOL
from lib.settings import PROJECT_ROOT
from tests.platforms import World, flow_environment
from tests.prefect_servers import PREFECT, PrefectServer, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]

SECONDS = 20
NAME = "real-chain"


@pytest.fixture
def deployment(prefect_world: World, prefect_server: PrefectServer, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The real deployment with one change: it comes every 20 seconds."""
    asyncio.run(make_pool())
    file = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text())
    name = FIRST.partition("/")[2]
    (schedule,) = next(one["schedules"] for one in file["deployments"] if one["name"] == name)
    schedule["interval"] = SECONDS
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(file))
    command = [*PREFECT, "--no-prompt", "deploy", "--prefect-file", str(tmp_path / "prefect.yaml"), "-n", FIRST]
    done = subprocess.run(
        command, env=prefect_server.env, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = httpx.get(f"{prefect_server.ui_url}/api/deployments/name/{FIRST}").raise_for_status().json()
    yield made
    httpx.delete(f"{prefect_server.ui_url}/api/deployments/{made['id']}").raise_for_status()


async def make_pool() -> None:
    async with get_client() as client:
        await ensure_pool(client)


def test_a_run_that_the_scheduler_made_completes_on_the_real_flow_without_a_hand_on_it(
    prefect_world: World, prefect_server: PrefectServer, deployment: dict[str, Any]
) -> None:
    assert deployment["entrypoint"] == "flows/market.py:critical_path"

    def is_polling() -> bool:
        answer = httpx.post(f"{prefect_server.ui_url}/api/work_pools/{POOL}/workers/filter", json={}).raise_for_status()
        return any(worker["name"] == NAME and worker["status"] == "ONLINE" for worker in answer.json())

    def completed() -> list[dict[str, Any]]:
        body = {
            "deployments": {"id": {"any_": [deployment["id"]]}},
            "flow_runs": {
                "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}},
                "expected_start_time": {"after_": polling_at.isoformat()},  # earlier ones waited for the worker
            },
            "sort": "END_TIME_DESC",
        }
        answer = httpx.post(f"{prefect_server.ui_url}/api/flow_runs/filter", json=body).raise_for_status()
        runs: list[dict[str, Any]] = answer.json()
        return runs

    with prefect_server.worker(NAME, flow_environment(prefect_server)) as worker:
        wait_until("the worker polls", is_polling)
        polling_at = datetime.now(UTC)
        wait_until("a scheduled run is over", completed, 90)
    (*_, run) = completed()
    assert run["state_name"] == "Completed", f"{run['state']['message']}\n{worker.log.read_text()}"
    assert run["auto_scheduled"] is True
    due_at = datetime.fromisoformat(run["expected_start_time"]).astimezone(UTC)
    assert (due_at - datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)) % timedelta(seconds=SECONDS) == timedelta(0)
    assert datetime.fromisoformat(run["start_time"]) - due_at < timedelta(seconds=15)
    [[candles]] = prefect_world.query("SELECT count(*) FROM candles")
    [[watched]] = prefect_world.query("SELECT count(*) FROM positions WHERE stop_loss IS NOT NULL")
    assert candles > 1000
    assert watched == 5
