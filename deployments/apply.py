"""Setting up a Prefect server: pool, queues, blocks, automations and deployments. Safe to run any number of times."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from deployments.alerts import choose_channels
from deployments.automations import PATIENCE, Patience, Told, apply_automations, plan_automations
from deployments.blocks import AlertChannel
from deployments.specification import POOL, QUEUES, TAG, PrefectFile, load_prefect_file
from lib.adapters.database.engine import CONNECT_ARGS
from lib.errors import EnvironmentRefused, SettingsError
from lib.notifications.messages import Severity
from lib.settings import PROJECT_ROOT, ChannelSettings, Settings

DATABASE_BLOCK = "fks-database"
CHANNEL_BLOCK = "fks-alert-"
LEFT_BEHIND = ["Scheduled", "Late", "Pending", "Running", "Cancelling"]


@dataclass(frozen=True)
class Applied:
    """What a Prefect server now has, for the summary."""

    deployments: tuple[str, ...]
    channels: tuple[str, ...]


async def apply(
    settings: Settings,
    database_url: SecretStr,
    ui_url: str,
    *,
    patience: Patience = PATIENCE,
    project: Path = PROJECT_ROOT,
) -> Applied:
    """Bring the Prefect server of the present environment to what `prefect.yaml` and the settings say.

    Args:
        settings: For the channels.
        database_url: Of the database that flows use.
        ui_url: For links in alerts.
        patience: When something counts as missing.
        project: Folder of `prefect.yaml` and of the flows.

    Raises:
        SettingsError: `prefect.yaml` is wrong.
        EnvironmentRefused: `prefect deploy` failed; its words are in the message.
    """
    file = load_prefect_file(project / "prefect.yaml")
    async with get_client() as client:
        await ensure_pool(client)
        await save_database_block(database_url)
        channels = await _save_channel_blocks(client, settings.channels)
        told = _told(settings.channels, channels)
        await apply_automations(client, await plan_automations(file, told, ui_url, patience))
        await _deploy(project)
        await _delete_retired_deployments(client, file)
    return Applied(tuple(spec.full_name for spec in file.deployments), tuple(sorted(channels)))


async def ensure_pool(client: PrefectClient) -> None:
    """Make the work pool and its queues what they are to be.

    The pool itself has no limit: one would let other runs take the critical path's place.
    """
    try:
        pool = await client.read_work_pool(POOL)
        if pool.concurrency_limit is not None:
            await client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=None))
    except ObjectNotFound:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description="The stack's own worker."))
    for name, queue in QUEUES.items():
        wanted = {"priority": queue.priority, "concurrency_limit": queue.at_once}
        try:
            present = await client.read_work_queue_by_name(name, work_pool_name=POOL)
            if present.model_dump(include=set(wanted)) != wanted:
                await client.update_work_queue(present.id, **wanted)
        except ObjectNotFound:
            await client.create_work_queue(
                name, priority=queue.priority, concurrency_limit=queue.at_once, work_pool_name=POOL
            )


async def save_database_block(url: SecretStr) -> None:
    """Save the block that flows take their database from."""
    parts = make_url(url.get_secret_value())
    connector = SqlAlchemyConnector(
        connection_info=ConnectionComponents(
            driver="postgresql+psycopg2",
            username=parts.username,
            password=SecretStr(parts.password) if parts.password else None,
            host=parts.host,
            port=parts.port,
            database=parts.database,
            query={key: str(value) for key, value in parts.query.items()} or None,
        ),
        connect_args=CONNECT_ARGS,
    )
    await connector.asave(DATABASE_BLOCK, overwrite=True)


async def _save_channel_blocks(client: PrefectClient, channels: Mapping[str, ChannelSettings]) -> dict[str, UUID]:
    """Copy the operator's channels into blocks and delete those of channels that are gone; returns ids by channel."""
    await AlertChannel.aregister_type_and_schema(client=client)
    saved = {}
    for name, channel in channels.items():
        block = AlertChannel(url=channel.url)
        saved[name] = await block.asave(CHANNEL_BLOCK + name.lower().replace("_", "-"), overwrite=True)
    for document in await client.read_block_documents_by_type("fks-alert-channel"):
        if document.id not in saved.values():
            await client.delete_block_document(document.id)
    return saved


def _told(channels: Mapping[str, ChannelSettings], blocks: Mapping[str, UUID]) -> Told:
    return Told(
        urgent=[blocks[name] for name in choose_channels(channels, Severity.URGENT)],
        warning=[blocks[name] for name in choose_channels(channels, Severity.WARNING)],
    )


async def _deploy(project: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
        cwd=project,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise EnvironmentRefused(f"`prefect deploy --all` failed:\n{output.decode(errors='replace').strip()}")


async def _delete_retired_deployments(client: PrefectClient, file: PrefectFile) -> None:
    """Delete our deployments that left `prefect.yaml`: their schedules would go on."""
    kept = {(spec.flow_name, spec.name) for spec in file.deployments}
    ours = await client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])))
    for deployment in ours:
        flow = await client.read_flow(deployment.flow_id)
        if (flow.name, deployment.name) not in kept:
            await client.delete_deployment(deployment.id)


async def settle_runs(now: datetime) -> Counter[str]:
    """End the runs that a stopped stack left behind; returns how many ended in which state.

    Only for a stack whose worker does not run yet: what is running or pending then has no process any more, and what
    fell due meanwhile would be started all at once.
    """
    settled: Counter[str] = Counter()
    async with get_client() as client:
        left = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[TAG]),
                state=FlowRunFilterState(name=FlowRunFilterStateName(any_=LEFT_BEHIND)),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
            )
        )
        for run in left:
            if state := _plan_end(run):
                await client.set_flow_run_state(run.id, state, force=True)
                settled[state.type.value.lower()] += 1
    return settled


def _plan_end(run: FlowRun) -> State[None] | None:
    if run.state_name == "Running":
        return Crashed(message="The stack stopped while it ran; the next run carries on.")
    if run.state_name in ("Scheduled", "Late") and not run.auto_scheduled:
        return None  # a person asked for it
    if run.state_name == "Pending" and not run.auto_scheduled:  # nobody cancelled it: what wanted it may try again
        return Crashed(message="The stack stopped before it began. Start it again if it is still wanted.")
    return Cancelled(message="Fell due while the stack was stopped; the next run does its work.")


def find_server() -> str:
    """Return where people find the Prefect server that PREFECT_API_URL names: PREFECT_UI_URL, or what follows from it.

    Raises:
        SettingsError: It is not set; Prefect would start a server of its own for a moment and lose everything.
    """
    settings = get_current_settings()
    if settings.api.url is None or settings.ui_url is None:
        raise SettingsError(
            "PREFECT_API_URL is not set. Give the address of the Prefect server, as http://host:4200/api."
        )
    return settings.ui_url.rstrip("/")
