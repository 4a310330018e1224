"""A small soak, and what holds it to the flows that it stands for."""

from __future__ import annotations

import inspect
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from flows import daily, market, operations, weekly
from lib.settings import ENV_FILE
from tests.soak.chains import CHAINS, Chain
from tests.soak.soak import Plan, run_soak

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 2, 22, 22, 30, tzinfo=UTC)  # a night of every chain follows, and a Monday's morning


def test_a_chain_of_the_soak_has_the_tasks_of_its_flow_and_every_scheduled_flow_is_among_them() -> None:
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    schedules = {
        one["entrypoint"].rpartition(":")[2]: one["schedules"][0].get("interval") or one["schedules"][0]["cron"]
        for one in deployed
        if "schedules" in one
    }
    assert {chain.flow: chain.schedule for chain in CHAINS} == schedules
    for chain in CHAINS:
        room = next(room for room in (market, daily, weekly, operations) if hasattr(room, chain.flow))
        source = inspect.getsource(getattr(room, chain.flow).fn)
        assert [task for task, _ in chain.steps] == re.findall(r"\(tasks\.(\w+)", source), chain.flow


@pytest.mark.parametrize(
    ("schedule", "at", "since", "is_due"),
    [
        (300, "2026-03-02 00:05", "2026-03-02 00:00", True),
        (900, "2026-03-02 00:10", "2026-03-02 00:05", False),
        ("3 * * * *", "2026-03-02 01:05", "2026-03-02 01:00", True),
        ("30 23 * * *", "2026-03-03 00:20", "2026-03-02 23:20", True),
        ("0 8 * * 1", "2026-03-02 08:00", "2026-03-02 07:55", True),
        ("0 8 * * 1", "2026-03-03 08:00", "2026-03-03 07:55", False),
    ],
)
def test_a_chain_is_due_in_the_first_round_from_its_time_on(
    schedule: int | str, at: str, since: str, is_due: bool
) -> None:
    instant, before = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, since))
    assert Chain("any", schedule, ()).is_due(instant, before) is is_due


@pytest.mark.timeout(300)
async def test_after_hours_of_faults_restarts_and_people_everything_is_as_it_must_be(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("FKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(ENV_FILE, "")
    plan = Plan(START, days=9.6 / 24, step=timedelta(hours=2), seed=3)

    log = await run_soak(plan, database_url, tmp_path, show=lambda at, log: None)

    assert log.breaches == []
    assert log.events["candles compared with the exchange's"] > 10_000
    assert all(log.outcomes[task].total() for chain in CHAINS for task, _ in chain.steps)
