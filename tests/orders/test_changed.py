"""What changes between a person's approval and the order: each refuses it with a reason, or does not matter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lib.errors import CheckRefused, CredentialsRefused, FksError, OrderRefused
from tests.orders.conftest import OrderDesk


def raise_minimum(desk: OrderDesk) -> None:
    desk.world.query("UPDATE symbols SET min_notional = 100000 WHERE name = 'SOL/USDT'")


def note_the_halt(desk: OrderDesk) -> None:
    desk.world.query("UPDATE symbols SET status = 'halted' WHERE name = 'SOL/USDT'")


def halt(desk: OrderDesk) -> None:
    desk.world.simulator.control.halt("SOLUSDT")


def refuse_the_key(desk: OrderDesk) -> None:
    for path in ("/api/v3/account", "/sapi/*"):
        desk.world.simulator.control.arm("status", path, count=0, status=401, code=-2015)


def let_the_exchange_refuse(desk: OrderDesk) -> None:
    reason = "Account has insufficient balance for requested action."
    desk.world.simulator.control.arm("reject", reason=reason)


CHANGES: list[tuple[Callable[[OrderDesk], None], type[FksError], str]] = [
    (raise_minimum, CheckRefused, "at least 100,000.00 USDT an order in SOL/USDT"),
    (note_the_halt, CheckRefused, "SOL/USDT is halted on the exchange"),
    (halt, OrderRefused, "Market is closed"),
    (refuse_the_key, CredentialsRefused, "refused the key"),
    (let_the_exchange_refuse, OrderRefused, "insufficient balance"),
]


async def test_what_changed_since_the_approval_refuses_the_order_with_its_reason(orders_desk: OrderDesk) -> None:
    reviews = [await orders_desk.open(f"run-{number}") for number in range(len(CHANGES))]
    for review, (change, error, words) in zip(reviews, CHANGES, strict=True):
        await orders_desk.answer(review)
        change(orders_desk)
        with pytest.raises(error, match=words):
            await orders_desk.place(review)
        orders_desk.world.query("UPDATE symbols SET min_notional = 5, status = 'trading' WHERE name = 'SOL/USDT'")
        orders_desk.world.simulator.control.resume("SOLUSDT")
        orders_desk.world.simulator.control.clear_faults()
    assert orders_desk.booked() == []


async def test_a_deposit_and_a_clock_that_is_off_change_nothing_of_an_approved_order(orders_desk: OrderDesk) -> None:
    review = await orders_desk.open()
    await orders_desk.answer(review)
    control = orders_desk.world.simulator.control
    control.request("POST", "/deposit", asset="USDT", amount="5000")
    control.arm("timestamp", "/api/v3/order", "POST")  # -1021, as by a clock that was set meanwhile
    result = await orders_desk.place(review)
    assert review.ticket is not None and result.order is not None
    assert (result.order.executed_quantity, len(orders_desk.booked())) == (review.ticket.quantity, 1)
