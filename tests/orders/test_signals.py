"""Following a BUY signal: its size and limits, once, in time, and at its price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from lib.errors import CheckRefused, OrderRefused
from lib.market.timeframes import calc_newest_closed
from lib.strategy.roster import register_strategies
from lib.strategy.sizing import Verdict
from lib.strategy.stores import Action, Signal, SignalKey, SignalSize
from tests.orders.conftest import OrderDesk

STRATEGY = "breakout"


async def save_signal(desk: OrderDesk, *, size: str = "1.5", age: timedelta = timedelta(0)) -> Signal:
    """Store a BUY as generating signals does."""
    now = datetime.now(UTC)
    register_strategies(desk.platform.analysis.strategies, now)
    book = await desk.platform.books.fetch_book("SOL/USDT")
    price = book.asks[0].price
    key = SignalKey("1h", calc_newest_closed(now, "1h") - age, STRATEGY, "SOL/USDT")
    stop, target = round(price * Decimal("0.95"), 2), round(price * Decimal("1.1"), 2)
    signal = Signal(key, Action.BUY, 1, price, ("the close broke out",), now, stop, target, confidence=0.5)
    desk.platform.analysis.signals.save_signals([signal])
    sized = SignalSize(key, "demo", Decimal(size), Verdict.RISK, "the risk decides", now)
    desk.platform.analysis.signals.save_sizes([sized])
    return signal


async def test_a_signal_gives_size_and_limits_and_is_followed_once(orders_desk: OrderDesk) -> None:
    signal = await save_signal(orders_desk)
    review = await orders_desk.open(strategy=STRATEGY, notional=None)
    other = await orders_desk.open("run-2", strategy=STRATEGY, notional=None)  # nobody has answered yet

    assert review.ticket is not None and review.ticket.quantity == Decimal("1.5")
    assert review.answer_within <= timedelta(hours=1)  # until the next candle closes
    for one in (review, other):
        await orders_desk.answer(one)
    await orders_desk.place(review)
    await orders_desk.update()

    position = orders_desk.position()
    assert (position.stop_loss, position.take_profit) == (signal.stop_loss, signal.take_profit)
    with pytest.raises(OrderRefused, match="This signal is used"):
        await orders_desk.place(other)
    with pytest.raises(OrderRefused, match="This signal is used"):
        await orders_desk.open("run-3", strategy=STRATEGY, notional=None)
    assert len(orders_desk.booked()) == 1


async def test_a_signal_that_is_old_or_whose_price_moved_or_that_cannot_be_carried_is_refused(
    orders_desk: OrderDesk,
) -> None:
    await save_signal(orders_desk, age=timedelta(hours=1))
    with pytest.raises(OrderRefused, match="is old: it was valid until"):
        await orders_desk.open(strategy=STRATEGY, notional=None)

    signal = await save_signal(orders_desk)
    orders_desk.world.simulator.control.set_price("SOLUSDT", round(signal.price * Decimal("1.04"), 2))
    with pytest.raises(CheckRefused) as error:
        await orders_desk.open(strategy=STRATEGY, notional=None)
    assert error.value.code == "price_moved"

    orders_desk.world.query("UPDATE signal_sizes SET quantity = 0, detail = 'no cash is left'")
    with pytest.raises(OrderRefused, match="no cash is left"):
        await orders_desk.open(strategy=STRATEGY, notional=None)
    orders_desk.world.query("DELETE FROM signal_sizes")
    with pytest.raises(OrderRefused, match="was not sized for demo"):
        await orders_desk.open(strategy=STRATEGY, notional=None)


async def test_an_approval_that_comes_after_the_next_candle_buys_nothing(orders_desk: OrderDesk) -> None:
    await save_signal(orders_desk)
    review = await orders_desk.open(strategy=STRATEGY, notional=None)
    await orders_desk.answer(review)
    orders_desk.world.query("UPDATE order_tickets SET signal_opened_at = signal_opened_at - interval '1 hour'")
    with pytest.raises(OrderRefused, match="was valid until"):
        await orders_desk.place(review)
    assert orders_desk.booked() == []
