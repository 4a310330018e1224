"""Prefect automations as code: what the server does by itself when chains stop, hang or fail.

They run inside the Prefect server, so they need no worker. Each firing leaves an event
(``prefect.automation.triggered``) on the server's Events page, also where no channel is configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture, SequenceTrigger
from prefect.events.schemas.events import ResourceSpecification

from deployments.environment import HEARTBEAT_SECONDS
from deployments.specification import DEAD_MANS_SWITCH, TAG, DeploymentSpec, PrefectFile

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
RUN_PAGE = "/runs/flow-run/{{ flow_run.id }}"
INTERVALS_MISSED = 2.2  # two, and room for the run after them to take longer than the one before
HEARTBEATS_MISSED = 3


def _resource(labels: dict[str, str | list[str]]) -> ResourceSpecification:
    return ResourceSpecification.model_validate(labels)


FLOW_RUNS = _resource({"prefect.resource.id": "prefect.flow-run.*"})


@dataclass(frozen=True)
class Told:
    """The alert channels (block documents) that want messages about operations, by severity; may be empty."""

    urgent: Sequence[UUID] = ()
    warning: Sequence[UUID] = ()


@dataclass(frozen=True)
class Patience:
    """How long to wait before something counts as missing.

    Attributes:
        completion: Overrides "two intervals and a bit" for every chain (tests); Prefect's minimum is 10 seconds.
        heartbeat: Silence after which a running flow is taken for dead.
        start: A run that a worker took and that has not begun after this long never will.
        repetition: A chain that goes on failing is told again after this long.
    """

    completion: timedelta | None = None
    heartbeat: timedelta = timedelta(seconds=HEARTBEAT_SECONDS * HEARTBEATS_MISSED)
    repetition: timedelta = timedelta(hours=1)
    start: timedelta = timedelta(minutes=5)


PATIENCE = Patience()


async def plan_automations(file: PrefectFile, told: Told, ui_url: str, patience: Patience) -> list[AutomationCore]:
    """Return every automation the stack has.

    Args:
        file: The deployments; each that has a schedule gets a dead man's switch.
        told: Who is alerted.
        ui_url: Where people find the server, for the links in alerts.
        patience: Waiting times.
    """
    scheduled = [deployment for deployment in file.deployments if deployment.schedules]
    flows = sorted({deployment.flow_name for deployment in scheduled})
    return [
        *[await _dead_mans_switch(deployment, patience.completion, told, ui_url) for deployment in scheduled],
        _zombies(patience.heartbeat),
        _stillborn(patience.start),
        _broken_chains(flows, patience.repetition, told.warning, ui_url),
        *(_recovery(flow, patience.repetition, told.warning, ui_url) for flow in flows),
        _broken_runs(flows, told.warning, ui_url),
    ]


async def _dead_mans_switch(
    deployment: DeploymentSpec, patience: timedelta | None, told: Told, ui_url: str
) -> AutomationCore:
    """Expect the deployment's runs; when several schedules start them, as often as the most frequent one does."""
    flow = deployment.flow_name
    pauses = [await schedule.find_longest_pause() for schedule in deployment.schedules]
    within = patience or min(pauses) * INTERVALS_MISSED
    minutes = f"{within / timedelta(minutes=1):g}"
    return AutomationCore(
        name=f"fks: {deployment.full_name} has stopped",
        description=f"Tells people when no run completed for {minutes} minutes, and again for as long as it lasts.",
        tags=[TAG, DEAD_MANS_SWITCH],
        enabled=True,
        trigger=EventTrigger(
            expect=DONE,
            match=FLOW_RUNS,
            match_related=[_flows(flow), _deployment(deployment.name)],
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=_tell(
            told.urgent if deployment.is_critical else told.warning,
            f"🛑 {flow} has stopped",
            f"No run of {deployment.full_name} completed in the last {minutes} minutes. "
            f"It is not done meanwhile: {deployment.description}\n"
            f"`fks status` shows what runs, and `fks up` starts what does not. When all runs, see why its runs are "
            f"missing, wait or fail: {ui_url}/runs",
        ),
    )


def _zombies(silence: timedelta) -> AutomationCore:
    seconds = f"{silence.total_seconds():g}"
    return AutomationCore(
        name="fks: a run has died",
        description=f"Marks a run as crashed whose process has sent no heartbeat for {seconds} seconds.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT, *RESTING},
            match=FLOW_RUNS,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"No heartbeat for {seconds} seconds: the run's process is gone. The next run carries on.",
            )
        ],
    )


