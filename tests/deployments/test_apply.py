"""Setting up a real Prefect server, and what its automations and scheduler then do by themselves."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from rich.console import Console

from deployments import halting
from deployments.display import Display
from deployments.specification import DEAD_MANS_SWITCH
from tests.prefect_servers import PrefectServer, wait_until
from tests.webhooks import WebhookServer, run_webhooks

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("apply"), pytest.mark.timeout(180)]

FLOWS = '''
import time
from prefect import flow

@flow
def quick(broken: bool = False):
    """Do nothing, or fail."""
    if broken:
        raise ValueError("no candles")

@flow
def broken():
    """Fail."""
    raise ValueError("no candles")

@flow
def occupying():
    """Run until its worker ends."""
    time.sleep(600)

@flow
def urgent():
    """Do nothing, at once."""

@flow
def endless():
    """Run until somebody ends it."""
    time.sleep(600)
'''
PREFECT_YAML = """
deployments:
  - name: every-20-seconds
    entrypoint: flows/chain.py:quick
    description: A chain that comes three times a minute.
    tags: [fks, test]
    schedules:
      - {interval: 20, anchor_date: "2026-01-01T00:00:00+00:00", timezone: UTC}
    work_pool: {name: fks, work_queue_name: critical}
  - name: occupy-default
    entrypoint: flows/chain.py:occupying
    description: Takes a place for long.
    tags: [fks, test]
    work_pool: {name: fks, work_queue_name: default}
  - name: occupy-research
    entrypoint: flows/chain.py:occupying
    description: Takes a place for long.
    tags: [fks, test]
    work_pool: {name: fks, work_queue_name: research}
  - name: at-once
    entrypoint: flows/chain.py:urgent
    description: What must not wait.
    tags: [fks, test]
    work_pool: {name: fks, work_queue_name: critical}
"""
APPLY = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from pydantic import SecretStr
from deployments.apply import apply
from deployments.automations import Patience
from lib.settings import load_settings
completion, heartbeat, repetition = timedelta(seconds=float(sys.argv[2])), timedelta(seconds=12), timedelta(seconds=20)
patience = Patience(completion, heartbeat, repetition, timedelta(seconds=45), *[timedelta(seconds=12)] * 3)
url = SecretStr("postgresql://fks:p%40ss%2Fword@127.0.0.1:5432/fks?application_name=fks")
print(asyncio.run(apply(load_settings(), url, "http://ui", patience=patience, project=Path(sys.argv[1]))))
"""


@pytest.fixture(scope="session")
def channel() -> Iterator[WebhookServer]:
    with run_webhooks() as server:
        yield server


@pytest.fixture(scope="session")
def project(session_home: Path) -> Path:
    """A project with one scheduled chain, and flows that are run by hand."""
    folder = session_home / "project"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "__init__.py").touch()
    (folder / "flows" / "chain.py").write_text(FLOWS)
    (folder / "prefect.yaml").write_text(PREFECT_YAML)
    return folder


@pytest.fixture(scope="session")
def applied(prefect_server: PrefectServer, project: Path, channel: WebhookServer) -> PrefectServer:
    """The server, set up for the project with one alert channel, and a dead man's switch of 12 seconds."""
    prefect_server.env["FKS_CHANNELS__TEAM__URL"] = channel.url
    prefect_server.run_python(APPLY, str(project), "12")
    return prefect_server


def ask(server: PrefectServer, path: str, **body: Any) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = httpx.post(f"{server.ui_url}/api{path}", json=body).raise_for_status().json()
    return answer


def run_flow(project: Path, name: str) -> list[str]:
    source = f"import sys; sys.path.insert(0, {str(project)!r}); from flows.chain import {name}; {name}()"
    return [sys.executable, "-c", source]


