"""Ending an order that the exchange does not have: `withdraw_order`."""

from __future__ import annotations

from lib.errors import OrderNotSent
from lib.execution.orders import OrderIntent, OrderState
from lib.execution.placing import open_placing
from lib.platform import Platform
from lib.results import Item, Status, TaskResult
from lib.tasks.trading import placing_rules_of

TASK = "withdraw_order"


async def withdraw_order(platform: Platform, account: str, client_order_id: str, note: str) -> TaskResult:
    """End an order of ours that the exchange has forgotten, or that was never sent; nothing is sent or cancelled there.

    Args:
        platform: The parts.
        account: Whose.
        client_order_id: Its name.
        note: Why, in a person's words.

    Raises:
        OperatorError: There is no such account or order, it has ended, or the exchange has it and may still fill it.
        RetryableError: The exchange could not be asked, or another run places orders of the account now.
    """
    platform.check_account(account)
    started_at = platform.clock.now()
    async with open_placing(
        account,
        store=platform.trading.orders,
        venue=platform.trading.venues[account],
        check=_send_nothing,
        clock=platform.clock,
        rules=placing_rules_of(platform.settings),
    ) as placing:
        order = await placing.end_lost(client_order_id, note)
    is_withdrawn = order.state is OrderState.REJECTED
    detail = order.reason if is_withdrawn else f"the exchange has it: it is {order.state}"
    return TaskResult(
        task=TASK,
        status=Status.OK,
        counts={"orders withdrawn": int(is_withdrawn)},
        items=(Item(name=f"{account} {order.name}", status=Status.OK, detail=detail),),
        started_at=started_at,
        finished_at=platform.clock.now(),
    )


async def _send_nothing(intent: OrderIntent) -> None:
    raise OrderNotSent(f"{intent.client_order_id} is only looked up.")
