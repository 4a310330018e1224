"""Automations that watch what is no chain: the work pool, runs by hand that nobody takes, a halt that lasts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture, SequenceTrigger

from deployments.specification import POOL, TAG
from deployments.triggers import (
    FLOW_RUNS,
    PENDING,
    RESTING,
    RUN_PAGE,
    RUNNING,
    name_flows,
    render_wait,
    resource,
    stopped,
    tell,
)
from lib.execution.halt import FREE_EVENT, HALTED_EVENT, SWITCH

NO_WORKER = "fks: the work pool has no worker"
POOL_READY = "prefect.work-pool.ready"
POOL_STOPPED = {"prefect.work-pool.not-ready", "prefect.work-pool.paused"}
LATE = "prefect.flow-run.Late"
THE_POOL = resource({"prefect.resource.id": "prefect.work-pool.*", "prefect.resource.name": POOL})


def plan_pool_watch(patience: timedelta, urgent: Sequence[UUID], ui_url: str) -> tuple[AutomationCore, AutomationCore]:
    """Tell urgently when the pool stays without a worker, or paused, and once when it is ready again.

    The server notices a worker that is gone after three of its heartbeats, 90 s; it waits a while longer, so that a
    worker that is started again, as at the start of the stack, calls nobody.
    """
    silent = AutomationCore(
        name=NO_WORKER,
        description=f"Tells people when no worker of the pool is back {render_wait(patience)} after the last one went.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            after=POOL_STOPPED,
            expect={POOL_READY},
            match=THE_POOL,
            posture=Posture.Proactive,
            threshold=1,
            within=patience,
        ),
        actions=tell(
            urgent,
            "⚠️ No worker",
            f"The work pool {POOL} has no worker that reports itself, or is paused: no chain runs, and nothing watches "
            "stop losses.\nWhat to do: `fks status` shows what runs, `fks up` starts a worker; resume a paused pool in "
            f"the UI. You are told once when it is ready again.\n{ui_url}/runs",
        ),
    )
    back = AutomationCore(
        name="fks: the work pool has a worker again",
        description="Tells people once when the pool is ready again, after they were told that it was not.",
        tags=[TAG],
        enabled=True,
        trigger=SequenceTrigger(
            triggers=[
                stopped([NO_WORKER]),
                EventTrigger(expect={POOL_READY}, match=THE_POOL, posture=Posture.Reactive, threshold=1),
            ],
            within=None,
        ),
        actions=tell(
            urgent,
            "✅ A worker is back",
            f"The work pool {POOL} is ready.\nWhat to do: nothing; the chains run again.\n{ui_url}/runs",
        ),
    )
    return silent, back


def plan_late_watch(
    scheduled: Sequence[str], patience: timedelta, channels: Sequence[UUID], ui_url: str
) -> AutomationCore:
    """Tell of a run that is due and that no worker takes, of a flow without a schedule: a person waits for it.

    Chains have their dead man's switches.
    """
    return AutomationCore(
        name="fks: a run waits",
        description=f"Tells people of a run by hand that has not begun {render_wait(patience)} after it became late.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            after={LATE},
            expect={PENDING, RUNNING, *RESTING},
            match=FLOW_RUNS,
            match_related=[name_flows(f"!{flow}") for flow in scheduled],
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=patience,
        ),
        actions=tell(
            channels,
            "⚠️ {{ flow.name }} waits",
            f"{{{{ flow.name }}}} ({{{{ flow_run.name }}}}) has been due for {render_wait(patience)} and has not begun."
            "\nWhat to do: see what runs in its queue (`fks status`); cancel what hangs there, or this run if it is "
            f"not wanted any more.\n{ui_url}{RUN_PAGE}",
        ),
    )


def plan_halt_watch(patience: timedelta, channels: Sequence[UUID], ui_url: str) -> AutomationCore:
    """Remind people of a halt of trading that lasts, again and again.

    The switch is a variable, whose changes are no events: `fks halt`, `fks release` and each run of signal-generation
    tell the server what it is.
    """
    return AutomationCore(
        name="fks: trading is still halted",
        description=f"Reminds people when trading has been halted for {render_wait(patience)}, and again as it lasts.",
        tags=[TAG],
        enabled=True,
        trigger=EventTrigger(
            after={HALTED_EVENT},
            expect={FREE_EVENT},
            match=resource({"prefect.resource.id": SWITCH}),
            posture=Posture.Proactive,
            threshold=1,
            within=patience,
        ),
        actions=tell(
            channels,
            "⚠️ Trading is still HALTED",
            f"For {render_wait(patience)} no order was sent, not by stop losses either; alerts go on.\n"
            f"What to do: `fks status` says who halted it and why; `fks release` lets orders be sent.\n{ui_url}/runs",
        ),
    )