def runs_of(server: PrefectServer, flow: str) -> list[dict[str, Any]]:
    return ask(server, "/flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="START_TIME_DESC")


def test_the_scheduler_creates_runs_and_a_worker_completes_one_at_its_instant(applied: PrefectServer) -> None:
    began_at = datetime.now(UTC)

    def punctual() -> list[dict[str, Any]]:
        """Return completed runs that the scheduler made, and that fell due after the worker was started."""
        scheduled = [run for run in runs_of(applied, "quick") if run["auto_scheduled"] and due_at(run) > began_at]
        return [run for run in scheduled if run["state_type"] == "COMPLETED"]

    with applied.worker("scheduled"):
        wait_until("a scheduled run has completed", punctual, 150)
    (run, *_) = punctual()
    late = datetime.fromisoformat(run["start_time"]) - due_at(run)
    assert timedelta(seconds=-1) < late < timedelta(seconds=10)  # Prefect begins some milliseconds early
    assert due_at(run).astimezone(UTC).second in (0, 20, 40)
    is_expected = expected_by(applied, "fks: quick/every-20-seconds has stopped")
    wait_until("its end is an event", lambda: completions_of(applied, run["id"]))
    (event,) = completions_of(applied, run["id"])
    assert is_expected(event)
    role = "prefect.resource.role"
    others = [
        one | {"prefect.resource.name": "by-hand"} if one[role] == "deployment" else one for one in event["related"]
    ]
    assert not is_expected(event | {"related": others})


def expected_by(server: PrefectServer, automation: str) -> Callable[[dict[str, Any]], bool]:
    """Return what the server itself asks of an event before the automation takes it for a completed run."""
    (found,) = ask(server, "/automations/filter", automations={"name": {"any_": [automation]}})
    trigger = EventTrigger.model_validate(found["trigger"])
    return lambda event: trigger.covers(ReceivedEvent.model_validate(event))


def completions_of(server: PrefectServer, run_id: str) -> list[dict[str, Any]]:
    wanted = {"event": {"name": ["prefect.flow-run.Completed"]}, "resource": {"id": [f"prefect.flow-run.{run_id}"]}}
    answer = httpx.post(f"{server.ui_url}/api/events/filter", json={"filter": wanted}).raise_for_status().json()
    found: list[dict[str, Any]] = answer["events"]
    return found


def due_at(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["expected_start_time"])


def test_people_are_told_by_the_server_itself_when_a_chain_does_not_complete_and_once_when_it_does_again(
    applied: PrefectServer, project: Path, channel: WebhookServer
) -> None:
    already = len(channel.messages)

    def told() -> list[str]:
        return [text for text in channel.contents[already:] if "quick has stopped" in text]

    wait_until("the alert is there", told)
    assert "No run of quick/every-20-seconds completed in the last 0.2 minutes" in told()[0]
    assert "A chain that comes three times a minute." in told()[0]
    assert "`fks up`" in told()[0]
    assert "http://ui/runs" in told()[0]
    trace = {"event": {"name": ["prefect.automation.triggered"]}, "resource": {"labels": {}}}

    def traced() -> set[str]:
        answer = httpx.post(f"{applied.ui_url}/api/events/filter", json={"filter": trace}).raise_for_status().json()
        return {event["resource"]["prefect.resource.name"] for event in answer["events"]}

    wait_until("the firing is an event", lambda: "fks: quick/every-20-seconds has stopped" in traced())
    recovered = count(channel, "quick works again")
    run_quick(applied, project, False, False)
    wait_until("its return is told", lambda: count(channel, "quick works again") > recovered)
    newest = next(text for text in reversed(channel.contents) if "quick works again" in text)
    assert "What to do: nothing; this is the all-clear." in newest
    assert "http://ui/runs/flow-run/" in newest
    assert count(channel, "quick works again") == recovered + 1


def run_quick(applied: PrefectServer, project: Path, *broken: bool) -> None:
    """Let the chain run, one run directly after the other."""
    source = f"""
import sys
sys.path.insert(0, {str(project)!r})
from flows.chain import quick
for broken in {broken}:
    quick(broken, return_state=True)
"""
    applied.run_python(source)


def count(channel: WebhookServer, words: str) -> int:
    return sum(words in text for text in channel.contents)


def test_a_failed_run_is_reported_with_its_error(applied: PrefectServer, project: Path, channel: WebhookServer) -> None:
    subprocess.run(run_flow(project, "broken"), env=applied.env, check=False, capture_output=True)
    wait_until("the alert is there", lambda: [text for text in channel.contents if "broken: Failed" in text])
    (text, *_) = [text for text in channel.contents if "broken: Failed" in text]
    assert "no candles" in text
    assert f"http://ui/runs/flow-run/{runs_of(applied, 'broken')[0]['id']}" in text


def test_a_chain_that_goes_on_failing_is_told_once_in_a_while_and_its_recovery_once(
    applied: PrefectServer, project: Path, channel: WebhookServer
) -> None:
    before = {words: count(channel, words) for words in ("quick: Failed", "quick works again")}

    def told(words: str) -> int:
        return count(channel, words) - before[words]

    run_quick(applied, project, True, True)
    wait_until("the first failure is told", lambda: told("quick: Failed"))
    applied.run_python(APPLY, str(project), "12")  # as the next `fks up` does: it forgets nothing
    run_quick(applied, project, False, False)
    wait_until("the recovery is told", lambda: told("quick works again"))
    assert told("quick: Failed") == 1
    assert told("quick works again") == 1
    first = next(text for text in channel.contents if "quick: Failed" in text)
    assert "no candles" in first
    assert "told every 0.333333 minutes, and once when it works again" in first

    def is_told_again() -> bool:
        run_quick(applied, project, True)
        return told("quick: Failed") == 2

    wait_until("a later failure is told again", is_told_again)
    run_quick(applied, project, False)
    wait_until("its end too", lambda: told("quick works again") == 2)


def test_a_killed_run_is_marked_as_crashed_and_reported(
    applied: PrefectServer, project: Path, channel: WebhookServer
) -> None:
    process = subprocess.Popen(run_flow(project, "endless"), env=applied.env, stderr=subprocess.DEVNULL)
    try:
        wait_until("a heartbeat is there", lambda: heartbeats_of(applied, "endless"))
    finally:
        process.kill()
        process.wait()
    wait_until("the run is crashed", lambda: runs_of(applied, "endless")[0]["state_type"] == "CRASHED")
    assert "No heartbeat for 12 seconds" in runs_of(applied, "endless")[0]["state"]["message"]
    wait_until("the alert is there", lambda: [text for text in channel.contents if "endless: Crashed" in text])


def heartbeats_of(server: PrefectServer, flow: str) -> list[dict[str, Any]]:
    runs = [f"prefect.flow-run.{run['id']}" for run in runs_of(server, flow)]
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": runs}}
    answer = httpx.post(f"{server.ui_url}/api/events/filter", json={"filter": wanted}).raise_for_status().json()
    return answer["events"] if runs else []


def start_runs(server: PrefectServer, deployment: str, count: int) -> list[str]:
    (found,) = ask(server, "/deployments/filter", deployments={"name": {"any_": [deployment]}})
    return [server.api.start_run(found["id"]) for _ in range(count)]


def states_of(server: PrefectServer, run_ids: Sequence[str]) -> list[str]:
    found = ask(server, "/flow_runs/filter", flow_runs={"id": {"any_": list(run_ids)}})
    return sorted(run["state_type"] for run in found)


def test_people_are_told_of_a_pool_without_worker_a_run_that_nobody_takes_and_a_halt_that_lasts(
    applied: PrefectServer, channel: WebhookServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", applied.env["PREFECT_API_URL"])
    display = Display(Console(file=io.StringIO()))
    with applied.worker("watched"):
        wait_until("the pool is ready", lambda: pool_state(applied) == "READY")
    already = len(channel.contents)
    (run_id,) = start_runs(applied, "occupy-default", 1)
    halting.halt(tmp_path, "prices look wrong", "anna", display)
    try:
        for words in ("⚠️ No worker", "⚠️ Trading is still HALTED", f"http://ui/runs/flow-run/{run_id}"):
            wait_until(words, partial(told_since, channel, already, words), 90)
    finally:
        halting.release(tmp_path, "anna", display)
        httpx.delete(f"{applied.ui_url}/api/flow_runs/{run_id}").raise_for_status()
    (waits,) = told_since(channel, already, run_id)
    assert "occupying waits" in waits
    assert "has been due for 0.2 minutes and has not begun" in waits
    already = len(channel.contents)
    with applied.worker("back"):
        wait_until("its return is told", partial(told_since, channel, already, "✅ A worker is back"))


def told_since(channel: WebhookServer, already: int, words: str) -> list[str]:
    return [text for text in channel.contents[already:] if words in text]


def pool_state(server: PrefectServer) -> str:
    (pool,) = ask(server, "/work_pools/filter")
    return str(pool["status"])


def test_what_stop_losses_depend_on_begins_at_once_however_many_long_runs_there_are(applied: PrefectServer) -> None:
    default = start_runs(applied, "occupy-default", 4)
    research = start_runs(applied, "occupy-research", 3)
    with applied.worker("occupied"):
        wait_until("long runs have all places", lambda: states_of(applied, default + research).count("RUNNING") == 3)
        urgent = start_runs(applied, "at-once", 1)
        wait_until("the urgent run is over", lambda: states_of(applied, urgent) == ["COMPLETED"], 30)
        assert states_of(applied, default) == ["RUNNING"] * 2 + ["SCHEDULED"] * 2
        assert states_of(applied, research) == ["RUNNING"] + ["SCHEDULED"] * 2
    for run_id in default + research:
        httpx.delete(f"{applied.ui_url}/api/flow_runs/{run_id}").raise_for_status()


def test_a_run_that_its_worker_never_began_gives_its_place_back(applied: PrefectServer) -> None:
    (run_id,) = start_runs(applied, "occupy-research", 1)
    forced = {"state": {"type": "PENDING", "name": "Pending"}, "force": True}
    httpx.post(f"{applied.ui_url}/api/flow_runs/{run_id}/set_state", json=forced).raise_for_status()
    wait_until("the run is crashed", lambda: states_of(applied, [run_id]) == ["CRASHED"], 90)
    assert (
        "had not begun after 45 seconds"
        in ask(applied, "/flow_runs/filter", flow_runs={"id": {"any_": [run_id]}})[0]["state"]["message"]
    )


def test_applying_again_changes_nothing_and_what_is_retired_goes(
    applied: PrefectServer, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(path: str, **body: Any) -> list[str]:
        return sorted(item["name"] for item in ask(applied, path, **body))

    def everything() -> dict[str, list[str]]:
        blocks = {"block_documents": {"is_anonymous": {"eq_": False}}, "include_secrets": True}
        return {
            "pool": [str(pool["concurrency_limit"]) for pool in ask(applied, "/work_pools/filter")],
            "queues": [
                f"{q['name']}:{q['priority']}:{q['concurrency_limit']}"
                for q in ask(applied, "/work_pools/fks/queues/filter")
            ],
            "deployments": names("/deployments/filter"),
            "automations": names("/automations/filter"),
            "enabled": [str(item["enabled"]) for item in ask(applied, "/automations/filter")],
            "blocks": names("/block_documents/filter", **blocks),
        }

    before = everything()
    assert sorted(before["queues"]) == ["critical:1:None", "default:5:2", "research:10:1"]
    assert before["pool"] == ["None"]
    assert before["deployments"] == ["at-once", "every-20-seconds", "occupy-default", "occupy-research"]
    assert before["automations"] == [
        "fks: a chain has failed",
        "fks: a run has died",
        "fks: a run has failed",
        "fks: a run has not begun",
        "fks: a run waits",
        "fks: quick works again",
        "fks: quick/every-20-seconds has stopped",
        "fks: the work pool has a worker again",
        "fks: the work pool has no worker",
        "fks: trading is still halted",
    ]
    assert before["blocks"] == ["fks-alert-team", "fks-database"]

    assert before["enabled"] == ["True"] * 10

    limited = {"concurrency_limit": 1}  # by a person, in the UI
    (critical,) = [q for q in ask(applied, "/work_pools/fks/queues/filter") if q["name"] == "critical"]
    httpx.patch(f"{applied.ui_url}/api/work_pools/fks", json=limited).raise_for_status()
    httpx.patch(f"{applied.ui_url}/api/work_queues/{critical['id']}", json=limited).raise_for_status()
    assert "critical:1:1" in everything()["queues"]
    applied.api.disable_automations(DEAD_MANS_SWITCH)  # as an orderly stop does
    assert "False" in everything()["enabled"]
    second = tmp_path / "second"
    shutil.copytree(project, second)
    (second / "prefect.yaml").write_text(PREFECT_YAML.replace("every-20-seconds", "renamed"))
    applied.run_python(APPLY, str(second), "12")
    renamed = [name.replace("every-20-seconds", "renamed") for name in before["automations"]]
    deployments = ["at-once", "occupy-default", "occupy-research", "renamed"]
    assert everything() == before | {"deployments": deployments, "automations": renamed}

    monkeypatch.delitem(applied.env, "FKS_CHANNELS__TEAM__URL")
    applied.run_python(APPLY, str(project), "12")
    assert everything() == before | {"blocks": ["fks-database"]}
    monkeypatch.undo()
    applied.run_python(APPLY, str(project), "12")
    assert everything() == before


def test_the_database_block_keeps_the_password_secret_and_carries_the_whole_url(applied: PrefectServer) -> None:
    (block,) = ask(applied, "/block_documents/filter", block_documents={"name": {"any_": ["fks-database"]}})
    assert "p@ss" not in str(block)
    load = "from prefect_sqlalchemy import SqlAlchemyConnector as C; print(C.load('fks-database')._rendered_url"
    url = applied.run_python(f"{load}.render_as_string(hide_password=False))")
    assert url.strip() == "postgresql+psycopg2://fks:p%40ss%2Fword@127.0.0.1:5432/fks?application_name=fks"


def test_runs_that_a_stopped_stack_left_are_ended_by_what_became_of_them(applied: PrefectServer) -> None:
    (deployment,) = ask(applied, "/deployments/filter", deployments={"name": {"any_": ["every-20-seconds"]}})

    def leave(state: str) -> str:
        made: dict[str, Any] = httpx.post(
            f"{applied.ui_url}/api/deployments/{deployment['id']}/create_flow_run", json={}
        ).json()
        forced = {"state": {"type": state}, "force": True}
        httpx.post(f"{applied.ui_url}/api/flow_runs/{made['id']}/set_state", json=forced).raise_for_status()
        return str(made["id"])

    left = {state: leave(state) for state in ("RUNNING", "PENDING", "SCHEDULED", "PAUSED", "COMPLETED")}
    applied.run_python(
        "import asyncio; from datetime import UTC, datetime; from deployments.apply import settle_runs;"
        "asyncio.run(settle_runs(datetime.now(UTC)))"
    )
    after = {
        run["id"]: run["state_type"]
        for run in ask(applied, "/flow_runs/filter", flow_runs={"id": {"any_": [*left.values()]}})
    }
    assert {state: after[run_id] for state, run_id in left.items()} == {
        "RUNNING": "CRASHED",
        "PENDING": "CRASHED",  # nobody cancelled it: who wanted it may try again
        "SCHEDULED": "SCHEDULED",  # a person asked for it, and it waits for a worker
        "PAUSED": "PAUSED",  # it waits for a person
        "COMPLETED": "COMPLETED",
    }
    httpx.delete(f"{applied.ui_url}/api/flow_runs/{left['SCHEDULED']}").raise_for_status()
