"""A platform whose market stands still, with the demo account's positions, for orders without Prefect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from lib.allocation.stores import Decision
from lib.execution.approval import ApprovalForm
from lib.execution.opening import OpeningWish
from lib.execution.ticket_report import OrderResult, OrderReview
from lib.platform import Platform
from lib.tasks import dealing, market, orders, portfolio
from tests.platforms import World
from tests.simulators import API_KEY

LIVE = "demo"


@dataclass
class OrderDesk:
    """What a flow run would do, one step after the other.

    Attributes:
        world: Everything around the platform.
        platform: It.
        halt: Why trading is halted.
    """

    world: World
    platform: Platform
    halt: str | None = None

    async def halted(self) -> str | None:
        return self.halt

    async def open(self, run: str = "run-1", *, execute: bool = True, **wish: Any) -> OrderReview:
        """Review a purchase."""
        given: dict[str, Any] = {"account": LIVE, "symbol": "SOL/USDT", "notional": Decimal(1000)}
        asked = OpeningWish(**given | wish)
        return await orders.review_opening(
            self.platform, asked, timeframe=None, run=run, execute=execute, halted=self.halted
        )

    async def close(
        self,
        run: str = "run-1",
        *,
        execute: bool = True,
        quantity: Decimal | None = None,
        share: int = 100,
        **named: Any,
    ) -> OrderReview:
        """Review a sale."""
        given = {"account": LIVE, "symbol": "SOL/USDT", "exit_id": None} | named
        return await orders.review_closing(
            self.platform,
            given["account"],
            given["symbol"],
            quantity,
            Decimal(share),
            exit_id=given["exit_id"],
            run=run,
            execute=execute,
            halted=self.halted,
        )

    async def answer(self, review: OrderReview, decision: str = "approved", **more: Any) -> None:
        """Fill in the form."""
        assert review.ticket is not None
        form = ApprovalForm(approved_by="Ada", decision=Decision(decision), **more)
        await dealing.decide_order(self.platform, review.ticket.account, review.ticket.client_order_id, form)

    async def place(self, review: OrderReview) -> OrderResult:
        """Send the order."""
        assert review.ticket is not None
        ticket = review.ticket
        return await dealing.place_order(self.platform, ticket.account, ticket.client_order_id, self.halted)

    async def update(self, account: str = LIVE) -> None:
        """Import fills, and settle what is due."""
        await portfolio.update_positions(self.platform, account)

    def booked(self, key: str = API_KEY) -> list[dict[str, Any]]:
        """The orders in the simulator's books that are ours."""
        books = self.world.simulator.control.request("GET", "/books")["accounts"][key]["orders"]
        return [one for one in books if one["client_order_id"].startswith("fks-")]

    def told(self, word: str) -> list[str]:
        """The recorded messages whose title has this word."""
        rows = self.world.query("SELECT title, body FROM notifications ORDER BY notification_id")
        return [f"{row.title}\n{row.body}" for row in rows if word in row.title]

    def position(self, symbol: str = "SOL/USDT", account: str = LIVE) -> Any:
        """The open position's row, if there is one."""
        found = self.world.query(
            "SELECT * FROM positions WHERE account = :account AND symbol = :symbol AND closed_at IS NULL",
            account=account,
            symbol=symbol,
        )
        return found[0] if found else None


@pytest.fixture
async def orders_desk(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OrderDesk]:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 2}))
    monkeypatch.setenv("FKS_ORDER_GRACE_SECONDS", "10")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", API_KEY)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", "simulator-secret")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "exit")
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__KIND", "paper")
    world.simulator.control.scenario("flat")
    async with world.platform() as platform:
        await market.sync_market_data(platform, None, None, show=lambda *_: None)
        await portfolio.update_positions(platform)
        yield OrderDesk(world, platform)
