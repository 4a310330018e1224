"""The chain that watches the platform itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import showing, support, tasks

HOURLY = timedelta(hours=1)


@flow(name="platform-health", flow_run_name=showing.name_run, validate_parameters=True)
async def platform_health() -> State[Any]:
    """Show how the platform does, and tell people of what is out of bounds.

    How often tasks fail and how long they take, queues and workers, how fresh candles are, equity, trades, strategies,
    sizes, messages that wait, and the archive. The bounds are the settings FKS_HEALTH_…; each is told when it is passed
    and once when that is over.
    """
    return await support.run_chain(
        (tasks.check_health,),
        (tasks.send_notifications,),
        every=HOURLY,
    )
