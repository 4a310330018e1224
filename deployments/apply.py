"""Setting up a Prefect server: pool, queues, blocks, automations and deployments. Safe to run any number of times."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from deployments.automations import PATIENCE, Patience, Told, apply_automations, plan_automations
from deployments.blocks import AlertChannel
from deployments.specification import POOL, QUEUE_PRIORITIES, TAG, PrefectFile, load_prefect_file
from lib.errors import EnvironmentRefused
from lib.notifications.messages import MessageType, Severity
from lib.settings import PROJECT_ROOT, ChannelSettings, Settings

DATABASE_BLOCK = "fks-database"
CHANNEL_BLOCK = "fks-alert-"


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
        await _ensure_pool(client)
        deploying = asyncio.create_task(_deploy(project))
        await _save_database_block(database_url)
        channels = await _save_channel_blocks(client, settings.channels)
        await apply_automations(client, plan_automations(file, _told(settings.channels, channels), ui_url, patience))
        await deploying
        await _delete_retired_deployments(client, file)
    return Applied(tuple(spec.full_name for spec in file.deployments), tuple(sorted(channels)))


async def _ensure_pool(client: PrefectClient) -> None:
    try:
        await client.read_work_pool(POOL)
    except ObjectNotFound:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description="The stack's own worker."))
    for name, priority in QUEUE_PRIORITIES.items():
        try:
            queue = await client.read_work_queue_by_name(name, work_pool_name=POOL)
            if queue.priority != priority:
                await client.update_work_queue(queue.id, priority=priority)
        except ObjectNotFound:
            await client.create_work_queue(name, priority=priority, work_pool_name=POOL)


async def _save_database_block(url: SecretStr) -> None:
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
        )
    )
    await connector.asave(DATABASE_BLOCK, overwrite=True)


async def _save_channel_blocks(client: PrefectClient, channels: Mapping[str, ChannelSettings]) -> dict[str, UUID]:
    """Copy the operator's channels into blocks and delete those of channels that are gone; returns ids by channel."""
    await AlertChannel.aregister_type_and_schema(client=client)
    saved = {}
    for name, channel in channels.items():
        block = AlertChannel(url=channel.url, notify_type="failure")
        saved[name] = await block.asave(CHANNEL_BLOCK + name.lower().replace("_", "-"), overwrite=True)
    for document in await client.read_block_documents_by_type("fks-alert-channel"):
        if document.id not in saved.values():
            await client.delete_block_document(document.id)
    return saved


def _told(channels: Mapping[str, ChannelSettings], blocks: Mapping[str, UUID]) -> Told:
    """Choose the channels for operations; what is urgent and unwanted by all goes to the first one."""
    ordered = sorted(channels, key=lambda name: (channels[name].order, name))

    def wanted(severity: Severity) -> list[UUID]:
        return [
            blocks[name]
            for name in ordered
            if channels[name].min_severity.rank <= severity.rank
            and (not channels[name].types or MessageType.OPERATIONS in channels[name].types)
        ]

    return Told(
        urgent=wanted(Severity.URGENT) or [blocks[name] for name in ordered[:1]], warning=wanted(Severity.WARNING)
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


async def cancel_overdue_runs(now: datetime, overdue: timedelta = timedelta(minutes=1)) -> int:
    """Cancel scheduled runs that fell due while the stack was stopped; returns how many.

    A worker would start all of them at once. Only for a stack whose worker does not run yet.
    """
    async with get_client() as client:
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[TAG]),
                state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled", "Late"])),
                next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=now - overdue),
            )
        )
        late = [run for run in runs if run.auto_scheduled]
        for run in late:
            state: State[None] = Cancelled(message="Fell due while the stack was stopped; the next run does its work.")
            await client.set_flow_run_state(run.id, state, force=True)
    return len(late)
