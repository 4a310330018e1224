"""A stop loss from end to end: price falls, one urgent alert, sold by hand, closed, and never told again."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from deployments.by_hand import ByHand
from flows.market import critical_path
from flows.on_demand import set_stop_loss
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def run_chain() -> State[Any]:
    return await critical_path(return_state=True)


async def test_a_triggered_stop_is_told_once_and_a_sale_by_hand_closes_the_position(prefect_world: World) -> None:
    world = prefect_world
    first = await run_chain()
    assert first.is_completed(), first.message
    async with world.platform() as platform:
        held = {one.symbol: one for one in platform.portfolio.load_held("demo")}
    sol = held["SOL/USDT"]
    assert sol.valuation is not None
    lower = min(sol.valuation.price, sol.position.average_cost)
    stop = (lower * Decimal("0.95")).quantize(Decimal("0.01"))
    await set_stop_loss("demo", "SOL/USDT", stop_loss=stop)
    assert not world.webhooks.messages

    world.simulator.control.set_price("SOLUSDT", stop - 1)
    second = await run_chain()
    assert second.is_completed(), second.message
    assert [post for post in world.webhooks.contents if "SOL/USDT" in post and "🛑" in post]
    assert len(world.webhooks.messages) == 1
    assert "1 triggered" in (await read_run(id_of(second))).name
    artifacts = await read_artifacts(id_of(second))
    assert "triggered" in artifacts["critical-path"]

    cash = await read_cash(world)
    by_hand = ByHand(world.simulator.url, API_KEY, API_SECRET)
    sale = await asyncio.to_thread(by_hand.sell_all, "SOL/USDT")
    third = await run_chain()
    assert third.is_completed(), third.message
    assert len(world.webhooks.messages) == 1
    async with world.platform() as platform:
        assert "SOL/USDT" not in {one.symbol for one in platform.portfolio.load_held("demo")}
        private = platform.accounts["demo"]
        assert private is not None
        balances = await private.fetch_balances()
        fills = await private.fetch_fills("SOL/USDT", 0)
    sold = [fill for fill in fills if fill.order_id == sale.order_id]
    assert {fill.fee_asset for fill in sold} == {"USDT"}
    quantity = sum((fill.quantity for fill in sold), Decimal(0))
    proceeds = sum((fill.price * fill.quantity - fill.fee for fill in sold), Decimal(0))
    cost = sol.position.cost_quote * quantity / sol.position.quantity
    loss = read_realized(world, "SOL/USDT") - sol.position.realized_pnl_quote
    assert round(loss, 8) == round(proceeds - cost, 8)
    assert loss < 0
    assert balances["USDT"].total == cash + proceeds
    fourth = await run_chain()
    assert fourth.is_completed()
    assert len(world.webhooks.messages) == 1


async def read_cash(world: World) -> Decimal:
    async with world.platform() as platform:
        private = platform.accounts["demo"]
        assert private is not None
        return (await private.fetch_balances())["USDT"].total


def read_realized(world: World, symbol: str) -> Decimal:
    query = "SELECT realized_pnl_quote FROM positions WHERE symbol = :symbol AND closed_at IS NOT NULL"
    return Decimal(world.query(query, symbol=symbol)[-1][0])
