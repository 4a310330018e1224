"""A short run of the chaos; the long one is `make chaos`."""

from __future__ import annotations

import pytest

from tests.execution.chaos import Chaos
from tests.execution.plan_chaos import PlanChaos
from tests.simulators import running_simulator


@pytest.mark.timeout(180)
def test_whatever_fails_and_whoever_is_killed_every_order_is_executed_exactly_once(database_url: str) -> None:
    with running_simulator(weight_limit_per_minute=10**6) as simulator:
        chaos = Chaos(simulator, database_url, seed=7, count=30)
        problems = chaos.run(seconds=15)
    assert problems == [], chaos.counts
    assert chaos.counts["killed at random"] + chaos.counts["died at a point"] > 5
    assert sum(chaos.counts[f"attempts {outcome}"] for outcome in ("absent", "not_sent")) > 0


@pytest.mark.timeout(240)
def test_whatever_fails_an_approved_plan_is_carried_out_once_or_stopped_with_a_reason(database_url: str) -> None:
    with running_simulator(weight_limit_per_minute=10**6) as simulator:
        chaos = PlanChaos(simulator, database_url, seed=7, count=6)
        problems = chaos.run(seconds=200)
    assert problems == [], chaos.counts
    assert chaos.counts["died"] > 3
