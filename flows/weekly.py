"""The chain of the week."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import showing, support, tasks

WEEKLY = timedelta(days=7)


@flow(name="weekly-report", flow_run_name=showing.name_run, validate_parameters=True)
async def weekly_report(account: str | None = None) -> State[Any]:
    """Measure and report on the last seven UTC days; on Monday morning, the week that has ended.

    The report is shown here, written to the folder reports of FKS_HOME, and sent with its pictures.

    Args:
        account: Report only on this account; empty means all of the settings together.
    """
    return await support.run_chain(
        (tasks.calculate_metrics, account or None, 7),
        (tasks.generate_report, account or None, "weekly"),
        (tasks.send_notifications,),
        every=WEEKLY,
    )
