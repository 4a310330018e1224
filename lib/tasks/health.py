"""The platform's health: `check_health`."""

from __future__ import annotations

import asyncio

from lib.health import checking
from lib.health.checking import HealthResult, ReadServer
from lib.platform import Platform
from lib.tasks.watched import watched_of


async def check_health(platform: Platform, read_server: ReadServer) -> HealthResult:
    """Gather the platform's figures, and record messages about what is out of bounds and what is no longer.

    Args:
        platform: The parts.
        read_server: Asks the orchestrator; called in a thread.
    """
    return await asyncio.to_thread(
        checking.check_health,
        store=platform.analysis.health,
        read_server=read_server,
        watched=watched_of(platform.settings),
        bounds=platform.settings,
        clock=platform.clock,
    )
