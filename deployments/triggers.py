"""What automations wait for and what they do: triggers on the server's events, and the messages to people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.events.actions import ActionTypes, DoNothing, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

DONE = {"prefect.flow-run.Completed", "prefect.flow-run.Partial"}
BROKEN = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
HEARTBEAT = "prefect.flow-run.heartbeat"
PENDING = "prefect.flow-run.Pending"
RUNNING = "prefect.flow-run.Running"
# After these no heartbeat is due; a suspended run has no process until it is resumed.
RESTING = (
    BROKEN
    | DONE
    | {
        "prefect.flow-run.Skipped",
        "prefect.flow-run.Cancelled",
        "prefect.flow-run.Suspended",
        "prefect.flow-run.Rescheduled",
        "prefect.flow-run.AwaitingRetry",
    }
)
BROKEN_RUN = "{{ flow.name }} ({{ flow_run.name }}): {{ flow_run.state.message }}"
REMEDY = "its error names the remedy, docs/operations.md has the common ones."
FIRED = "prefect.automation.triggered"
RUN_PAGE = "/runs/flow-run/{{ flow_run.id }}"


def resource(labels: dict[str, str | list[str]]) -> ResourceSpecification:
    """Return what an event's resource must carry."""
    return ResourceSpecification.model_validate(labels)


FLOW_RUNS = resource({"prefect.resource.id": "prefect.flow-run.*"})


def name_flows(*names: str) -> ResourceSpecification:
    """Return one of these flows, as an event relates to it; with "!" in front any other."""
    return resource({"prefect.resource.role": "flow", "prefect.resource.name": list(names)})


def name_deployment(name: str) -> ResourceSpecification:
    """Return the deployment of this name, without its flow's."""
    return resource({"prefect.resource.role": "deployment", "prefect.resource.name": name})


def failing(flows: Sequence[str], repetition: timedelta) -> EventTrigger:
    """Fire at a flow's first failure, then once in each further `repetition` in which it fails.

    The server counts by flow, in its database: starting it again repeats nothing.
    """
    return EventTrigger(
        expect=BROKEN,
        match=FLOW_RUNS,
        match_related=name_flows(*flows),
        for_each={"related:flow:prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=repetition,
    )


def stopped(switches: Sequence[str]) -> EventTrigger:
    """Fire when one of these dead man's switches does."""
    match = resource({"prefect.resource.id": "prefect.automation.*", "prefect.resource.name": list(switches)})
    return EventTrigger(expect={FIRED}, match=match, posture=Posture.Reactive, threshold=1)


def completed(flow: str) -> EventTrigger:
    """Fire when a run of the flow completes."""
    return EventTrigger(
        expect=DONE, match=FLOW_RUNS, match_related=name_flows(flow), posture=Posture.Reactive, threshold=1
    )


def tell(channels: Sequence[UUID], subject: str, body: str) -> list[ActionTypes]:
    """Tell every channel: an automation sends once and does not retry, so one silent channel must not be the only."""
    if not channels:
        return [DoNothing()]
    return [SendNotification(block_document_id=channel, subject=subject, body=body) for channel in channels]


def render_wait(wait: timedelta) -> str:
    """Render ``11 minutes``, ``2.2 hours``, ``28 hours`` or ``7.2 days``."""
    for unit, width in (("days", timedelta(days=1)), ("hours", timedelta(hours=1))):
        if wait >= 2 * width:
            return f"{round(wait / width, 1):g} {unit}"
    return f"{round(wait / timedelta(minutes=1), 1):g} minutes"
