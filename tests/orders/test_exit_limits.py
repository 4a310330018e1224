"""The limits of an operator never keep an exit from selling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import AccountBusy, CheckRefused
from lib.execution.ticket_report import OrderReview
from lib.portfolio.exits import ExitPolicy
from lib.tasks import exits
from lib.tasks.trading import open_trading
from tests.orders.conftest import LIVE, OrderDesk
from tests.orders.test_exits import check, find_open


def limit(desk: OrderDesk, **limits: Any) -> None:
    desk.platform = replace(desk.platform, settings=desk.platform.settings.model_copy(update=limits))


async def begin_exit(desk: OrderDesk, run: str) -> OrderReview:
    wanted = await find_open(desk)
    await exits.begin_exit(desk.platform, wanted, run)
    return await desk.close(run, exit_id=wanted.exit_id)


async def test_an_exit_larger_than_an_order_may_be_is_sold_in_equal_parts(orders_desk: OrderDesk) -> None:
    desk = orders_desk
    dry = await desk.close(execute=False)
    assert dry.ticket is not None
    worth = dry.ticket.quantity * dry.ticket.reference_price
    limit(desk, max_order_notional=worth / Decimal("2.001"))  # two parts would leave a rest that is too small to sell
    check(desk, ExitPolicy.EXIT, "0.89")
    wanted = await find_open(desk)
    await exits.begin_exit(desk.platform, wanted, "run-1")
    for run in ("run-1", "run-2", "run-3"):
        assert desk.position() is not None
        review = await desk.close(run, exit_id=wanted.exit_id)
        assert "allows no more in one order" in review.note or run == "run-3"
        await desk.place(review)
        await desk.update()
    assert desk.position() is None
    notionals = [Decimal(one["executed"]) * dry.ticket.reference_price for one in desk.booked()]
    assert len(notionals) == 3 and max(notionals) - min(notionals) <= worth / 100
    with pytest.raises(CheckRefused, match="an order are allowed"):  # other orders keep to it
        await desk.open("other", notional=worth)


async def test_exits_neither_count_against_the_days_limit_nor_are_refused_by_it(orders_desk: OrderDesk) -> None:
    desk = orders_desk
    limit(desk, max_day_notional=Decimal(1000))
    with pytest.raises(CheckRefused, match="a day are allowed"):
        await desk.close("by-hand")
    check(desk, ExitPolicy.EXIT, "0.89")
    review = await begin_exit(desk, "run-1")
    await desk.place(review)
    await desk.update()
    assert desk.position() is None
    day = desk.platform.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    assert desk.platform.trading.orders.load_notional(LIVE, day) == 0
    await desk.open("afterwards", symbol="BTC/USDT", notional=Decimal(500))


async def test_an_exit_waits_for_whoever_places_orders_of_the_account(orders_desk: OrderDesk) -> None:
    desk = orders_desk
    check(desk, ExitPolicy.EXIT, "0.89")
    review = await begin_exit(desk, "run-1")
    by_hand = await desk.close("run-2", quantity=Decimal(1))
    await desk.answer(by_hand)
    async with open_trading(desk.platform, LIVE, desk.halted):
        with pytest.raises(AccountBusy):
            await desk.place(by_hand)
        selling = asyncio.create_task(desk.place(review))
        done, _ = await asyncio.wait([selling], timeout=0.5)
        assert not done
    assert (await selling).order is not None


async def test_the_form_of_an_exit_says_that_its_limit_follows_the_price(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.APPROVE, "0.89")
    review = await begin_exit(orders_desk, "run-1")
    words = "at the price of the moment you approve, at most 1 % below the best bid; what does not fill"
    assert words in review.render_question()
    by_hand = await orders_desk.close("run-2")
    assert "as limit " in by_hand.render_question() and "moment" not in by_hand.render_question()
