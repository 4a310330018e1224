"""The protocol against the simulator over HTTP, whose books are the independent truth."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import AccountBusy, CheckRefused, DatabaseUnavailable, ExchangeUnavailable, OrderRefused
from lib.execution.orders import OrderIntent, OrderKind, OrderState, TimeInForce
from lib.portfolio.fills import Side
from tests.execution.conftest import Bench

SIZE = Decimal("0.01")
ONCE = [("fks-1", "FILLED", SIZE)]
RESTING: dict[str, Any] = {"kind": OrderKind.LIMIT, "limit_price": Decimal(49_000)}


async def test_an_order_is_placed_and_its_fills_are_the_exchanges(bench: Bench) -> None:
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert (order.state, order.remainder) == (OrderState.FILLED, Decimal(0))
    assert bench.booked() == ONCE
    assert bench.fills_agree()
    assert bench.store.load_orders("main") == [order]
    assert bench.outcomes() == ["accepted"]
    assert bench.checked == ["fks-1"]


async def test_placed_again_it_is_the_same_order(bench: Bench) -> None:
    async with bench.open() as placing:
        first = await placing.place(bench.intend())
    bench.clock.instant += timedelta(hours=1)
    async with bench.open() as placing:
        assert await placing.place(bench.intend(reference_price=Decimal(51_000))) == first
        with pytest.raises(OrderRefused, match=r"already names buy 0\.01 BTC/USDT"):
            await placing.place(bench.intend(quantity=Decimal("0.02")))
    assert bench.booked() == ONCE


@pytest.mark.parametrize(
    ("fault", "how", "outcomes"),
    [
        ("timeout_before", {}, ["absent", "accepted"]),
        ("timeout_after", {}, ["accepted"]),
        ("drop_before", {}, ["absent", "accepted"]),
        ("drop_after", {}, ["accepted"]),
        ("unknown_before", {}, ["absent", "accepted"]),
        ("unknown_after", {}, ["accepted"]),
        ("status", {"status": 500}, ["absent", "accepted"]),
        ("status", {"status": 503}, ["absent", "accepted"]),
        ("status", {"status": 429, "retry_after": 3}, ["not_sent", "accepted"]),
        ("timestamp", {}, ["not_sent", "accepted"]),
        ("body", {"variant": "empty"}, ["accepted"]),
        ("body", {"variant": "html"}, ["accepted"]),
        ("body", {"variant": "truncated"}, ["accepted"]),
        ("body", {"variant": "text"}, ["accepted"]),
        ("types", {"variant": "numbers_as_text"}, ["accepted"]),
        ("types", {"variant": "nan"}, ["accepted"]),
    ],
)
async def test_whatever_goes_wrong_it_is_executed_once(
    bench: Bench, fault: str, how: dict[str, Any], outcomes: list[str]
) -> None:
    bench.arm(fault, **how)
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert order.state is OrderState.FILLED
    assert bench.booked() == ONCE
    assert bench.fills_agree()
    assert bench.outcomes() == outcomes


async def test_nothing_is_sent_again_before_the_grace_time_has_passed(bench: Bench) -> None:
    bench.arm("drop_before")
    started_at = bench.clock.now()
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert order.attempts[1].attempted_at - order.attempts[0].attempted_at >= bench.rules.grace
    assert order.attempts[0].attempted_at == started_at
    assert bench.checked == ["fks-1", "fks-1"]


async def test_what_cannot_be_looked_up_is_left_unknown_and_taken_over_later(bench: Bench) -> None:
    bench.arm("drop_after")
    bench.arm("status", "GET", status=500, count=0)
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert order.state is OrderState.UNKNOWN
    assert bench.store.load_unfinished("main") == [order]
    bench.simulator.control.clear_faults()
    async with bench.open() as placing:
        [order] = await placing.resume(may_send=False)
    assert order.state is OrderState.FILLED
    assert bench.booked() == ONCE
    assert bench.fills_agree()


async def test_without_leave_to_send_an_absent_order_is_only_found_absent(bench: Bench) -> None:
    bench.arm("drop_before")
    bench.arm("status", "GET", status=500, count=0)
    async with bench.open() as placing:
        await placing.place(bench.intend())
    bench.simulator.control.clear_faults()
    async with bench.open() as placing:
        [order] = await placing.resume(may_send=False)
        assert (order.state, bench.booked()) == (OrderState.NEW, [])
        [order] = await placing.resume(may_send=True)
    assert bench.booked() == ONCE


async def test_an_order_the_exchange_never_takes_is_given_up(bench: Bench) -> None:
    bench.arm("drop_before", count=0)
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert order.state is OrderState.REJECTED
    assert "Sent 3 times, the exchange never had it" in order.reason
    assert (bench.booked(), bench.outcomes()) == ([], ["absent"] * 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": Decimal(100)}, "not enough funds"),
        ({"quantity": Decimal("0.010000001")}, "code -1111|LOT_SIZE|-1013"),
        ({"quantity": Decimal("0.00001")}, "NOTIONAL"),
        ({"kind": OrderKind.LIMIT, "limit_price": Decimal("1")}, "PERCENT_PRICE"),
    ],
)
async def test_what_the_exchange_refuses_is_rejected_with_its_words_and_not_sent_again(
    bench: Bench, changes: dict[str, Any], words: str
) -> None:
    async with bench.open() as placing:
        order = await placing.place(bench.intend(**changes))
    assert order.state is OrderState.REJECTED
    assert any(word in order.reason for word in words.split("|")), order.reason
    assert (bench.booked(), bench.outcomes()) == ([], ["refused"])


async def test_an_order_that_was_booked_as_rejected_is_rejected(bench: Bench) -> None:
    bench.arm("reject", reason="NONE")
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert (order.state, order.reason) == (OrderState.REJECTED, "The exchange took it and rejected it.")


async def test_a_refused_check_rejects_before_anything_is_sent(bench: Bench) -> None:
    async def refuse(intent: OrderIntent) -> None:
        raise CheckRefused("halted", "Trading is halted. Release it first.")

    async with bench.open(check=refuse) as placing:
        order = await placing.place(bench.intend())
    assert (order.state, order.refusal, order.attempts) == (OrderState.REJECTED, "halted", ())
    assert order.reason == "Trading is halted. Release it first."
    assert bench.booked() == []


async def test_a_check_that_cannot_be_made_leaves_the_order_new(bench: Bench) -> None:
    async def fail(intent: OrderIntent) -> None:
        raise ExchangeUnavailable("no book")

    async with bench.open(check=fail) as placing:
        with pytest.raises(ExchangeUnavailable):
            await placing.place(bench.intend())
    assert [order.state for order in bench.store.load_unfinished("main")] == [OrderState.NEW]


async def test_an_order_that_was_lost_is_checked_again_before_it_is_sent_again(bench: Bench) -> None:
    async def allow_first(intent: OrderIntent) -> None:
        bench.checked.append(intent.client_order_id)
        if len(bench.checked) > 1:
            raise CheckRefused("price_moved", "The price has moved.")

    bench.arm("drop_before")
    async with bench.open(check=allow_first) as placing:
        order = await placing.place(bench.intend())
    assert (order.state, order.refusal, bench.booked()) == (OrderState.REJECTED, "price_moved", [])


async def test_partial_fills_accumulate_until_the_order_is_filled(bench: Bench) -> None:
    bench.simulator.control.arm("partial_fill", fraction="0.4", hold_seconds=5)
    async with bench.open() as placing:
        order = await placing.place(bench.intend(kind=OrderKind.LIMIT, limit_price=Decimal(51_000)))
        assert (order.state, order.executed_quantity) == (OrderState.PARTIALLY_FILLED, Decimal("0.004"))
        assert order.remainder == Decimal("0.006")
        await bench.clock.wait(10)
        [order] = await placing.resume(may_send=False)
    assert (order.state, len(order.fills), order.remainder) == (OrderState.FILLED, 2, Decimal(0))
    assert bench.fills_agree()


async def test_what_a_market_order_does_not_get_expires_as_the_remainder(bench: Bench) -> None:
    bench.simulator.control.arm("partial_fill", fraction="0.4", rest="expired")
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert (order.state, order.remainder) == (OrderState.EXPIRED, Decimal("0.006"))
    assert bench.fills_agree()


async def test_a_bound_that_nobody_sells_at_expires_unfilled(bench: Bench) -> None:
    beyond = bench.intend(kind=OrderKind.LIMIT, limit_price=Decimal(49_990), time_in_force=TimeInForce.IOC)
    async with bench.open() as placing:
        order = await placing.place(beyond)
    assert (order.state, order.fills, order.remainder) == (OrderState.EXPIRED, (), SIZE)


async def test_fills_that_are_told_late_are_waited_for(bench: Bench) -> None:
    bench.arm("status", "GET", "/api/v3/myTrades", status=500, count=2)
    async with bench.open() as placing:
        order = await placing.place(bench.intend())
    assert order.state is OrderState.FILLED
    assert bench.fills_agree()


async def test_a_resting_order_rests_and_can_be_cancelled(bench: Bench) -> None:
    async with bench.open() as placing:
        order = await placing.place(bench.intend(**RESTING))
        assert (order.state, bench.clock.now()) == (OrderState.OPEN, order.changed_at)
        [report] = await bench.orders.fetch_open_orders(["BTC/USDT"])
        assert (report.client_order_id, report.price, report.state) == ("fks-1", Decimal(49_000), OrderState.OPEN)
        order = await placing.cancel("fks-1")
        assert (order.state, order.remainder) == (OrderState.CANCELLED, SIZE)
        assert await placing.cancel("fks-1") == order
    assert bench.booked() == [("fks-1", "CANCELED", Decimal(0))]


@pytest.mark.parametrize("fault", ["drop_after", "unknown_after", "timeout_after"])
async def test_a_cancellation_whose_answer_is_lost_is_looked_up(bench: Bench, fault: str) -> None:
    async with bench.open() as placing:
        await placing.place(bench.intend(**RESTING))
        bench.arm(fault, "DELETE")
        assert (await placing.cancel("fks-1")).state is OrderState.CANCELLED


async def test_what_filled_before_it_was_cancelled_is_filled(bench: Bench) -> None:
    async with bench.open() as placing:
        await placing.place(bench.intend(**RESTING))
        bench.simulator.control.set_price("BTCUSDT", "48000")
        order = await placing.cancel("fks-1")
    assert order.state is OrderState.FILLED
    assert bench.fills_agree()


async def test_a_stop_waits_at_the_exchange_and_fills_when_it_triggers(bench: Bench) -> None:
    stop = bench.intend(
        kind=OrderKind.STOP_LOSS_LIMIT, side=Side.SELL, stop_price=Decimal(47_000), limit_price=Decimal(46_000)
    )
    async with bench.open() as placing:
        assert (await placing.place(stop)).state is OrderState.OPEN
        bench.simulator.control.set_price("BTCUSDT", "46900")
        await bench.clock.wait(1)
        [order] = await placing.resume(may_send=False)
    assert order.state is OrderState.FILLED
    assert bench.fills_agree()


async def test_one_process_at_a_time_writes_an_accounts_orders(bench: Bench) -> None:
    bench.query("INSERT INTO accounts VALUES ('other', 'live', 'simulator', 'USDT', now())")
    async with bench.open():
        with pytest.raises(AccountBusy, match="Another run places orders of account main"):
            async with bench.open():
                raise AssertionError
        with bench.store.open_desk("other"):
            pass
    async with bench.open():
        pass


async def test_whoever_has_lost_the_lock_sends_nothing(bench: Bench) -> None:
    async with bench.open() as placing:
        bench.query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 20306"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with pytest.raises(DatabaseUnavailable):
            await placing.place(bench.intend())
        with pytest.raises(DatabaseUnavailable, match="lock was lost"):
            await placing.place(bench.intend("fks-2"))
    assert bench.booked() == []
    async with bench.open() as placing:
        await placing.place(bench.intend())
    assert bench.booked() == ONCE


async def test_an_intent_that_was_never_sent_can_be_withdrawn(bench: Bench) -> None:
    with bench.store.open_desk("main") as desk:
        await asyncio.to_thread(desk.add, bench.intend())
    async with bench.open() as placing:
        order = await placing.cancel("fks-1")
    assert (order.state, order.reason) == (OrderState.REJECTED, "It was withdrawn before it was sent.")


async def test_what_was_ordered_today_counts_with_what_may_still_fill(bench: Bench) -> None:
    since = bench.clock.now()
    async with bench.open() as placing:
        filled = await placing.place(bench.intend())
        await placing.place(bench.intend("fks-2", **RESTING))
        await placing.place(bench.intend("fks-3", quantity=Decimal(100)))
    expected = filled.executed_notional + SIZE * 50_000
    assert bench.store.load_notional("main", since) == expected
    assert bench.store.load_notional("main", since, without="fks-2") == filled.executed_notional
    assert bench.store.load_notional("main", since + timedelta(days=1)) == 0


@pytest.mark.parametrize("endpoint", ["/api/v3/order", "/api/v3/myTrades"])
async def test_a_run_that_is_cancelled_leaves_its_order_to_the_next(bench: Bench, endpoint: str) -> None:
    bench.account.link.client.timeout = 10_000
    bench.arm("timeout_after", "*", endpoint, seconds=10)

    async def place() -> None:
        async with bench.open() as placing:
            await placing.place(bench.intend())

    run = asyncio.create_task(place())
    while not await asyncio.to_thread(bench.booked):
        pass
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with bench.open() as placing:
        [order] = await placing.resume(may_send=False)
    assert order.state is OrderState.FILLED
    assert bench.booked() == ONCE
    assert bench.fills_agree()


async def test_cancelled_at_any_moment_the_desk_is_free_and_the_order_is_executed_once(bench: Bench) -> None:
    for number in range(12):
        intent = bench.intend(f"fks-{number}")

        async def place(intent: OrderIntent = intent) -> None:
            async with bench.open() as placing:
                await placing.place(intent)

        run = asyncio.create_task(place())
        for _ in range(3 * number):  # a later moment each time
            await asyncio.sleep(0)
            await asyncio.to_thread(bench.query, "SELECT 1")
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run
        async with bench.open() as placing:
            assert (await placing.place(intent)).state is OrderState.FILLED
    assert sorted(bench.booked()) == sorted((f"fks-{number}", "FILLED", SIZE) for number in range(12))
    assert bench.fills_agree()
