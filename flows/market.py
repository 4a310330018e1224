"""The chains that follow the market through the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import showing, support
from flows.tasks import check_stop_loss, send_notifications, sync_market_data, update_positions

CRITICAL_PATH_EVERY = timedelta(minutes=5)  # as in prefect.yaml; a test holds them equal


@flow(name="critical-path", flow_run_name=showing.name_run, validate_parameters=True)
async def critical_path(account: str | None = None) -> State[Any]:
    """Keep candles fresh, bring positions up to date, check every stop loss, and tell people.

    Each step runs even when an earlier one failed: a stop loss must not wait for a candle.

    Args:
        account: Check only this account; empty means every account.
    """
    if late := await support.skip_when_late(CRITICAL_PATH_EVERY):
        return late
    account = account or None  # what a form sends for a field that was emptied
    async with support.platform():
        synced = await support.attempt(sync_market_data)
        updated = await support.attempt(update_positions, account)
        checked = await support.attempt(check_stop_loss, account)
        sent = await support.attempt(send_notifications)
        return await support.conclude_chain(
            "critical-path",
            sync_market_data=synced,
            update_positions=updated,
            check_stop_loss=checked,
            send_notifications=sent,
        )
