"""Recoveries: that a chain works again is told once, to those who were told that it did not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.events.actions import ActionTypes
from prefect.events.schemas.automations import AutomationCore, CompoundTrigger, SequenceTrigger

from deployments.specification import TAG
from deployments.triggers import RUN_PAGE, completed, failing, stopped, tell


def plan_recovery(
    flow: str, switches: Sequence[str], repetition: timedelta, channels: Sequence[UUID], ui_url: str
) -> AutomationCore:
    """Tell once when a chain completes that failed, or stopped, or failed for so long that it counted as both."""
    broken = CompoundTrigger(triggers=[failing([flow], repetition), stopped(switches)], require="any", within=None)
    return AutomationCore(
        name=f"fks: {flow} works again",
        description="Tells people once when a chain completes whose failure or stop they were told of.",
        tags=[TAG],
        enabled=True,
        trigger=SequenceTrigger(triggers=[broken, completed(flow)], within=None),
        actions=_tell_recovery(channels, ui_url),
    )


def plan_return(flow: str, switches: Sequence[str], channels: Sequence[UUID], ui_url: str) -> AutomationCore:
    """Tell those who take urgent messages only: they were told of the stop, and of no failure."""
    return AutomationCore(
        name=f"fks: {flow} runs again",
        description="Tells people once when a chain completes whose stop they were told of.",
        tags=[TAG],
        enabled=True,
        trigger=SequenceTrigger(triggers=[stopped(switches), completed(flow)], within=None),
        actions=_tell_recovery(channels, ui_url),
    )


def _tell_recovery(channels: Sequence[UUID], ui_url: str) -> list[ActionTypes]:
    body = "Completed: {{ flow_run.name }}\nWhat to do: nothing; this is the all-clear.\n"
    return tell(channels, "✅ {{ flow.name }} works again", f"{body}{ui_url}{RUN_PAGE}")
