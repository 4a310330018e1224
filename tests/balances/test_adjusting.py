"""Positions follow what comes and leaves without a fill; equity and the day's profit stay as they are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.balances.flows import FlowKind
from lib.errors import BadAnswer
from lib.portfolio.stops import check_stop_loss
from lib.portfolio.stores import HeldPosition
from lib.results import TaskResult
from tests.balances.conftest import MORNING, Desk
from tests.portfolio.samples import ACCOUNT


def held(desk: Desk, symbol: str = "SOL/USDT") -> HeldPosition | None:
    return {one.symbol: one for one in desk.portfolio.load_held(ACCOUNT)}.get(symbol)


def size(desk: Desk) -> tuple[Any, ...]:
    """Quantity, cost and realized profit of the SOL position."""
    (row,) = desk.query("SELECT * FROM positions WHERE symbol = 'SOL/USDT'")
    return row.quantity, row.cost_quote, row.realized_pnl_quote


def check(desk: Desk) -> TaskResult:
    return check_stop_loss(
        account=ACCOUNT,
        store=desk.portfolio,
        clock=desk.clock,
        max_age=timedelta(minutes=2),
        realert=timedelta(minutes=30),
    )


async def test_a_withdrawal_that_the_exchange_tells_takes_its_part_of_the_position(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    position = held(desk)
    assert position is not None
    desk.portfolio.save_limits(position, Decimal(90), None)
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-4")
    result = await desk.sync(minutes=10)
    assert result.counts["ledger entries"] == 1
    assert size(desk) == (6, 600, 0)
    for _ in range(2):
        again = await desk.sync(minutes=15)
        assert again.counts["ledger entries"] == 0
        assert size(desk) == (6, 600, 0)
    assert (desk.last().equity, desk.last().positions_value, desk.last().unrealized_pnl) == (9_600, 600, 0)
    assert (desk.last().day_flows, desk.last().day_pnl, desk.last().realized_pnl) == (-400, 0, 0)
    position = held(desk)
    assert position is not None
    assert position.stop_loss == 90
    assert position.is_covered


async def test_a_position_that_wholly_left_is_closed_and_its_stop_loss_triggers_no_more(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    position = held(desk)
    assert position is not None
    desk.portfolio.save_limits(position, Decimal(90), None)
    desk.exchange.price(SOL="80")
    await desk.update()
    assert check(desk).counts["triggered"] == 1
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-10")
    result = await desk.sync(minutes=10)
    (item,) = [item for item in result.items if item.name == "demo SOL/USDT ledger"]
    expected = "withdrawal of 10 SOL: the position was 10 and is nothing; it is closed, and its stop loss with it"
    assert item.detail == expected
    assert held(desk) is None
    assert check(desk).counts["watched"] == 0


async def test_a_deposited_coin_is_a_position_at_its_value_then(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "2")
    await desk.sync(minutes=10)
    assert size(desk) == (2, 200, 0)
    desk.exchange.price(SOL="110")
    await desk.sync(minutes=15)
    assert (desk.last().positions_value, desk.last().other_value, desk.last().unrealized_pnl) == (220, 0, 20)
    assert (desk.last().day_flows, desk.last().day_pnl) == (200, 20)
    desk.exchange.trade("sell", "2", "110")
    await desk.sync(minutes=15)
    assert size(desk) == (0, 0, 20)
    assert (desk.last().realized_pnl, desk.last().day_pnl) == (20, 20)
    assert desk.query("SELECT * FROM unmatched_disposals") == []


async def test_a_coin_sold_through_another_market_leaves_the_position_when_somebody_says_so(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.exchange.price(SOL="110")
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-5", told=False)
    desk.move("BTC", "0.011", told=False)
    for _ in range(2):
        result = await desk.sync(minutes=15)
    assert [one.asset for one in result.breaks] == ["BTC", "SOL"]
    assert size(desk) == (10, 1000, 0)  # nobody has said yet what it was
    desk.classify("SOL", FlowKind.TRADE)
    desk.classify("BTC", FlowKind.TRADE)
    await desk.sync(minutes=15)
    assert size(desk) == (5, 500, 50)
    bought = held(desk, "BTC/USDT")
    assert bought is not None
    assert (bought.position.quantity, bought.position.cost_quote) == (Decimal("0.011"), Decimal(550))
    await desk.sync(minutes=15)
    assert (desk.last().equity, desk.last().day_flows, desk.last().day_pnl) == (10_100, 0, 100)
    assert (desk.last().realized_pnl, desk.last().unrealized_pnl, desk.last().other_value) == (50, 50, 0)


@pytest.mark.parametrize(("amount", "expected"), [("1", (11, 1100, 100)), ("-1", (9, 900, -100))])
async def test_what_is_profit_or_loss_is_realized(desk: Desk, amount: str, expected: tuple[int, ...]) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", amount, told=False)
    for _ in range(2):
        await desk.sync(minutes=15)
    desk.classify("SOL", FlowKind.OTHER)
    for _ in range(2):
        await desk.sync(minutes=15)
    assert size(desk) == expected
    assert desk.last().day_pnl == desk.last().realized_pnl == expected[2]


async def test_what_had_left_before_the_first_comparison_is_in_no_position_and_late_fills_keep_it_so(
    desk: Desk,
) -> None:
    desk.exchange.trade("buy", "10", "100")
    desk.clock.pass_time(hours=1)
    hidden = desk.exchange.trade("sell", "3", "120")
    desk.exchange.hidden.add(hidden.key)
    desk.exchange.deposit("SOL", Decimal(-4))
    desk.clock.pass_time(hours=1)
    await desk.sync()
    assert size(desk) == (3, 300, 0)
    desk.exchange.hidden.clear()
    await desk.sync(hours=2)
    assert size(desk) == (3, 300, 60)
    assert desk.query("SELECT * FROM ledger_adjustments") == []
    assert desk.breaks() == []


async def test_a_fill_that_comes_late_does_not_undo_an_adjustment(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    late = desk.exchange.trade("buy", "2", "130")
    desk.exchange.hidden.add(late.key)
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-6")
    await desk.sync(minutes=5)
    assert size(desk) == (4, 400, 0)
    desk.exchange.hidden.clear()
    await desk.sync(minutes=5)
    assert size(desk) == (6, 630, 0)  # six of twelve that cost 1260
    desk.exchange.trade("sell", "6", "110")
    await desk.update()
    assert size(desk) == (0, 0, 30)


async def test_an_older_fill_that_turns_up_keeps_the_stop_loss_of_a_deposited_coin(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    late = desk.exchange.trade("buy", "1", "90")
    desk.exchange.hidden.add(late.key)
    desk.clock.pass_time(minutes=1)
    desk.move("SOL", "2")
    await desk.sync(minutes=4)
    position = held(desk)
    assert position is not None
    desk.portfolio.save_limits(position, Decimal(80), None)
    desk.exchange.hidden.clear()
    await desk.sync(minutes=5)
    position = held(desk)
    assert position is not None
    assert (position.position.opened_by, position.position.quantity) == (late.key, Decimal(3))
    assert position.stop_loss == 80


async def test_a_withdrawal_that_failed_after_all_gives_the_position_back(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-4")
    await desk.sync(minutes=10)
    (flow,) = desk.exchange.flows
    desk.exchange.flows = [type(flow)(**{**vars(flow), "is_booked": False})]
    desk.exchange.deposit("SOL", Decimal(4))
    desk.exchange.price(SOL="120")
    for _ in range(2):
        await desk.sync(minutes=15)
    assert size(desk) == (10, 1000, 0)
    assert (desk.last().equity, desk.last().day_pnl) == (10_200, 120)  # six rose by 20; four were away meanwhile


async def test_a_coin_without_a_market_gets_no_position(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.prices["SPAM/USDT"] = Decimal(1)
    desk.clock.pass_time(minutes=5)
    desk.move("SPAM", "1000")
    result = await desk.sync(minutes=10)
    assert result.counts["ledger entries"] == 0
    assert desk.query("SELECT * FROM positions") == []
    assert desk.last().equity == 11_000


async def test_a_run_that_died_before_the_ledger_was_adjusted_is_made_up_for(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-4")
    await desk.sync(minutes=10)
    desk.query("DELETE FROM ledger_adjustments")  # as if it had been killed after the flow was counted
    desk.query("UPDATE positions SET quantity = 10, cost_quote = 1000")
    result = await desk.sync(minutes=15)
    assert (result.counts["ledger entries"], size(desk)) == (1, (6, 600, 0))


async def test_an_import_that_fails_leaves_adjustments_to_the_next_run(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-4")
    desk.exchange.refusing["SOL/USDT"] = BadAnswer("nonsense")
    await desk.sync(minutes=10)
    assert size(desk) == (6, 600, 0)
    assert desk.query("SELECT at FROM ledger_adjustments") == [(MORNING + timedelta(minutes=5),)]
