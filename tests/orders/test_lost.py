"""Orders that the exchange has forgotten: they keep no stop loss of another symbol from selling."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lib.errors import OperatorError
from lib.execution.orders import OrderState
from lib.portfolio.exits import ExitPolicy
from lib.tasks import withdrawing
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


async def test_a_person_ends_an_order_that_the_exchange_does_not_have(orders_desk: OrderDesk) -> None:
    platform, name = orders_desk.platform, await forget(orders_desk)
    done = await withdrawing.withdraw_order(platform, LIVE, name, "not in the history there")
    assert done.counts == {"orders withdrawn": 1}
    assert done.items[0].detail == "Withdrawn by hand: not in the history there"
    assert platform.trading.orders.load_unfinished(LIVE) == []
    bought = await orders_desk.open("again", symbol="BTC/USDT", notional=Decimal(500))
    await orders_desk.answer(bought)
    await orders_desk.place(bought)  # it blocks nothing any more
    for name_, words in ((name, "is rejected already"), ("fks-nothing", "There is no order")):
        with pytest.raises(OperatorError, match=words):
            await withdrawing.withdraw_order(platform, LIVE, name_, "again")


async def test_an_order_that_was_never_sent_is_withdrawn_and_one_that_the_exchange_has_is_not(
    orders_desk: OrderDesk,
) -> None:
    desk = orders_desk
    review = await desk.close()
    await desk.answer(review)
    await leave_unsent(desk, review)
    assert review.ticket is not None
    done = await withdrawing.withdraw_order(desk.platform, LIVE, review.ticket.client_order_id, "nobody wants it")
    assert done.counts == {"orders withdrawn": 1} and desk.booked() == []

    bought = await desk.open("bought", symbol="BTC/USDT", notional=Decimal(500))
    await desk.answer(bought)
    await desk.place(bought)
    assert bought.ticket is not None
    desk.world.query("UPDATE orders SET state = 'open' WHERE state = 'filled'")
    found = await withdrawing.withdraw_order(desk.platform, LIVE, bought.ticket.client_order_id, "it hangs")
    assert found.counts == {"orders withdrawn": 0} and "it is filled" in found.items[0].detail
