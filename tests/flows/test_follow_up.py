"""Messages that a delivery leaves behind: a run follows when they are due, once, and without a chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.specification import load_prefect_file
from flows import follow_up, on_demand
from flows.market import CRITICAL_PATH_EVERY, SIGNAL_GENERATION_EVERY
from flows.on_demand import deliver_notifications, send_notification
from lib.settings import PROJECT_ROOT
from lib.strategy.signals import SignalOptions
from tests.platforms import World
from tests.runs import execute, id_of, read_run
from tests.webhooks import WebhookServer, run_webhooks

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
STOP = {"type": "stop_loss", "message": "Sell SOL now", "urgent": True}


@pytest.fixture
async def deployment(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeploymentFilter]:
    """The deployment under a name of the test's own, without a worker."""
    name = f"test-{uuid4().hex}"
    monkeypatch.setattr(follow_up, "DEPLOYMENT", f"{deliver_notifications.name}/{name}")
    async with get_client() as client:
        deployment_id = await client.create_deployment(await client.create_flow(deliver_notifications), name)
        yield DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
        await client.delete_deployment(deployment_id)


@pytest.fixture
def phone(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    """The second channel, which did not subscribe to stop losses."""
    with run_webhooks() as server:
        monkeypatch.setenv("FKS_CHANNELS__PHONE__URL", server.url)
        monkeypatch.setenv("FKS_CHANNELS__PHONE__TYPES", json.dumps(["risk"]))
        monkeypatch.setenv("FKS_CHANNELS__PHONE__ORDER", "1")
        yield server


async def scheduled(deployment: DeploymentFilter) -> list[FlowRun]:
    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    async with get_client() as client:
        return await client.read_flow_runs(deployment_filter=deployment, flow_run_filter=waiting)


async def test_an_urgent_message_whose_channel_is_silent_goes_on_two_minutes_later_without_a_chain(
    prefect_world: World, deployment: DeploymentFilter, phone: WebhookServer
) -> None:
    prefect_world.webhooks.answer_next(429, headers={"Retry-After": "600"})
    before = datetime.now(UTC)
    await send_notification(**STOP, return_state=True)

    (run,) = await scheduled(deployment)

    assert run.expected_start_time is not None
    two_minutes = timedelta(minutes=2)
    assert before + two_minutes <= run.expected_start_time <= datetime.now(UTC) + two_minutes + timedelta(seconds=10)
    prefect_world.query("UPDATE notification_deliveries SET created_at = created_at - interval '2 minutes'")
    state = await deliver_notifications(return_state=True)
    assert state.name == "Completed"
    assert ["Sell SOL now" in content for content in phone.contents] == [True]
    # The first channel is due in ten minutes, and a chain comes before: no other run follows.
    assert [each.id for each in await scheduled(deployment)] == [run.id]


async def test_passes_at_once_and_one_after_the_other_ask_for_one_run(
    prefect_world: World, deployment: DeploymentFilter
) -> None:
    prefect_world.webhooks.answer_next(429, headers={"Retry-After": "100"})
    await send_notification("operations", "first", return_state=True)
    await send_notification("operations", "second", return_state=True)
    async with prefect_world.platform() as platform:
        await asyncio.gather(*(follow_up.schedule_delivery(platform) for _ in range(8)))

    assert len(await scheduled(deployment)) == 1


async def test_what_is_left_when_the_time_is_up_is_delivered_by_the_next_run(
    prefect_world: World, deployment: DeploymentFilter
) -> None:
    prefect_world.query(
        "INSERT INTO notifications (type, severity, title, body, deduplication_key, created_at)"
        " SELECT 'risk', 'warning', 'message ' || number, 'text', 'key ' || number, now()"
        " FROM generate_series(1, 40) AS number"
    )
    async with prefect_world.platform() as platform:
        await follow_up.schedule_delivery(platform)
    (run,) = await scheduled(deployment)
    assert run.expected_start_time is not None
    assert run.expected_start_time <= datetime.now(UTC) + timedelta(seconds=10)

    state = await execute(deliver_notifications, run)

    assert state.name == "Completed"
    assert len(prefect_world.webhooks.messages) == 40
    assert "40 delivered" in (await read_run(run.id)).name
    assert await scheduled(deployment) == []


async def test_a_channel_that_is_down_leaves_the_run_partial_and_another_one_follows(
    prefect_world: World, deployment: DeploymentFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_demand, "DELIVERY_SECONDS", 1)
    prefect_world.webhooks.down = True
    prefect_world.query(
        "INSERT INTO notifications (type, severity, title, body, deduplication_key, created_at)"
        " VALUES ('risk', 'warning', 'message', 'text', 'key', now())"
    )

    state = await deliver_notifications(return_state=True)

    assert (state.type, state.name) == ("COMPLETED", "Partial")
    assert "1 waiting, next attempt" in str(state.message)
    assert "failed: send_notifications" in (await read_run(id_of(state))).name
    assert len(await scheduled(deployment)) == 1


async def test_without_the_deployment_the_run_does_its_work_and_warns(
    prefect_world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "DEPLOYMENT", "deliver-notifications/absent")
    prefect_world.webhooks.answer_next(429, headers={"Retry-After": "100"})

    state = await send_notification("operations", "first", return_state=True)

    assert state.name == "Completed"
    assert "no run of deliver-notifications/absent could be scheduled" in caplog.text


def test_what_is_scheduled_is_in_prefect_yaml_as_the_chain_is() -> None:
    file = load_prefect_file(PROJECT_ROOT / "prefect.yaml")
    assert follow_up.DEPLOYMENT in {each.full_name for each in file.deployments}
    assert follow_up.CHAIN_EVERY == CRITICAL_PATH_EVERY


@pytest.mark.parametrize(
    ("due", "slot"), [("12:00:00.000001", "12:00:10"), ("12:00:10", "12:00:10"), ("12:59:59", "13:00:00")]
)
def test_a_slot_is_never_before_what_is_due(due: str, slot: str) -> None:
    found = follow_up.find_slot(datetime.fromisoformat(f"2026-03-02T{due}+00:00"))
    assert found == datetime.fromisoformat(f"2026-03-02T{slot}+00:00")


def test_signals_know_how_often_their_chain_runs() -> None:
    assert SignalOptions().every == SIGNAL_GENERATION_EVERY
