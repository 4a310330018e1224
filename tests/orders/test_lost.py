"""Orders that the exchange has forgotten: they keep no stop loss of another symbol from selling."""

from __future__ import annotations

from decimal import Decimal

from lib.execution.orders import OrderState
from lib.portfolio.exits import ExitPolicy
from tests.orders.conftest import LIVE, OrderDesk
from tests.orders.test_exits import check
from tests.orders.test_unsent import begin_exit, leave_unsent


async def forget(desk: OrderDesk) -> str:
    """Store a purchase as if the exchange had taken it an hour ago; it knows nothing of it. Return its name."""
    review = await desk.open("lost", symbol="BTC/USDT", notional=Decimal(500))
    await desk.answer(review)
    await leave_unsent(desk, review)
    assert review.ticket is not None
    name = review.ticket.client_order_id
    desk.world.query(
        "INSERT INTO order_attempts (account, client_order_id, number, attempted_at, outcome, detail) "
        "VALUES (:account, :name, 1, now() - interval '1 hour', 'accepted', '')",
        account=LIVE,
        name=name,
    )
    desk.world.query("UPDATE orders SET state = 'open', order_id = '999999' WHERE client_order_id = :name", name=name)
    return name


async def test_a_forgotten_order_keeps_no_stop_loss_of_another_symbol_from_selling(orders_desk: OrderDesk) -> None:
    await forget(orders_desk)
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    placed = await orders_desk.place(await begin_exit(orders_desk, "run-1"))
    assert placed.order is not None and placed.order.state is OrderState.FILLED
