"""Keys, tokens and passwords are in nothing that a run leaves behind; what lib logs is in the run's log."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from deployments.apply import save_database_block
from tests.flow_processes import flow_process
from tests.platforms import World, flow_environment
from tests.prefect_servers import PrefectServer
from tests.simulators import API_KEY, API_SECRET
from tests.webhooks import TOKEN

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]

KEY, SECRET = "k3yOfTheMainAccount", "s3cretOfTheMainAccount"


@pytest.fixture
def accounts(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo account with its positions and stops, and a live account with keys that nobody may see."""
    prefect_world.simulator.control.request("POST", "/accounts", api_key=KEY, api_secret=SECRET, balances={"USDT": "9"})
    for name, key, secret in (("DEMO", API_KEY, API_SECRET), ("MAIN", KEY, SECRET)):
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__KIND", "live")
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_KEY", key)
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_SECRET", secret)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_LOSS_PCT", "8")


def read_everything(server: PrefectServer, run_id: UUID) -> dict[str, Any]:
    """Return all that the server has of a run, as it gives it out."""

    def ask(path: str, **body: Any) -> Any:
        return httpx.post(f"{server.ui_url}/api{path}", json=body).raise_for_status().json()

    this_run = {"flow_run_id": {"any_": [str(run_id)]}}
    task_runs = ask("/task_runs/filter", flow_runs={"id": {"any_": [str(run_id)]}})
    states = [
        httpx.get(f"{server.ui_url}/api/{kind}_run_states/", params={f"{kind}_run_id": one}).raise_for_status().json()
        for kind, one in [("flow", str(run_id)), *(("task", run["id"]) for run in task_runs)]
    ]
    return {
        "run": httpx.get(f"{server.ui_url}/api/flow_runs/{run_id}").raise_for_status().json(),
        "task_runs": task_runs,
        "states": states,
        "logs": ask("/logs/filter", logs=this_run),
        "artifacts": ask("/artifacts/filter", artifacts=this_run),
        "events": ask("/events/filter", filter={"any_resource": {"id": [f"prefect.flow-run.{run_id}"]}}),
    }


@pytest.mark.usefixtures("accounts")
def test_a_runs_log_has_what_lib_says_and_nothing_secret_is_anywhere(
    prefect_world: World, prefect_server: PrefectServer
) -> None:
    with flow_process(flow_environment(prefect_server)) as flows:
        well = flows.run(FKS_LOG_LEVEL="DEBUG", PREFECT_LOGGING_LEVEL="DEBUG")
        refuse_everything(prefect_world)
        refused = flows.run(FKS_LOG_LEVEL="WARNING")
        asyncio.run(
            save_database_block(SecretStr(make_url(prefect_world.database_url).set(port=1).render_as_string(False)))
        )
        lost = flows.run()
        stderr = flows.end()
    runs = [read_everything(prefect_server, run_id) for run_id in (well, refused, lost)]

    assert [run["run"]["state"]["name"] for run in runs] == ["Completed", "Failed", "Failed"]
    said = [[(line["name"], line["level"], line["message"]) for line in run["logs"]] for run in runs]
    assert ("lib.flows", logging.INFO, "check_stop_loss: ok: 5 watched") in said[0]
    assert [level for name, level, _ in said[1] if name.startswith("lib") and level < logging.WARNING] == []
    assert any(name == "lib.notifications.sending" and "Stop loss triggered" in text for name, _, text in said[1])
    assert any(name == "lib.flows" and "The database went away" in text for name, _, text in said[2])
    everything = stderr + json.dumps(runs, ensure_ascii=False)
    for secret in (KEY, SECRET, TOKEN, str(make_url(prefect_world.database_url).password)):
        assert secret not in everything


def refuse_everything(world: World) -> None:
    """A stop is triggered, the channel is busy, candles are garbage, the key is refused."""
    world.query("TRUNCATE candles, sync_status, candle_gaps")
    control = world.simulator.control
    world.let_stop_trigger("SOL/USDT")
    control.arm("body", "/api/v3/klines", count=0, variant="html")
    control.arm("status", "/api/v3/account", count=0, status=401, code=-2015)
    world.webhooks.answer_next(429, headers={"Retry-After": "99"}, body={"message": f"Too fast: {TOKEN}"})
