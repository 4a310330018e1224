"""The chains of the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import showing, support, tasks

DAILY = timedelta(days=1)


@flow(name="portfolio-optimization", flow_run_name=showing.name_run, validate_parameters=True)
async def portfolio_optimization(account: str | None = None) -> State[Any]:
    """Compare each account with its targets, and propose a rebalance plan where it is off. Nothing is traded.

    A plan is carried out by rebalance-portfolio.

    Args:
        account: Look only at this account; empty means every account.
    """
    return await support.run_chain(
        (tasks.optimize_portfolio, account or None),
        (tasks.send_notifications,),
        every=DAILY,
    )
