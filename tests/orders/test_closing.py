"""Closing a position by one order: no more than there is, once, also after a killed run."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from deployments.by_hand import ByHand
from lib.errors import OperatorError, OrderRefused
from lib.results import Status
from tests.orders.conftest import OrderDesk
from tests.simulators import API_KEY, API_SECRET


async def test_a_closed_position_is_confirmed_with_its_profit_and_its_fees(orders_desk: OrderDesk) -> None:
    review = await orders_desk.close()
    assert review.asks and review.note == ""
    await orders_desk.answer(review)
    result = await orders_desk.place(review)
    await orders_desk.update()

    assert result.status is Status.OK
    assert orders_desk.position() is None
    (told,) = orders_desk.told("Sold SOL/USDT")
    assert "\nSell " in told and " SOL on average at " in told and " USDT, fee " in told
    assert "The position is closed: " in told and " USDT realized" in told
    again = await orders_desk.place(review)  # a retried run reports the same order
    assert again.order == result.order
    assert len(orders_desk.booked()) == 1


async def test_a_share_or_a_quantity_leaves_the_rest_and_its_stop(orders_desk: OrderDesk) -> None:
    before = orders_desk.position()
    for run, given in (("half", {"share": 50}), ("some", {"quantity": Decimal(1)})):
        review = await orders_desk.close(run, **given)
        await orders_desk.answer(review)
        await orders_desk.place(review)
        await orders_desk.update()
    left = orders_desk.position()
    assert 0 < left.quantity < before.quantity / 2
    assert left.stop_loss == before.stop_loss
    assert len(orders_desk.told("Sold SOL/USDT")) == 2
    for wrong, words in (
        ({"quantity": Decimal(10**6)}, "Expected at most"),
        ({"quantity": Decimal(1), "share": 50}, "was both"),
        ({"symbol": "ETH/BTC"}, "no open position"),
    ):
        with pytest.raises(OrderRefused, match=words):
            await orders_desk.close("wrong", **wrong)


async def test_what_was_withdrawn_cannot_be_sold_and_the_difference_is_said(orders_desk: OrderDesk) -> None:
    taken = round(orders_desk.position().quantity / 2, 2)
    orders_desk.world.simulator.control.request("POST", "/withdraw", asset="SOL", amount=str(taken))
    review = await orders_desk.close()
    assert review.ticket is not None and review.ticket.quantity <= orders_desk.position().quantity - taken
    assert "the position has" in review.note and "the account" in review.note
    await orders_desk.answer(review)
    assert (await orders_desk.place(review)).status is Status.OK


async def test_what_was_sold_by_hand_after_the_review_is_not_sold_again(orders_desk: OrderDesk) -> None:
    review = await orders_desk.close()
    await orders_desk.answer(review)
    by_hand = ByHand(orders_desk.world.simulator.url, API_KEY, API_SECRET)
    await asyncio.to_thread(by_hand.sell_all, "SOL/USDT")
    with pytest.raises(OperatorError, match="is closed already"):
        await orders_desk.place(review)
    assert orders_desk.booked() == []


async def test_a_second_run_sells_nothing_that_an_unknown_order_of_a_first_one_has_sold(
    orders_desk: OrderDesk,
) -> None:
    """More is on the account than in the position, so the balance alone would allow a second sale."""
    desk = orders_desk
    desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")
    first, second = await desk.close("first"), await desk.close("second")
    for review in (first, second):
        await desk.answer(review)
    await desk.place(first)
    # As a process leaves it that was killed before it stored the answer.
    desk.world.query("UPDATE orders SET state = 'attempted', order_id = NULL")
    desk.world.query("UPDATE order_attempts SET outcome = 'pending'")
    desk.world.query("DELETE FROM order_fills")

    with pytest.raises(OrderRefused, match="is closed already"):
        await desk.place(second)

    assert len(desk.booked()) == 1
    assert desk.position() is None
    assert len(desk.told("Sold SOL/USDT")) == 1  # the chain that imported the fills has confirmed it


async def test_an_approval_is_not_applied_to_a_position_that_was_opened_after_it(orders_desk: OrderDesk) -> None:
    review = await orders_desk.close()
    by_hand = ByHand(orders_desk.world.simulator.url, API_KEY, API_SECRET)
    await asyncio.to_thread(by_hand.sell_all, "SOL/USDT")
    await orders_desk.update()
    bought = await orders_desk.open("other")
    await orders_desk.answer(bought)
    await orders_desk.place(bought)
    await orders_desk.update()
    await orders_desk.answer(review)
    with pytest.raises(OrderRefused, match="was closed and opened anew"):
        await orders_desk.place(review)
    assert [one["side"] for one in orders_desk.booked()] == ["BUY"]
    assert orders_desk.position() is not None
