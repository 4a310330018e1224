"""Protective orders: the run that the chain starts for them, and the step of flows that change positions."""

from __future__ import annotations

import logging
from typing import Any

import httpx
from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import Completed

from flows import support
from flows.trading_halt import read_halt
from lib.errors import FksError, RetryableError
from lib.platform import Platform
from lib.results import Item, Status, failed_item
from lib.tasks import protected
from lib.units import EPOCH

DEPLOYMENT = "protect-positions/manual"  # as in prefect.yaml
SLOT_SECONDS = 300  # an account gets one run for each, however often the chain is tried
logger = logging.getLogger("lib.flows")


@task(name="protect_positions", task_run_name="protect_positions", **support.RETRY)
async def protect_positions(account: str | None, *, again: bool = False) -> State[Any]:
    """Place, replace and cancel protective orders until they are as positions and their limits are."""
    from lib.tasks import protecting  # not for the five-minute chain, which only looks whether something is due

    async with support.platform() as platform:
        result = await protecting.protect_positions(platform, account, read_halt, again=again)
        return support.conclude_task(result)


async def protect_changed(account: str) -> dict[str, State[Any]]:
    """Protect an account's positions as they are now, where something is due; return the step, or none.

    For flows that have just changed them: what is bought is protected at once, not by the next chain.
    """
    try:
        async with support.platform() as platform:
            judged = await protected.judge_positions(platform, account)
    except FksError as error:  # what the flow has done stands, and the next chain looks
        logger.warning("Whether protective orders of %s are due is not known: %s", account, error)
        return {}
    if not any(one.is_due for one in judged.values()):
        return {}
    return {"protect_positions": await support.attempt(protect_positions, account)}


async def start_protection(platform: Platform) -> tuple[Item, ...]:
    """Start a run of protect-positions for each account that needs one; nothing is asked of the exchange here.

    During a trading halt none is started, since it would change nothing.

    Returns:
        An item for each account that needs one; a failed one where it could not be started.
    """
    try:
        due = await protected.find_due(platform)
        if not due:
            return ()
        if await read_halt() is not None:
            return tuple(_note(one, "trading is halted: what rests stays, nothing is placed") for one in due)
        return tuple([await _start(platform, account) for account in due])
    except (httpx.HTTPError, PrefectException, FksError) as error:  # the checks of stop losses stand
        logger.exception("Protective orders could not be looked after")
        trouble = RetryableError(f"A run of protect-positions could not be started: {error} The next chain tries.")
        return (failed_item("protections", error if isinstance(error, FksError) else trouble),)


def conclude_protection(concluded: State[Any]) -> State[Any]:
    """Return how a run ends: a failure leaves it Partial, is told by itself, and is tried again by the next chain.

    People are told of each failed run besides, which must not go on every five minutes.
    """
    return Completed(name="Partial", message=concluded.message) if concluded.is_failed() else concluded


async def _start(platform: Platform, account: str) -> Item:
    slot = int((platform.clock.now() - EPOCH).total_seconds()) // SLOT_SECONDS
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
        await client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"account": account, "again": False},
            idempotency_key=f"protect {account} {slot}",
        )
    return _note(account, "protect-positions was started")


def _note(account: str, detail: str) -> Item:
    return Item(name=f"{account} protections", status=Status.OK, detail=detail)
