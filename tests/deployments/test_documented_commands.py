"""Every command that the documents show is run: here, or by the test that is named here."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.testing.cli import CycloptsCliRunner
from typer.testing import CliRunner

from deployments.cli import app
from flows.market import critical_path
from lib.settings import PROJECT_ROOT
from tests.documents import Command, list_commands
from tests.platforms import World
from tests.prefect_servers import PrefectServer

# What needs a stack, a terminal or minutes of its own, and the test or program that runs it.
ELSEWHERE = {
    "fks up": "tests/deployments/test_local.py",
    "fks stop": "tests/deployments/test_local.py",
    "fks demo": "tests/deployments/test_demo.py",
    "fks simulator": "tests/simulator/test_server.py",
    "fks metrics": "tests/deployments/test_metrics.py",
    "fks server": "tests/end_to_end/test_production.py",
    "fks worker": "tests/end_to_end/test_production.py",
    "fks backup": "tests/deployments/test_backup.py",
    "fks restore": "tests/deployments/test_backup.py",
    "fks migrate": "tests/deployments/test_migrating.py",
    "make run": "tests/deployments/test_local.py",
    "make demo": "tests/deployments/test_demo.py",
    "make test": "Makefile",  # the suite itself
    "make lint": "Makefile",  # a part of `make test`
    "make lock": "Makefile",
    "make .venv/.runtime": "Makefile",  # a part of `make test`
    "make chaos": "tests/execution/chaos.py",
    "make soak": "tests/soak/test_soak.py",
}
# What no test can run where there is no container engine, no internet or no old server; docs/production.md says so.
NEVER_RUN = {
    "docker compose",
    "kubectl apply",
    "kubectl -n",
    "kubectl kustomize",
    "make audit",
    "make dask",
    "pg_restore --no-owner",
}
COMMANDS = list_commands()
APPLY = "fks apply"
WITH_ARGUMENTS = {command.name for command in COMMANDS if not command.is_bare and not command.is_form}
HERE = [
    command
    for command in COMMANDS
    if command.name not in {*ELSEWHERE, *NEVER_RUN}
    and not command.is_form
    and not (command.is_bare and command.name in WITH_ARGUMENTS)  # prose that speaks of it
]
EXPECTED = {"fks status": 3, "fks doctor": 1}  # no stack runs in this home, and they say so


def test_every_documented_command_is_run_by_a_test() -> None:
    run = {command.name for command in HERE} | set(ELSEWHERE) | NEVER_RUN
    left = {command.line for command in COMMANDS if command.name not in run}
    assert not left, "Show them with values too, or name in ELSEWHERE what runs them."
    assert {*ELSEWHERE, *NEVER_RUN} <= {command.name for command in COMMANDS}, "No document shows these any more."
    assert [path for path in ELSEWHERE.values() if not (PROJECT_ROOT / path).exists()] == []


def test_every_make_target_of_the_documents_exists() -> None:
    targets = {".venv/.runtime", *re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)}
    assert {command.arguments[0] for command in COMMANDS if command.program == "make"} <= targets


@pytest.fixture
def applied(
    prefect_world: World, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[World]:
    """A world with a home of its own whose Prefect server has our deployments; they are gone afterwards."""
    monkeypatch.setenv("FKS_HOME", str(tmp_path))
    monkeypatch.setenv("FKS_DATABASE_URL", prefect_world.database_url)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server.env["PREFECT_API_URL"])
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 1, "1h": 300}))
    done = CliRunner().invoke(app, APPLY.split()[1:])
    assert done.exit_code == 0, done.output
    yield prefect_world
    asyncio.run(remove_deployments())


async def fetch_candles() -> None:
    await critical_path(return_state=True)


async def remove_deployments() -> None:
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.delete_deployment(deployment.id)
        for pool in await client.read_work_pools():
            await client.update_work_pool(pool.name, WorkPoolUpdate(is_paused=False))
        for automation in await client.read_automations():
            await client.delete_automation(automation.id)


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(240)
def test_they_end_well(applied: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(fetch_candles())
    failed = {}
    for command in HERE:
        if command.name == APPLY:  # the fixture ran it
            continue
        code, shown = run(command, applied)
        if code != EXPECTED.get(command.name, 0):
            failed[command.line] = f"{code}: {shown}"
    assert not failed, "\n".join(f"{line}: {why}" for line, why in failed.items())


def run(command: Command, world: World) -> tuple[int, str]:
    """Run it in this process, with the addresses of the test's servers in place of the documents'."""
    with pytest.MonkeyPatch.context() as patch:
        if "FKS_EXCHANGE" in command.settings:
            patch.delenv("FKS_EXCHANGE_URL")
        for name, value in command.settings.items():
            if name != "PREFECT_API_URL":
                patch.setenv(name, value.replace("json://127.0.0.1:8099/alerts", world.webhooks.url))
        if command.program == "prefect":
            done = CycloptsCliRunner().invoke(command.arguments)
            return done.exit_code, done.output
        answer = CliRunner().invoke(app, command.arguments)
        return answer.exit_code, f"{answer.output} {answer.exception or ''}"
