"""Orders that were stored and never sent: sent after the same look as new ones, or withdrawn."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from deployments.by_hand import ByHand
from lib.errors import ExchangeUnavailable, OrderRefused
from lib.execution.ticket_report import OrderReview
from lib.portfolio.exits import ExitPolicy, ExitState
from lib.tasks import dealing, exits
from tests.orders.conftest import LIVE, OrderDesk
from tests.orders.test_exits import check, find_open
from tests.simulators import API_KEY, API_SECRET

SYMBOL = "SOL/USDT"


async def leave_unsent(desk: OrderDesk, review: OrderReview) -> None:
    """Store the order of a ticket; what the checks need is away, so that it stays as it is."""

    async def away() -> str | None:
        raise ExchangeUnavailable("It does not answer.")

    assert review.ticket is not None
    with pytest.raises(ExchangeUnavailable):
        await dealing.place_order(desk.platform, LIVE, review.ticket.client_order_id, away)


def list_states(desk: OrderDesk) -> list[str]:
    return [row.state for row in desk.world.query("SELECT state FROM orders ORDER BY changed_at")]


async def begin_exit(desk: OrderDesk, run: str) -> OrderReview:
    wanted = await find_open(desk)
    await exits.begin_exit(desk.platform, wanted, run)
    return await desk.close(run, exit_id=wanted.exit_id)


def give_more_than_the_position(desk: OrderDesk) -> None:
    """The balance alone would allow another sale."""
    desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")


async def test_a_second_attempt_of_an_exit_withdraws_what_the_first_has_never_sent(orders_desk: OrderDesk) -> None:
    desk = orders_desk
    give_more_than_the_position(desk)
    check(desk, ExitPolicy.EXIT, "0.89")
    first = await begin_exit(desk, "run-1")
    await leave_unsent(desk, first)
    known = await find_open(desk)
    desk.platform.trading.exits.end(known, ExitState.WANTED, note="", now=desk.platform.clock.now())
    second = await begin_exit(desk, "run-2")

    placed = await desk.place(second)

    assert placed.order is not None and list_states(desk) == ["rejected", "filled"]
    assert desk.platform.trading.orders.load_unfinished(LIVE) == []
    day = desk.platform.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    counted = desk.platform.trading.orders.load_notional(LIVE, day, without=placed.order.intent.client_order_id)
    assert counted == 0
    with pytest.raises(OrderRefused, match="withdrawn"):  # somebody presses Retry on the first run
        await desk.place(first)
    assert len(desk.booked()) == 1


async def test_an_exit_that_has_ended_sends_nothing_any_more(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    review = await begin_exit(orders_desk, "run-1")
    await leave_unsent(orders_desk, review)
    await exits.give_up(orders_desk.platform, await find_open(orders_desk), "the price is back")
    with pytest.raises(OrderRefused, match="is void"):
        await orders_desk.place(review)
    assert orders_desk.booked() == [] and list_states(orders_desk) == ["rejected"]


async def test_a_sale_that_was_never_sent_is_withdrawn_when_the_position_is_gone_or_smaller(
    orders_desk: OrderDesk,
) -> None:
    desk = orders_desk
    give_more_than_the_position(desk)
    whole, half = await desk.close("whole"), await desk.close("half", share=50)
    for review in (whole, half):
        await desk.answer(review)
    await leave_unsent(desk, whole)
    await desk.place(half)
    with pytest.raises(OrderRefused, match="was never sent, and only"):
        await desk.place(whole)
    await desk.update()

    rest = await desk.close("rest")
    await desk.answer(rest)
    await leave_unsent(desk, rest)
    by_hand = ByHand(desk.world.simulator.url, API_KEY, API_SECRET)
    await asyncio.to_thread(by_hand.sell_all, SYMBOL)
    with pytest.raises(OrderRefused, match="is closed already"):
        await desk.place(rest)
    assert len(desk.booked()) == 1 and desk.platform.trading.orders.load_unfinished(LIVE) == []


async def test_what_is_still_right_is_sent_by_the_next_run_of_the_same_ticket(orders_desk: OrderDesk) -> None:
    review = await orders_desk.close()
    await orders_desk.answer(review)
    await leave_unsent(orders_desk, review)
    placed = await orders_desk.place(review)
    assert placed.order is not None and placed.order.remainder == 0
    assert len(orders_desk.booked()) == 1


async def test_an_old_order_that_was_never_sent_does_not_outlive_the_next_order(orders_desk: OrderDesk) -> None:
    desk = orders_desk
    old = await desk.close("old")
    await desk.answer(old)
    await leave_unsent(desk, old)
    desk.world.query("UPDATE order_intents SET created_at = created_at - interval '2 days'")
    review = await desk.open("new", symbol="BTC/USDT", notional=Decimal(500))
    await desk.answer(review)
    await desk.place(review)
    assert list_states(desk) == ["rejected", "filled"]


async def test_a_question_whose_message_was_lost_with_its_run_is_told_when_the_run_begins_anew(
    orders_desk: OrderDesk,
) -> None:
    desk = orders_desk
    await desk.close()
    desk.world.query("DELETE FROM notifications")  # as if the process had died between ticket and message
    for _ in range(2):
        assert (await desk.close()).asks
    assert len(desk.told("Approval wanted")) == 1


async def test_no_exit_by_policy_is_ever_stored_without_its_approval(orders_desk: OrderDesk) -> None:
    """A trigger refuses every later change, as if the process died right after the ticket was stored."""
    desk = orders_desk
    check(desk, ExitPolicy.EXIT, "0.89")
    desk.world.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'gone'; END $$"
    )
    desk.world.query("CREATE TRIGGER gone BEFORE UPDATE ON order_tickets FOR EACH ROW EXECUTE FUNCTION refuse()")
    review = await begin_exit(desk, "run-1")
    assert review.ticket is not None and review.ticket.approval is not None and not review.asks
