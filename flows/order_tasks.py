"""The tasks of flows that place one order; each can be run again and orders once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from prefect import runtime, task
from prefect.client.schemas.objects import State

from flows import support
from flows.trading_halt import read_halt
from lib.execution.approval import ApprovalForm
from lib.execution.opening import OpeningWish
from lib.tasks import dealing, exits, orders, withdrawing


@task(name="review_order", task_run_name="review_order", **support.RETRY)
async def review_opening(wish: OpeningWish, timeframe: str | None, *, execute: bool) -> State[Any]:
    """Propose an order that opens a position, with what every check says of it."""
    async with support.platform() as platform:
        review = await orders.review_opening(
            platform, wish, timeframe=timeframe, run=str(runtime.flow_run.id), execute=execute, halted=read_halt
        )
        return support.conclude_task(review)


@task(name="review_order", task_run_name="review_order", **support.RETRY)
async def review_closing(
    account: str,
    symbol: str,
    quantity: Decimal | None,
    share_pct: Decimal,
    *,
    exit_id: int | None,
    execute: bool,
) -> State[Any]:
    """Propose an order that closes a position or a part of it, with what every check says of it."""
    async with support.platform() as platform:
        review = await orders.review_closing(
            platform,
            account,
            symbol,
            quantity,
            share_pct,
            exit_id=exit_id,
            run=str(runtime.flow_run.id),
            execute=execute,
            halted=read_halt,
        )
        return support.conclude_task(review)


@task(name="decide_order", task_run_name="decide_order", **support.RETRY)
async def decide_order(account: str, ticket_id: str, form: ApprovalForm) -> State[Any]:
    """Keep what a person said to a proposed order."""
    async with support.platform() as platform:
        return support.conclude_task(await dealing.decide_order(platform, account, ticket_id, form))


@task(name="place_order", task_run_name="place_order", **support.RETRY)
async def place_order(account: str, ticket_id: str) -> State[Any]:
    """Send the approved order, or go on with it where a killed run has left it."""
    async with support.platform() as platform:
        return support.conclude_task(await dealing.place_order(platform, account, ticket_id, read_halt))


@task(name="withdraw_order", task_run_name="withdraw_order", **support.RETRY)
async def withdraw_order(account: str, client_order_id: str, note: str) -> State[Any]:
    """End an order that the exchange does not have, or that was never sent."""
    async with support.platform() as platform:
        return support.conclude_task(await withdrawing.withdraw_order(platform, account, client_order_id, note))


@task(name="settle_exit", task_run_name="settle_exit", **support.RETRY)
async def settle_exit(exit_id: int, *, rejected: str, error: str) -> State[Any]:
    """Note what came of an exit; what failed is told, and tried again by the next chain."""
    async with support.platform() as platform:
        result = await exits.settle_exit(platform, exit_id, rejected=rejected, error=error)
        return support.conclude_task(result)