def _stillborn(patience: timedelta) -> AutomationCore:
    """End what a worker took and died with: a pending run holds its queue's place for ever."""
    seconds = f"{patience.total_seconds():g}"
    return AutomationCore(
        name="fks: a run has not begun",
        description=f"Marks a run as crashed that a worker took and has not begun in {seconds} seconds.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            after={PENDING},
            expect={RUNNING, HEARTBEAT, *RESTING},
            match=FLOW_RUNS,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=patience,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"It had not begun after {seconds} seconds: its worker is gone. The next run carries on.",
            )
        ],
    )


def _broken_chains(
    flows: Sequence[str], repetition: timedelta, channels: Sequence[UUID], ui_url: str
) -> AutomationCore:
    minutes = f"{repetition / timedelta(minutes=1):g}"
    return AutomationCore(
        name="fks: a chain has failed",
        description=f"Tells people when a scheduled chain fails, and every {minutes} minutes while it goes on failing.",
        tags=[TAG],
        enabled=True,
        trigger=_failing(flows, repetition),
        actions=_tell(
            channels,
            "⚠️ {{ flow.name }}: {{ flow_run.state.name }}",
            f"{BROKEN_RUN}\n{ui_url}{RUN_PAGE}\n"
            f"While it goes on failing you are told every {minutes} minutes, and once when it works again.",
        ),
    )


def _recovery(flow: str, repetition: timedelta, channels: Sequence[UUID], ui_url: str) -> AutomationCore:
    done = EventTrigger(expect=DONE, match=FLOW_RUNS, match_related=_flows(flow), posture=Posture.Reactive, threshold=1)
    return AutomationCore(
        name=f"fks: {flow} works again",
        description="Tells people once when a chain completes whose failure they were told of.",
        tags=[TAG],
        enabled=True,
        trigger=SequenceTrigger(triggers=[_failing([flow], repetition), done], within=None),
        actions=_tell(channels, "✅ {{ flow.name }} works again", "{{ flow_run.name }}\n" + ui_url + RUN_PAGE),
    )


def _failing(flows: Sequence[str], repetition: timedelta) -> EventTrigger:
    """Fire at a flow's first failure, then once in each further `repetition` in which it fails.

    The server counts by flow, in its database: starting it again repeats nothing.
    """
    return EventTrigger(
        expect=BROKEN,
        match=FLOW_RUNS,
        match_related=_flows(*flows),
        for_each={"related:flow:prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=repetition,
    )


def _broken_runs(scheduled: Sequence[str], channels: Sequence[UUID], ui_url: str) -> AutomationCore:
    return AutomationCore(
        name="fks: a run has failed",
        description="Tells people about every run that failed, crashed or timed out, of a flow that has no schedule.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            expect=BROKEN,
            match=FLOW_RUNS,
            match_related=[_flows(f"!{flow}") for flow in scheduled],
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=_tell(channels, "⚠️ {{ flow.name }}: {{ flow_run.state.name }}", f"{BROKEN_RUN}\n{ui_url}{RUN_PAGE}"),
    )


def _flows(*names: str) -> ResourceSpecification:
    return _resource({"prefect.resource.role": "flow", "prefect.resource.name": list(names)})


def _deployment(name: str) -> ResourceSpecification:
    return _resource({"prefect.resource.role": "deployment", "prefect.resource.name": name})


def _tell(channels: Sequence[UUID], subject: str, body: str) -> list[ActionTypes]:
    """Tell every channel: an automation sends once and does not retry, so one silent channel must not be the only."""
    if not channels:
        return [DoNothing()]
    return [SendNotification(block_document_id=channel, subject=subject, body=body) for channel in channels]


async def apply_automations(client: PrefectClient, planned: Sequence[AutomationCore]) -> None:
    """Make the server's automations those planned; ours that are no longer planned go, others' stay.

    An update restarts the automation's waiting time and counts, so one that only counts (failures that people were
    told of) is left alone where nothing changed. It changes only fields that were set, `enabled` among them: an orderly
    stop switches the dead man's switch off.
    """
    for automation in planned:
        existing = await client.read_automations_by_name(automation.name)
        if not existing:
            await client.create_automation(automation)
        elif _waits(automation) or not _are_same(existing[0], automation):
            await client.update_automation(existing[0].id, automation)
        for twin in existing[1:]:
            await client.delete_automation(twin.id)
    kept = {automation.name for automation in planned}
    for present in await client.read_automations():
        if TAG in present.tags and present.name not in kept:
            await client.delete_automation(present.id)


def _waits(automation: AutomationCore) -> bool:
    return isinstance(automation.trigger, EventTrigger) and automation.trigger.posture is Posture.Proactive


def _are_same(present: Automation, planned: AutomationCore) -> bool:
    fields = set(AutomationCore.model_fields)
    return present.model_dump(mode="json", include=fields) == planned.model_dump(mode="json", include=fields)
