"""Opening a position by one order: reviewed, approved, sent once, with its limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import CheckRefused, OperatorError, OrderRefused
from lib.results import Status
from tests.orders.conftest import OrderDesk


async def test_a_dry_run_shows_the_order_with_every_check_and_leaves_nothing(orders_desk: OrderDesk) -> None:
    price = await best_ask(orders_desk)
    review = await orders_desk.open(execute=False, stop_loss=price * Decimal("0.9"), take_profit=price * 2)

    assert review.status is Status.OK
    assert [item.name.removeprefix("check of ") for item in review.items] == [
        "trading halt",
        "symbol",
        "API key",
        "price and slippage",
        "steps and minima",
        "limits of the settings",
        "funds",
    ]
    (table,) = review.render_tables()
    assert "SOL/USDT, account demo" in table and "what does not fill at once expires" in table
    assert "at risk" in table
    assert not review.asks
    assert orders_desk.world.query("SELECT 1 FROM order_tickets") == []
    assert orders_desk.booked() == []


async def test_what_a_check_refuses_is_a_failed_item_of_a_dry_run_and_an_error_of_an_execution(
    orders_desk: OrderDesk,
) -> None:
    orders_desk.halt = "prices look wrong"
    review = await orders_desk.open(execute=False, notional=Decimal(10_000_000))
    refused = {item.name: item.detail for item in review.failed}
    assert review.status is Status.PARTIAL
    assert "prices look wrong" in refused["check of trading halt"]
    assert "free" in refused["check of funds"]

    with pytest.raises(CheckRefused) as error:
        await orders_desk.open(execute=True)
    assert error.value.code == "halted"
    assert orders_desk.world.query("SELECT 1 FROM order_tickets") == []


async def test_an_approved_purchase_is_sent_once_and_its_position_has_its_limits_at_once(
    orders_desk: OrderDesk,
) -> None:
    desk, price = orders_desk, await best_ask(orders_desk)
    before = desk.position().quantity
    stop, target = round(price * Decimal("0.9"), 2), round(price * 2, 2)
    review = await desk.open(stop_loss=stop, take_profit=target)
    assert review.asks and review.answer_within == timedelta(hours=12)
    (asked,) = desk.told("Approval wanted")
    assert "Resume" in asked and "buy" in asked
    with pytest.raises(OperatorError, match="Nobody approved"):
        await desk.place(review)

    await desk.answer(review, note="looks good", max_slippage_pct=Decimal("0.5"))
    again = await desk.open()  # as a resumed run begins
    assert again.ticket is not None and again.ticket.approval is not None and not again.asks
    first, second = await desk.place(again), await desk.place(again)
    await desk.update()
    await desk.update()

    assert first.order == second.order
    (booked,) = desk.booked()
    assert Decimal(booked["price"]) <= price * Decimal("1.005")
    position = desk.position()
    assert (position.stop_loss, position.take_profit) == (stop, target)
    bought = first.order.executed_quantity if first.order else Decimal(0)
    assert before < position.quantity <= before + bought
    (told,) = desk.told("Bought SOL/USDT")
    assert "Approved by Ada" in told and "fee" in told and f"stop loss {stop.normalize():f}" in told
    [[approval, code]] = desk.world.query("SELECT approval, code_version FROM order_intents")
    assert approval.startswith("Ada, ") and code


async def test_a_rejected_purchase_is_never_sent(orders_desk: OrderDesk) -> None:
    review = await orders_desk.open()
    await orders_desk.answer(review, "rejected", note="too dear")
    await orders_desk.answer(review, "approved")  # the first answer counts
    with pytest.raises(OperatorError, match="Nobody approved"):
        await orders_desk.place(review)
    assert orders_desk.booked() == []


async def test_prices_that_moved_after_the_review_refuse_the_order(orders_desk: OrderDesk) -> None:
    desk, price = orders_desk, await best_ask(orders_desk)
    review = await desk.open()
    await desk.answer(review)
    desk.world.simulator.control.set_price("SOLUSDT", round(price * Decimal("1.05"), 2))
    with pytest.raises(CheckRefused) as error:
        await desk.place(review)
    assert error.value.code == "price_moved"
    assert desk.booked() == []


async def test_a_key_that_may_withdraw_orders_nothing(orders_desk: OrderDesk) -> None:
    approved = await orders_desk.open()
    await orders_desk.answer(approved)
    orders_desk.world.simulator.control.request("PATCH", "/accounts", enable_withdrawals=True)

    shown = await orders_desk.open("run-2", execute=False)

    assert [item.name for item in shown.failed] == ["check of API key"]
    for refused in (orders_desk.open("run-3"), orders_desk.place(approved)):
        with pytest.raises(CheckRefused, match="may move money out") as error:
            await refused
        assert error.value.code == "key_may_withdraw"
    assert orders_desk.booked() == []


async def test_trading_that_was_halted_after_the_approval_and_cash_that_left_refuse_the_order(
    orders_desk: OrderDesk,
) -> None:
    review = await orders_desk.open()
    await orders_desk.answer(review)
    orders_desk.halt = "by Ada"
    with pytest.raises(CheckRefused, match="by Ada"):
        await orders_desk.place(review)
    orders_desk.halt = None
    with pytest.raises(CheckRefused, match="by Ada"):  # what was refused stays refused
        await orders_desk.place(review)

    with pytest.raises(CheckRefused) as error:
        await orders_desk.open("run-2", notional=Decimal(10_000_000))
    assert error.value.code == "not_enough"
    assert orders_desk.booked() == []


WRONG = (
    ({"notional": None}, "a quantity or a notional"),
    ({"quantity": Decimal(1)}, "was both"),
    ({"stop_loss": Decimal(10**6)}, "below the price"),
    ({"take_profit": Decimal("0.01")}, "above the price"),
    ({"notional": Decimal("0.001")}, "at least one step"),
    ({"symbol": "DOGE/USDT"}, "not watched"),
    ({"account": "nobody"}, "Unknown account"),
    ({"strategy": "breakout"}, "There is no BUY SOL/USDT of breakout"),
)


async def test_what_cannot_be_meant_is_refused_with_the_remedy(orders_desk: OrderDesk) -> None:
    for wish, words in WRONG:
        with pytest.raises(OperatorError, match=words):
            await orders_desk.open(**wish)
    price = await best_ask(orders_desk)
    orders_desk.world.query("UPDATE positions SET take_profit = :price WHERE symbol = 'SOL/USDT'", price=price / 2)
    with pytest.raises(OrderRefused, match="Give both"):  # the position would keep a target below its stop
        await orders_desk.open(stop_loss=price * Decimal("0.9"))


async def test_a_paper_account_needs_no_approval_and_takes_the_same_way(orders_desk: OrderDesk) -> None:
    review = await orders_desk.open(account="paper", stop_loss=Decimal("0.01"))
    assert not review.asks
    result = await orders_desk.place(review)
    await orders_desk.update("paper")
    assert result.status is Status.OK and result.counts["fills"] >= 1
    assert orders_desk.position(account="paper").stop_loss == Decimal("0.01")
    (told,) = orders_desk.told("Bought SOL/USDT (paper)")
    assert "Approved by settings" in told

    late = await orders_desk.open("run-2", account="paper")
    orders_desk.world.query("UPDATE order_tickets SET decided_at = decided_at - interval '31 minutes'")
    with pytest.raises(OperatorError, match="longer ago than 30 minutes"):
        await orders_desk.place(late)


async def best_ask(desk: OrderDesk) -> Decimal:
    book = await desk.platform.books.fetch_book("SOL/USDT")
    return book.asks[0].price


async def test_nothing_is_bought_when_the_market_has_crossed_its_limits_since_the_review(
    orders_desk: OrderDesk,
) -> None:
    asked = await orders_desk.open("dry", symbol="BTC/USDT", execute=False)
    assert asked.ticket is not None
    ask = asked.ticket.reference_price
    cases: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("stop", "0.985", {"stop_loss": round(ask * Decimal("0.99"), 2)}),
        ("target", "1.015", {"take_profit": round(ask * Decimal("1.01"), 2)}),
    )
    for run, moved, limits in cases:
        orders_desk.world.simulator.control.set_price("BTCUSDT", str(round(ask, 2)))
        review = await orders_desk.open(run, symbol="BTC/USDT", **limits)
        await orders_desk.answer(review)
        orders_desk.world.simulator.control.set_price("BTCUSDT", str(round(ask * Decimal(moved), 2)))
        with pytest.raises(OrderRefused, match="any more, so it is not bought"):
            await orders_desk.place(review)
    assert orders_desk.booked() == []
