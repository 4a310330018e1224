"""What people see of a run besides its log: its name, and the artifact of its progress."""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from time import monotonic
from uuid import UUID

import httpx
from prefect import get_client, runtime
from prefect.artifacts import (
    acreate_image_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.context import FlowRunContext

from lib.notifications.messages import Attachment

LONGEST_NAME = 200
logger = logging.getLogger("lib.flows")


def name_run() -> str:
    """Name a run that has just begun: its instant (UTC) and "running"; `rename_run` says later what it did."""
    return f"{runtime.flow_run.scheduled_start_time.astimezone(UTC):%H:%M} running"


async def rename_run(what: str) -> None:
    """Name the present run by its instant and what it did, on one line."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    at = runtime.flow_run.scheduled_start_time.astimezone(UTC)
    name = " ".join(f"{at:%H:%M} {what}".split())
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    async with get_client() as client:
        await client.update_flow_run(context.flow_run.id, name=short)


async def show_table(key: str, rows: Sequence[Mapping[str, str | int]]) -> None:
    """Publish rows as a table artifact; nothing when there is none."""
    if rows:
        await acreate_table_artifact([dict(row) for row in rows], key=key)


async def show_picture(key: str, picture: Attachment | None) -> None:
    """Publish a picture as an artifact; it travels within its address, so that no file has to be served.

    Args:
        key: As "allocation demo"; what an artifact's key may not have becomes a dash.
        picture: Nothing is shown of None.
    """
    if picture is None:
        return
    url = f"data:{picture.media_type};base64,{b64encode(picture.content).decode()}"
    await acreate_image_artifact(url, key=re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-"), description=key)


@asynccontextmanager
async def progress_artifact(key: str) -> AsyncIterator[Callable[[int, int, str], None]]:
    """Give ``show(done, total, what)``: a progress artifact of work that takes longer than a second.

    It is made at the first report after that second, updated once a second at most, and brought up to date at the end.
    Work in any thread may call it.
    """
    loop = asyncio.get_running_loop()
    artifact_id: UUID | None = None
    shown_at = monotonic()
    latest = (0, 0, "")
    update: asyncio.Task[None] | None = None

    async def publish() -> None:
        nonlocal artifact_id
        done, total, what = latest
        percent, text = 100 * min(done, total) / max(total, 1), f"{what}: {done:,} of {total:,}"
        try:
            if artifact_id is None:
                artifact_id = await acreate_progress_artifact(percent, key=key, description=text)
            else:
                await aupdate_progress_artifact(artifact_id, percent, description=text)
        except httpx.HTTPError as error:  # what is shown of the work must not fail the work
            logger.warning("The progress artifact %s could not be updated: %s", key, error)

    def show(done: int, total: int, what: str) -> None:
        nonlocal latest, shown_at
        latest = (done, total, what)
        if monotonic() - shown_at >= 1:
            shown_at = monotonic()
            loop.call_soon_threadsafe(begin)

    def begin() -> None:
        nonlocal update
        if update is None or update.done():
            update = loop.create_task(publish())

    try:
        yield show
    finally:
        await asyncio.sleep(0)  # what the last report asked for begins
        if update is not None:
            await update
            await publish()
