"""Lists: a stop loss and a take profit in one request, placed once whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import CheckRefused
from lib.execution.orders import Order, OrderIntent, OrderKind, OrderState
from lib.portfolio.fills import Side
from tests.execution.conftest import Bench

SIZE = Decimal("0.01")
PATH = "/api/v3/orderList/oco"
RESTING = [("fks-1-s", "NEW", Decimal(0)), ("fks-1-t", "NEW", Decimal(0))]


def intend_list(bench: Bench, stop: str = "48000", target: str = "55000") -> list[OrderIntent]:
    shared: dict[str, Any] = {"side": Side.SELL, "kind": OrderKind.STOP_LOSS_LIMIT, "stop_price": Decimal(stop)}
    below = bench.intend("fks-1-s", limit_price=Decimal(stop) - 500, **shared)
    above = replace(
        below,
        client_order_id="fks-1-t",
        kind=OrderKind.LIMIT_MAKER,
        stop_price=None,
        limit_price=Decimal(target),
    )
    return [below, above]


async def place(bench: Bench, **limits: str) -> list[Order]:
    async with bench.open() as placing:
        return list(await placing.place_list(intend_list(bench, **limits)))


@pytest.mark.parametrize(
    ("fault", "how", "outcomes"),
    [
        (None, {}, ["accepted"]),
        ("drop_before", {}, ["absent", "accepted"]),
        ("drop_after", {}, ["accepted"]),
        ("unknown_after", {}, ["accepted"]),
        ("status", {"status": 500}, ["absent", "accepted"]),
        ("status", {"status": 429, "retry_after": 3}, ["not_sent", "accepted"]),
        ("timestamp", {}, ["not_sent", "accepted"]),
        ("body", {"variant": "html"}, ["accepted"]),
        ("types", {"variant": "numbers_as_text"}, ["accepted"]),
    ],
)
async def test_whatever_goes_wrong_one_list_rests(
    bench: Bench, fault: str | None, how: dict[str, Any], outcomes: list[str]
) -> None:
    if fault is not None:
        bench.arm(fault, path=PATH, **how)
    placed = await place(bench)
    assert [order.state for order in placed] == [OrderState.OPEN, OrderState.OPEN]
    assert bench.booked() == RESTING
    assert bench.checked == ["fks-1-s"] * len(outcomes)
    assert bench.outcomes() == [one for one in outcomes for _ in range(2)]
    assert await place(bench) == placed  # run again, it is the same list
    assert bench.booked() == RESTING


@pytest.mark.parametrize(("price", "ends"), [("47900", ("filled", "expired")), ("55100", ("expired", "filled"))])
async def test_one_that_fills_ends_the_other_and_what_it_sold_is_ours(
    bench: Bench, price: str, ends: tuple[str, str]
) -> None:
    await place(bench)
    bench.simulator.control.set_price("BTCUSDT", price)
    await bench.clock.wait(1)
    async with bench.open() as placing:
        ended = await placing.resume(may_send=False)
    assert tuple(order.state.value for order in ended) == ends
    assert sum(order.executed_quantity for order in ended) == SIZE
    assert bench.fills_agree()


async def test_one_that_is_cancelled_takes_the_other_with_it(bench: Bench) -> None:
    await place(bench)
    async with bench.open() as placing:
        assert (await placing.cancel("fks-1-s")).state is OrderState.CANCELLED
        assert (await placing.cancel("fks-1-t")).state is OrderState.CANCELLED
    assert [status for _, status, _ in bench.booked()] == ["CANCELED", "CANCELED"]
    assert bench.simulator.control.stats()["by_route"]["DELETE /api/v3/order"] == 1


@pytest.mark.parametrize("limits", [{"stop": "50500"}, {"target": "49500"}, {"target": "5000000"}])
async def test_what_the_exchange_refuses_is_rejected_as_a_whole_with_its_reason(
    bench: Bench, limits: dict[str, str]
) -> None:
    placed = await place(bench, **limits)
    assert {order.state for order in placed} == {OrderState.REJECTED}
    assert all(order.reason and not order.refusal for order in placed)
    assert bench.booked() == []


async def test_what_our_own_check_refuses_is_not_sent(bench: Bench) -> None:
    async def refuse(_: OrderIntent) -> None:
        raise CheckRefused("halted", "Trading is halted.")

    async with bench.open(check=refuse) as placing:
        placed = await placing.place_list(intend_list(bench))
    assert {(order.state, order.refusal) for order in placed} == {(OrderState.REJECTED, "halted")}
    assert bench.outcomes() == [] and bench.booked() == []


async def test_what_cannot_be_looked_up_is_found_by_the_next_run(bench: Bench) -> None:
    bench.rules = replace(bench.rules, patience=timedelta(0))
    bench.arm("drop_after", path=PATH)
    bench.arm("status", "GET", status=500, count=0)
    left = await place(bench)
    assert {order.state for order in left} == {OrderState.UNKNOWN}
    bench.simulator.control.clear_faults()
    async with bench.open() as placing:
        found = await placing.resume(may_send=False)
    assert {order.state for order in found} == {OrderState.OPEN}
    assert bench.booked() == RESTING


async def test_lists_do_not_count_for_the_limit_of_a_day(bench: Bench) -> None:
    await place(bench)
    day = bench.clock.now().replace(hour=0)
    assert bench.store.load_notional("main", day) == 0
