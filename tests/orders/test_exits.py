"""Exits: stored with the alarm, one at a time, given up or tried again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Row

from lib.errors import OrderRefused
from lib.execution.tickets import make_ticket_id
from lib.platform import Platform
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.exits import Exit, ExitPolicy, ExitState
from lib.portfolio.stops import check_stop_loss
from lib.settings import load_settings
from lib.tasks import exits
from tests.orders.conftest import OrderDesk

SYMBOL = "SOL/USDT"


class Later:
    """A clock that is ahead."""

    def __init__(self, platform: Platform, minutes: int) -> None:
        self._platform, self._ahead = platform, timedelta(minutes=minutes)

    def now(self) -> datetime:
        return self._platform.clock.now() + self._ahead


def check(
    desk: OrderDesk,
    policy: ExitPolicy,
    price_ratio: str,
    *,
    minutes: int = 0,
    target_policy: ExitPolicy | None = None,
) -> None:
    """Check limits of 90 and 110 % of the price it had, at another price."""
    clock = Later(desk.platform, minutes)
    desk.world.query(
        "UPDATE positions SET stop_loss = 90, take_profit = 110, price = :price, price_at = :at WHERE symbol = :symbol",
        price=Decimal(100) * Decimal(price_ratio),
        at=clock.now(),
        symbol=SYMBOL,
    )
    check_stop_loss(
        account="demo",
        store=desk.platform.portfolio,
        clock=clock,
        max_age=timedelta(hours=1),
        realert=timedelta(minutes=30),
        policies={AlarmKind.STOP_LOSS: policy, AlarmKind.TAKE_PROFIT: target_policy or policy},
    )


def list_exits(desk: OrderDesk) -> list[Row[tuple[str, ...]]]:
    return desk.world.query("SELECT kind, policy, state FROM position_exits WHERE symbol = :s ORDER BY 1", s=SYMBOL)


async def find_open(desk: OrderDesk) -> Exit:
    (found,) = [one for one in await exits.load_open_exits(desk.platform) if one.symbol == SYMBOL]
    return found


async def read_exit(desk: OrderDesk, exit_id: int) -> Exit:
    return await asyncio.to_thread(desk.platform.trading.exits.load, exit_id)


async def test_a_crossing_is_wanted_once_however_often_the_price_is_below(orders_desk: OrderDesk) -> None:
    for policy in ExitPolicy:
        orders_desk.world.query("TRUNCATE position_exits, position_alarms, order_tickets")
        for minutes, ratio in ((0, "0.89"), (5, "0.85"), (40, "0.85"), (45, "0.901"), (50, "0.89"), (100, "1.05")):
            check(orders_desk, policy, ratio, minutes=minutes)
        wanted = [] if policy is ExitPolicy.ALERT else [("stop_loss", policy.value, "wanted")]
        assert [one for one in list_exits(orders_desk) if one.kind == "stop_loss"] == wanted


async def test_an_exit_is_given_up_when_the_reason_for_it_is_gone(orders_desk: OrderDesk) -> None:
    platform = orders_desk.platform
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    wanted = await find_open(orders_desk)
    assert await exits.find_obstacle(platform, wanted) is None
    check(orders_desk, ExitPolicy.EXIT, "1.0", minutes=5)
    assert await exits.find_obstacle(platform, wanted) == "the price is back within the limit"
    target = replace(wanted, kind=AlarmKind.TAKE_PROFIT)
    assert await exits.find_obstacle(platform, target) == "the account's policy is alert now"
    assert await exits.find_obstacle(platform, replace(wanted, symbol="ADA/USDT")) == "the position is closed"
    await exits.give_up(platform, wanted, "the price is back within the limit")
    assert list_exits(orders_desk) == [("stop_loss", "exit", "void")]


async def test_a_take_profit_is_wanted_by_its_own_policy(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.EXIT, "1.11")
    assert list_exits(orders_desk) == [("take_profit", "exit", "wanted")]


async def test_a_stop_loss_takes_the_place_of_a_take_profit_that_waits_for_its_form(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.EXIT, "1.11", target_policy=ExitPolicy.APPROVE)
    await exits.begin_exit(orders_desk.platform, await find_open(orders_desk), "run-of-the-form")
    check(orders_desk, ExitPolicy.EXIT, "0.80", minutes=5, target_policy=ExitPolicy.APPROVE)
    assert list_exits(orders_desk) == [("stop_loss", "exit", "wanted"), ("take_profit", "approve", "void")]
    stopped = await find_open(orders_desk)
    assert (stopped.after_run, stopped.run, stopped.attempts) == ("run-of-the-form", None, 0)
    check(orders_desk, ExitPolicy.EXIT, "1.2", minutes=90, target_policy=ExitPolicy.APPROVE)
    assert (await find_open(orders_desk)).kind is AlarmKind.TAKE_PROFIT
    assert (await find_open(orders_desk)).after_run == "run-of-the-form"  # no run of the stop loss was started


async def test_an_exit_of_an_older_position_gives_way_to_one_of_the_new_position(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.APPROVE, "0.89")
    former = await find_open(orders_desk)
    await exits.begin_exit(orders_desk.platform, former, "run-of-the-form")
    orders_desk.world.query("UPDATE position_exits SET opened_by = 'SOL/USDT 0'")
    orders_desk.world.query("TRUNCATE position_alarms")  # nobody was told anything of the new position
    check(orders_desk, ExitPolicy.EXIT, "0.89", minutes=5)
    now_open = await find_open(orders_desk)
    assert (now_open.policy, now_open.after_run) == (ExitPolicy.EXIT, "run-of-the-form")
    assert now_open.opened_by == orders_desk.position().opened_by
    assert (await read_exit(orders_desk, former.exit_id)).state is ExitState.VOID


async def test_a_price_that_flaps_asks_nobody_again_but_is_sold_by_a_policy_that_exits(orders_desk: OrderDesk) -> None:
    for policy, again in ((ExitPolicy.APPROVE, 0), (ExitPolicy.EXIT, 1)):
        orders_desk.world.query("TRUNCATE position_exits, position_alarms, order_tickets")
        check(orders_desk, policy, "0.89")
        known = await find_open(orders_desk)
        state = ExitState.REJECTED if policy is ExitPolicy.APPROVE else ExitState.VOID
        orders_desk.platform.trading.exits.end(known, state, note="", now=known.wanted_at)
        check(orders_desk, policy, "0.901", minutes=5)
        check(orders_desk, policy, "0.89", minutes=10)
        assert len(await exits.load_open_exits(orders_desk.platform)) == again


async def test_an_exit_ends_by_what_became_of_its_run(orders_desk: OrderDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "approve")
    platform = replace(orders_desk.platform, settings=load_settings())
    check(orders_desk, ExitPolicy.APPROVE, "0.89")
    wanted = await find_open(orders_desk)
    await exits.begin_exit(platform, wanted, "run-1")
    await exits.begin_exit(platform, wanted, "run-2")  # who comes second changes nothing
    started = await find_open(orders_desk)
    assert (started.state, started.attempts, started.run) == (ExitState.STARTED, 1, "run-1")

    crashed = await exits.take_over(platform, started, cancelled=False, crashed=True)
    assert (crashed.state, crashed.next_key) == (ExitState.WANTED, wanted.next_key.replace("attempt 1", "attempt 2"))
    await exits.begin_exit(platform, crashed, "run-3")
    review = await orders_desk.close("run-3", exit_id=wanted.exit_id)
    assert review.asks and review.ticket is not None
    assert review.ticket.client_order_id == make_ticket_id("demo", "run-3")
    silent = await exits.take_over(platform, await find_open(orders_desk), cancelled=False, crashed=False)
    assert (silent.state, silent.note) == (ExitState.REJECTED, "nobody approved it in time")
    with pytest.raises(OrderRefused, match="is rejected"):
        await orders_desk.close("run-4", exit_id=wanted.exit_id)


async def test_an_exit_that_is_cancelled_by_hand_is_not_tried_again(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    await exits.begin_exit(orders_desk.platform, await find_open(orders_desk), "run-1")
    ended = await exits.take_over(orders_desk.platform, await find_open(orders_desk), cancelled=True, crashed=False)
    assert ended.state is ExitState.REJECTED


async def test_a_sale_at_once_is_never_taken_for_one_that_nobody_approved(orders_desk: OrderDesk) -> None:
    platform = orders_desk.platform
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    wanted = await find_open(orders_desk)
    await exits.begin_exit(platform, wanted, "run-1")
    await orders_desk.close("run-1", exit_id=wanted.exit_id)
    orders_desk.world.query("UPDATE order_tickets SET decision = NULL, decided_by = NULL, decided_at = NULL")  # killed
    ended = await exits.take_over(platform, await find_open(orders_desk), cancelled=False, crashed=False)
    assert ended.state is ExitState.WANTED


async def test_a_policy_that_changes_to_a_sale_takes_over_what_waits_for_a_form(orders_desk: OrderDesk) -> None:
    platform = orders_desk.platform
    check(orders_desk, ExitPolicy.APPROVE, "0.89")
    await exits.begin_exit(platform, await find_open(orders_desk), "run-1")
    asked = await find_open(orders_desk)
    assert await exits.find_obstacle(platform, asked) is None
    assert exits.has_to_begin_anew(platform, asked, is_suspended=True)
    anew = await exits.begin_anew(platform, asked)
    assert (anew.state, anew.policy, anew.after_run) == (ExitState.WANTED, ExitPolicy.EXIT, "run-1")
    assert await exits.begin_anew(platform, asked) == anew  # who comes second changes nothing


async def test_the_form_of_a_stop_loss_outlives_a_price_that_flaps_but_no_recovery(
    orders_desk: OrderDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "approve")
    platform = replace(orders_desk.platform, settings=load_settings())
    check(orders_desk, ExitPolicy.APPROVE, "0.89")
    wanted = await find_open(orders_desk)
    for minutes, ratio, obstacle in (
        (5, "0.901", None),
        (10, "0.89", None),
        (15, "0.901", None),
        (20, "0.901", "the price is back within the limit"),
    ):
        check(orders_desk, ExitPolicy.APPROVE, ratio, minutes=minutes)
        assert await exits.find_obstacle(platform, wanted) == obstacle


async def test_a_sale_at_once_asks_first_whether_its_reason_is_still_there(orders_desk: OrderDesk) -> None:
    platform = orders_desk.platform
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    wanted = await find_open(orders_desk)
    await exits.begin_exit(platform, wanted, "run-1")
    orders_desk.world.query("UPDATE positions SET price_at = price_at - interval '1 hour'")  # the stack was down
    with pytest.raises(OrderRefused, match="when its run began"):
        await orders_desk.close("run-1", exit_id=wanted.exit_id)
    settled = await exits.settle_exit(platform, wanted.exit_id, rejected="", error="it is not due now")
    assert settled.counts["exits wanted"] == 1  # the next chain has a price to decide by
    orders_desk.world.query("UPDATE positions SET stop_loss = 1000000, take_profit = NULL")
    assert (await orders_desk.close("run-1", exit_id=wanted.exit_id)).ticket is not None

    check(orders_desk, ExitPolicy.EXIT, "1.05", minutes=30)
    with pytest.raises(OrderRefused, match="the price is back within the limit"):
        await orders_desk.close("run-2", exit_id=wanted.exit_id)
    await exits.settle_exit(platform, wanted.exit_id, rejected="", error="it is not due now")
    assert list_exits(orders_desk) == [("stop_loss", "exit", "void")]
    assert len(orders_desk.told("Not sold")) == 1


@pytest.mark.parametrize("policy", [ExitPolicy.APPROVE, ExitPolicy.EXIT])
@pytest.mark.parametrize(("rest", "state"), [(None, "wanted"), ("0.001", "done")])
async def test_a_part_that_is_sold_is_followed_by_the_rest_but_not_by_dust(
    orders_desk: OrderDesk, rest: str | None, state: str, policy: ExitPolicy
) -> None:
    check(orders_desk, policy, "0.89")
    wanted = await find_open(orders_desk)
    await exits.begin_exit(orders_desk.platform, wanted, "run-1")
    review = await orders_desk.close("run-1", exit_id=wanted.exit_id, quantity=Decimal(10))
    if policy is ExitPolicy.APPROVE:
        await orders_desk.answer(review)
    placed = await orders_desk.place(review)  # the other coins were locked, or beyond the limit of an order
    assert placed.order is not None and placed.order.remainder == 0
    await orders_desk.update()
    if rest is not None:
        orders_desk.world.query("UPDATE positions SET quantity = :rest WHERE symbol = :s", rest=rest, s=SYMBOL)
    await exits.settle_exit(orders_desk.platform, wanted.exit_id, rejected="", error="")
    assert list_exits(orders_desk) == [("stop_loss", policy.value, state)]


async def test_a_failure_is_told_every_half_hour_while_it_lasts(orders_desk: OrderDesk) -> None:
    check(orders_desk, ExitPolicy.EXIT, "0.89")
    known = await find_open(orders_desk)
    start = orders_desk.platform.clock.now().replace(minute=1)
    for minutes in (0, 5, 10, 30, 35):
        ahead = replace(orders_desk.platform, clock=Fixed(start + timedelta(minutes=minutes)))
        result = await exits.settle_exit(ahead, known.exit_id, rejected="", error="Trading is halted.")
        assert result.counts["exits wanted"] == 1
    told = orders_desk.told("Not sold")
    assert len(told) == 2 and "Trading is halted" in told[0] and "next chain tries again" in told[0]


class Fixed:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at
