"""Delivery between the chains: a pass that leaves messages behind has another one follow when they are due."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException
from prefect.states import Scheduled

from lib.errors import RetryableError
from lib.platform import Platform
from lib.tasks import notifications

DEPLOYMENT = "deliver-notifications/on-demand"  # as in prefect.yaml
CHAIN_EVERY = timedelta(minutes=5)  # what is due later is delivered by the next chain
SLOT_SECONDS = 10
logger = logging.getLogger("lib.flows")


async def schedule_delivery(platform: Platform) -> None:
    """Have `deliver-notifications` run once when messages that wait are next due, unless a chain comes before.

    What goes wrong here is only logged: the next chain delivers all the same.
    """
    try:
        due_at = await notifications.find_next_due(platform)
        if due_at is not None and due_at < platform.clock.now() + CHAIN_EVERY:
            async with get_client() as client:
                await _schedule(client, find_slot(due_at))
    except (httpx.HTTPError, PrefectException, RetryableError) as error:
        logger.warning("Messages wait for the next chain; no run of %s could be scheduled: %s", DEPLOYMENT, error)


def find_slot(due_at: datetime) -> datetime:
    """Return the next full ten seconds: passes that end at once ask for the same run."""
    return datetime.fromtimestamp(math.ceil(due_at.timestamp() / SLOT_SECONDS) * SLOT_SECONDS, UTC)


async def _schedule(client: PrefectClient, slot: datetime) -> None:
    """Schedule one run, unless one that comes no later waits already (or is late: no worker takes more of them)."""
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    waiting = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=slot),
        ),
        limit=1,
    )
    if waiting:
        return
    await client.create_flow_run_from_deployment(
        deployment.id,
        state=Scheduled(scheduled_time=slot),
        idempotency_key=f"deliver-notifications {slot.isoformat()}",
    )
    logger.info("Messages wait; %s runs at %s UTC", DEPLOYMENT, f"{slot:%H:%M:%S}")
