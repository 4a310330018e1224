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
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import (
    Automation,
    AutomationCore,
    EventTrigger,
    Posture,
)

from deployments.environment import HEARTBEAT_SECONDS
from deployments.recoveries import plan_recovery, plan_return
from deployments.specification import DEAD_MANS_SWITCH, TAG, DeploymentSpec, PrefectFile
from deployments.triggers import (
    BROKEN,
    BROKEN_RUN,
    DONE,
    FLOW_RUNS,
    HEARTBEAT,
    PENDING,
    REMEDY,
    RESTING,
    RUN_PAGE,
    RUNNING,
    failing,
    name_deployment,
    name_flows,
    render_wait,
    tell,
)
from deployments.watches import plan_halt_watch, plan_late_watch, plan_pool_watch

INTERVALS_MISSED = 2.2  # two, and room for the run after them to take longer than the one before
MOST_PATIENCE = timedelta(hours=4)  # beyond an interval: a day's run that is missing is told before the day is over
HEARTBEATS_MISSED = 3


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
        worker: How long the pool may be without a worker, after the server has noticed.
        late: How long a run by hand may wait after it became late.
        halt: People are reminded of a halt of trading after this long.
    """

    completion: timedelta | None = None
    heartbeat: timedelta = timedelta(seconds=HEARTBEAT_SECONDS * HEARTBEATS_MISSED)
    repetition: timedelta = timedelta(hours=1)
    start: timedelta = timedelta(minutes=5)
    worker: timedelta = timedelta(minutes=3)
    late: timedelta = timedelta(minutes=30)
    halt: timedelta = timedelta(hours=24)


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
    switches = {flow: [_name_switch(one) for one in scheduled if one.flow_name == flow] for flow in flows}
    told_of_stops_only = [channel for channel in told.urgent if channel not in told.warning]
    critical = sorted({one.flow_name for one in scheduled if one.is_critical}) if told_of_stops_only else []
    return [
        *[await _dead_mans_switch(deployment, patience.completion, told, ui_url) for deployment in scheduled],
        _zombies(patience.heartbeat),
        _stillborn(patience.start),
        _broken_chains(flows, patience.repetition, told.warning, ui_url),
        *(plan_recovery(flow, switches[flow], patience.repetition, told.warning, ui_url) for flow in flows),
        *(plan_return(flow, switches[flow], told_of_stops_only, ui_url) for flow in critical),
        _broken_runs(flows, told.warning, ui_url),
        *plan_pool_watch(patience.worker, told.urgent, ui_url),
        plan_late_watch(flows, patience.late, told.warning, ui_url),
        plan_halt_watch(patience.halt, told.warning, ui_url),
    ]


async def _dead_mans_switch(
    deployment: DeploymentSpec, patience: timedelta | None, told: Told, ui_url: str
) -> AutomationCore:
    """Expect the deployment's runs; when several schedules start them, as often as the most frequent one does."""
    flow = deployment.flow_name
    pauses = [await schedule.find_longest_pause() for schedule in deployment.schedules]
    within = patience or find_patience(min(pauses))
    lasting = render_wait(within)
    return AutomationCore(
        name=_name_switch(deployment),
        description=f"Tells people when no run completed for {lasting}, and again for as long as it lasts.",
        tags=[TAG, DEAD_MANS_SWITCH],
        enabled=True,
        trigger=EventTrigger(
            expect=DONE,
            match=FLOW_RUNS,
            match_related=[name_flows(flow), name_deployment(deployment.name)],
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=tell(
            told.urgent if deployment.is_critical else told.warning,
            f"⚠️ {flow} has stopped",
            f"No run of {deployment.full_name} completed in the last {lasting}. "
            f"It is not done meanwhile: {deployment.description}\n"
            f"What to do: `fks status` shows what runs, and `fks up` starts what does not. When all runs, see why its "
            f"runs are missing, wait or fail. You are told again while this lasts, and once when it works again.\n"
            f"{ui_url}/runs",
        ),
    )


def find_patience(interval: timedelta) -> timedelta:
    """Return after how long without a completed run a chain of this interval counts as stopped.

    Five minutes: eleven minutes. A day: 28 hours, as its run may take a while, but must not be missed for two days.
    """
    return min(interval * INTERVALS_MISSED, interval + MOST_PATIENCE)


def _name_switch(deployment: DeploymentSpec) -> str:
    return f"fks: {deployment.full_name} has stopped"


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
        trigger=failing(flows, repetition),
        actions=tell(
            channels,
            "⚠️ {{ flow.name }}: {{ flow_run.state.name }}",
            f"{BROKEN_RUN}\nWhat to do: the next run tries again. While it goes on failing you are told every "
            f"{minutes} minutes, and once when it works again. Then open the run: {REMEDY}\n{ui_url}{RUN_PAGE}",
        ),
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
            match_related=[name_flows(f"!{flow}") for flow in scheduled],
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=tell(
            channels,
            "⚠️ {{ flow.name }}: {{ flow_run.state.name }}",
            f"{BROKEN_RUN}\nWhat to do: open the run: {REMEDY} Nothing repeats it; start it again if it is still "
            f"wanted.\n{ui_url}{RUN_PAGE}",
        ),
    )


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
