"""HIGH risk from end to end: bought too much or prices crashed, one alert with the rule, and one that it is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from deployments.by_hand import ByHand
from flows.market import critical_path, market_analysis
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

ALL = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "LINK/USDT")


@dataclass(frozen=True)
class Owner:
    """The owner of the demo account, who has sold everything; prices stand still."""

    world: World
    exchange: ByHand
    cash: Decimal

    async def buy(self, symbols: Collection[str], share: str) -> None:
        """Buy so much of what the account was worth at the beginning, of each."""
        for symbol in symbols:
            quantity = self.cash * Decimal(share) / self.read_price(symbol)
            await asyncio.to_thread(self.exchange.buy, symbol, quantity)

    async def sell(self, symbols: Collection[str]) -> None:
        """Sell all of each."""
        for symbol in symbols:
            await asyncio.to_thread(self.exchange.sell_all, symbol)

    def read_price(self, symbol: str) -> Decimal:
        """Return the exchange's price."""
        return Decimal(self.world.simulator.get("/ticker/price", symbol=symbol.replace("/", ""))["price"])

    def let_crash(self, symbols: Collection[str], change: str) -> None:
        """Let prices fall to so much of what they are."""
        for symbol in symbols:
            price = round(self.read_price(symbol) * Decimal(change), 2)
            self.world.simulator.control.set_price(symbol.replace("/", ""), price)


@pytest.fixture
async def owner(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> Owner:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 1, "1h": 20, "1d": 365}))
    for key, value in {"KIND": "live", "API_KEY": API_KEY, "API_SECRET": API_SECRET}.items():
        monkeypatch.setenv(f"FKS_ACCOUNTS__DEMO__{key}", value)  # the default account, but without stop losses
    prefect_world.simulator.control.scenario("flat")
    exchange = ByHand(prefect_world.simulator.url, API_KEY, API_SECRET)
    for asset, total in (await asyncio.to_thread(exchange.fetch_totals)).items():
        if total and asset != "USDT":
            await asyncio.to_thread(exchange.sell_all, f"{asset}/USDT")
    owner = Owner(prefect_world, exchange, (await asyncio.to_thread(exchange.fetch_totals))["USDT"])
    await analyze()
    assert not prefect_world.webhooks.messages
    return owner


async def analyze() -> State[Any]:
    """Let the next cycle see what happened on the exchange, and then the chain of risk."""
    seen: State[Any] = await critical_path(return_state=True)
    assert seen.name == "Completed", seen.message
    state: State[Any] = await market_analysis(return_state=True)
    assert state.name == "Completed", state.message
    return state


def read_newest(world: World) -> Any:
    """Return the newest row of the account's risk."""
    return world.query("SELECT * FROM risk_snapshots ORDER BY at DESC LIMIT 1")[0]


async def test_a_position_bought_too_large_is_told_once_and_once_that_it_is_over(owner: Owner) -> None:
    world = owner.world
    await owner.buy(["SOL/USDT"], "0.30")
    state = await analyze()
    row = read_newest(world)
    (alert,) = world.webhooks.contents
    worth = row.largest_share * row.equity
    assert alert.startswith(f"⚠️ HIGH risk: SOL/USDT {str(100 * row.largest_share)[:4]}")
    for part in (
        "% of equity is above 20 % (demo)",
        f"Equity {row.equity:,.2f} USDT",
        f"positions {worth:,.2f} USDT",
        "On 95 of 100 days these holdings lost at most ",
        f"What to do: sell about {worth - Decimal('0.19') * row.equity:,.2f} USDT of SOL/USDT",
    ):
        assert part in alert
    assert (row.level, [one["rule"] for one in row.fired]) == ("HIGH", ["position"])
    assert row.largest_symbol == "SOL/USDT"
    assert row.var_95 is not None
    text = (await read_artifacts(id_of(state)))["market-analysis"]
    for part in (
        "demo: HIGH",
        "largest position (SOL/USDT)",
        "people are told",
        f"{row.equity - row.market_value:,.2f}",
    ):
        assert part in text
    assert "1 HIGH risk" in (await read_run(id_of(state))).name

    again = await analyze()
    assert len(world.webhooks.messages) == 1
    assert "the alarm of " in (await read_artifacts(id_of(again)))["market-analysis"]

    await owner.sell(["SOL/USDT"])
    over = await analyze()
    assert "1 LOW risk" in (await read_run(id_of(over))).name  # what is below the exchange's steps stays
    assert [text.splitlines()[0] for text in world.webhooks.contents[1:]] == ["✅ Risk is no longer HIGH: LOW (demo)"]
    await analyze()
    assert len(world.webhooks.messages) == 2
    assert len(world.query("SELECT * FROM risk_snapshots")) == 5


async def test_too_much_bought_in_all_is_told_with_the_exposure(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_RISK_HIGH_POSITION_PCT", "30")
    await owner.buy(ALL, "0.19")
    await analyze()
    assert (read_newest(owner.world).level, owner.world.webhooks.messages) == ("MEDIUM", [])

    await owner.buy(["BTC/USDT"], "0.09")
    await analyze()
    (alert,) = owner.world.webhooks.contents
    assert alert.startswith("⚠️ HIGH risk: exposure 8")
    assert "% of equity is above 80 %" in alert
    assert "to bring exposure to 76 %" in alert

    await owner.sell(["BTC/USDT"])
    await analyze()
    assert [text.splitlines()[0] for text in owner.world.webhooks.contents[1:]] == [
        "✅ Risk is no longer HIGH: MEDIUM (demo)"
    ]


async def test_a_crash_is_told_urgently_with_the_loss(owner: Owner) -> None:
    await owner.buy(ALL, "0.18")
    await analyze()
    assert not owner.world.webhooks.messages

    owner.let_crash(ALL, "0.80")
    state = await analyze()
    row = read_newest(owner.world)
    assert {one["rule"]: one["level"] for one in row.fired} == {"unrealized loss": "HIGH", "exposure": "MEDIUM"}
    (alert,) = owner.world.webhooks.contents
    assert alert.startswith("⚠️ HIGH risk: unrealized loss 1")
    assert f"unrealized loss {-row.unrealized_pnl:,.2f} USDT" in alert
    assert "unrealized loss" in (await read_artifacts(id_of(state)))["market-analysis"]
    assert owner.world.query("SELECT severity FROM notifications") == [("urgent",)]

    await owner.sell(ALL)
    await analyze()
    assert len(owner.world.webhooks.messages) == 2
    assert "no longer HIGH" in owner.world.webhooks.contents[1]
