"""Orders of paper accounts, through the protocol, on a real database and the simulator's book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.engine import make_engine
from lib.adapters.database.orders import DatabaseOrders
from lib.errors import UnknownOrder
from lib.execution.orders import OrderIntent, OrderKind, OrderState, TimeInForce
from lib.execution.placing import Placing, PlacingRules, open_placing
from lib.paper.account import PaperAccount
from lib.paper.orders import PaperOrders
from lib.ports import SystemClock
from lib.tasks import market
from tests.execution.test_orders import intend
from tests.platforms import World

IOC = {"kind": OrderKind.LIMIT, "time_in_force": TimeInForce.IOC}


@pytest.fixture(autouse=True)
def one_paper_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__KIND", "paper")
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__PAPER_CASH", "100000")  # more than the best level ever costs


@dataclass
class Desk:
    placing: Placing
    orders: PaperOrders
    paper: PaperAccount
    best: Decimal
    there: Decimal


def want(name: str = "fks-1", **changes: Any) -> OrderIntent:
    given = {"account": "paper", "symbol": "SOL/USDT", "quantity": Decimal("0.5"), "client_order_id": name}
    return intend(**given | changes)


@asynccontextmanager
async def open_desk(world: World) -> AsyncIterator[Desk]:
    async def allow(intent: OrderIntent) -> None:
        return None

    engine = make_engine(world.database_url)
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        paper = platform.accounts["paper"]
        assert isinstance(paper, PaperAccount)
        level = (await platform.books.fetch_book("SOL/USDT")).asks[0]
        orders, store, clock = PaperOrders(paper), DatabaseOrders(engine), SystemClock()
        rules = PlacingRules(poll_seconds=0.01)
        async with open_placing(
            "paper", store=store, venue=orders, check=allow, clock=clock, rules=rules, wait=asyncio.sleep
        ) as placing:
            yield Desk(placing, orders, paper, level.price, level.quantity)
    engine.dispose()


async def test_an_order_goes_through_the_same_protocol_and_fills_once(world: World) -> None:
    async with open_desk(world) as desk:
        order = await desk.placing.place(want())
        assert await desk.placing.place(want()) == order
        assert (await desk.paper.fetch_fills("SOL/USDT", 0)) == list(order.fills)
    assert (order.state, order.remainder) == (OrderState.FILLED, Decimal(0))
    assert world.query("SELECT count(*) FROM paper_orders") == [(1,)]


async def test_a_bound_is_kept_and_the_rest_expires(world: World) -> None:
    async with open_desk(world) as desk:
        more = desk.there + Decimal("0.5")
        order = await desk.placing.place(want(**IOC, limit_price=desk.best, quantity=more))
        assert {fill.price for fill in order.fills} <= {desk.best}
        beyond = await desk.placing.place(want("fks-2", **IOC, limit_price=desk.best / 2))
    assert (order.state, beyond.state) == (OrderState.EXPIRED, OrderState.REJECTED)
    assert "Nobody in the order book" in beyond.reason


async def test_what_would_wait_or_does_not_fit_is_refused_with_the_remedy(world: World) -> None:
    async with open_desk(world) as desk:
        resting = await desk.placing.place(want(kind=OrderKind.LIMIT, limit_price=desk.best))
        crooked = await desk.placing.place(want("fks-2", quantity=Decimal("0.12345")))
        dear = await desk.placing.place(want("fks-3", quantity=Decimal(5_000)))
        with pytest.raises(UnknownOrder):
            await desk.orders.cancel("SOL/USDT", "fks-1")
        assert await desk.orders.find("SOL/USDT", "fks-1", resting.changed_at) is None
    assert "(ioc)" in resting.reason
    assert "in steps of 0.001" in crooked.reason
    assert "account paper has 100,000" in dear.reason


async def test_without_a_book_it_is_not_sent_and_goes_on_when_there_is_one(world: World) -> None:
    async with open_desk(world) as desk:
        world.simulator.control.arm("status", "/api/v3/depth", count=1, status=503)
        order = await desk.placing.place(want())
    assert order.state is OrderState.FILLED
    assert [attempt.outcome for attempt in order.attempts] == ["not_sent", "accepted"]
