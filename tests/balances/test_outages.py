"""Cash flows that come while the exchange does not tell them: neither profit, nor a fall once they are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from lib.adapters.database.equity import DatabaseEquity
from lib.errors import CredentialsRefused, ExchangeUnavailable, FksError
from lib.results import Status
from lib.risk.drawdown import calc_drawdown
from tests.balances.conftest import MORNING, Desk
from tests.portfolio.samples import ACCOUNT


def begin_outage(desk: Desk, error: FksError | None = None) -> None:
    desk.exchange.refusing["cash flows"] = error or ExchangeUnavailable("away")


def worst_drawdown(desk: Desk) -> Decimal:
    drawdown = calc_drawdown(DatabaseEquity(desk.engine).load_equity(ACCOUNT, MORNING - timedelta(days=1)))
    assert drawdown is not None
    return drawdown.worst_ratio


@dataclass(frozen=True)
class Moved:
    asset: str
    amount: str
    value: int


MOVES = [Moved("USDT", "5000", 5_000), Moved("USDT", "-3000", -3_000), Moved("BTC", "0.1", 5_000)]


@pytest.mark.parametrize("moved", MOVES)
async def test_what_comes_or_goes_in_an_outage_is_no_profit_then_and_no_fall_later(desk: Desk, moved: Moved) -> None:
    await desk.sync()
    begin_outage(desk)
    desk.clock.pass_time(minutes=5)
    desk.move(moved.asset, moved.amount)
    for minutes in (10, 15):
        result = await desk.sync(minutes=minutes)
        assert (desk.last().equity, desk.last().unexplained_value) == (10_000 + moved.value, moved.value)
        assert (desk.last().day_flows, desk.last().day_pnl) == (0, 0)
    (item,) = [item for item in result.items if item.name == "demo ledger"]
    assert item.status is Status.SKIPPED
    assert f"{moved.value:,}.00 USDT that differ" in item.detail
    assert (result.breaks, desk.breaks(), desk.titles()) == ((), [], [])
    desk.exchange.refusing.clear()
    await desk.sync(minutes=15)
    assert (desk.last().unexplained_value, desk.last().day_flows, desk.last().day_pnl) == (0, moved.value, 0)
    assert worst_drawdown(desk) == 0


@pytest.mark.parametrize("moved", MOVES)
async def test_a_day_that_begins_in_an_outage_has_neither_profit_nor_loss_of_it(desk: Desk, moved: Moved) -> None:
    await desk.sync()
    begin_outage(desk)
    desk.clock.pass_time(minutes=5)
    desk.move(moved.asset, moved.amount)
    await desk.sync(hours=14, minutes=55)  # 00:00
    assert (desk.last().day_flows, desk.last().day_pnl) == (0, 0)
    desk.exchange.refusing.clear()
    await desk.sync(minutes=15)
    assert (desk.last().equity, desk.last().unexplained_value) == (10_000 + moved.value, 0)
    assert (desk.last().day_flows, desk.last().day_pnl) == (moved.value, 0)
    assert worst_drawdown(desk) == 0


async def test_a_profit_in_an_outage_stays_one(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    begin_outage(desk)
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "5000")
    desk.exchange.price(SOL="120")
    await desk.sync(minutes=10)
    assert (desk.last().unexplained_value, desk.last().day_pnl) == (5_000, 200)
    desk.exchange.refusing.clear()
    await desk.sync(minutes=15)
    assert (desk.last().unexplained_value, desk.last().day_flows, desk.last().day_pnl) == (0, 5_000, 200)


@pytest.mark.parametrize("error", [ExchangeUnavailable("away"), CredentialsRefused("not for deposits")])
async def test_a_deposit_is_no_profit_where_fills_are_out_too(desk: Desk, error: FksError) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.sync()
    begin_outage(desk, error)
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "5000")
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.refusing["SOL/USDT"] = ExchangeUnavailable("away")
    await desk.sync(minutes=10)
    assert (desk.last().unexplained_value, desk.last().day_pnl) == (5_000, 0)
    assert desk.breaks() == []


async def test_a_break_that_goes_in_an_outage_takes_nothing_from_the_profit(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "500", told=False)
    for minutes in (10, 15):
        await desk.sync(minutes=minutes)
    begin_outage(desk)
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "-500", told=False)
    result = await desk.sync(minutes=10)
    assert (desk.last().equity, desk.last().unexplained_value, desk.last().day_pnl) == (10_000, 0, 0)
    assert [line.state for line in result.breaks] == ["open"]
    assert len(desk.titles()) == 1
