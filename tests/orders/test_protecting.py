"""Protective orders on the exchange: placed once, replaced, released before a sale, and noticed when they sell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.orders import BinanceOrders
from lib.errors import CheckRefused, DataError, OrderRefused
from lib.portfolio.fills import Fill
from lib.results import Status, TaskResult
from lib.settings import load_settings
from lib.tasks import allocation, exits, portfolio, protected, protecting, rebalancing
from lib.tasks.reconciling import reconcile_orders
from lib.tasks.trading import open_trading
from tests.orders.conftest import LIVE, OrderDesk
from tests.simulator.signed_client import SignedClient
from tests.simulators import API_KEY, API_SECRET

SYMBOL, NAME = "SOL/USDT", "SOLUSDT"


@dataclass
class ProtectedDesk:
    """The demo account with protective orders on; its SOL has a stop loss and a take profit, at 90 and 120 %."""

    desk: OrderDesk
    price: Decimal

    async def protect(self, *, again: bool = False) -> TaskResult:
        return await protecting.protect_positions(self.desk.platform, LIVE, self.desk.halted, again=again)

    async def set_limits(self, stop: str, target: str | None) -> None:
        await portfolio.set_stop_loss(
            self.desk.platform,
            LIVE,
            SYMBOL,
            self.at(stop),
            self.at(target) if target else None,
            remove_stop_loss=False,
            remove_take_profit=target is None,
        )

    def at(self, ratio: str) -> Decimal:
        return round(self.price * Decimal(ratio), 2)

    def jump(self, ratio: str) -> None:
        self.desk.world.simulator.control.set_price(NAME, self.at(ratio))

    def open(self) -> list[tuple[str, Decimal, Decimal]]:
        """Type, quantity and price of our open orders at the exchange, the stop loss first."""
        there = [one for one in self.desk.booked() if one["status"] in ("NEW", "PARTIALLY_FILLED")]
        found = [(one["type"], Decimal(one["quantity"]), Decimal(one["price"])) for one in there]
        return sorted(found, reverse=True)

    def sold(self) -> Decimal:
        return sum((Decimal(one["executed"]) for one in self.desk.booked()), Decimal(0))

    async def is_due(self) -> bool:
        return await protected.find_due(self.desk.platform) == [LIVE]


class LateAccount(BinanceAccount):
    """One whose history of fills does not show the newest yet."""

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        return []


class SoreVenue(BinanceOrders):
    """One that cancels nothing."""

    error: Exception

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        raise self.error


def told_of(result: TaskResult) -> str:
    """What a run says of SOL."""
    return next(item.detail for item in result.items if item.name == f"{LIVE} {SYMBOL}")


@pytest.fixture
async def protected_desk(orders_desk: OrderDesk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProtectedDesk]:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__PROTECTIVE_ORDERS", "true")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__APPROVAL_REQUIRED", "false")
    orders_desk.platform = replace(orders_desk.platform, settings=load_settings())
    found = ProtectedDesk(orders_desk, orders_desk.position().price)
    await found.set_limits("0.9", "1.2")
    yield found


async def test_stop_and_target_rest_once_and_follow_limits_and_setting(
    protected_desk: ProtectedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = protected_desk
    assert await desk.is_due()
    result = await desk.protect()
    assert result.status is Status.OK and result.counts == {"protected positions": 1}
    held = desk.desk.position().quantity
    [(stop_type, quantity, limit), (target_type, _, target)] = desk.open()
    assert (stop_type, target_type, target) == ("STOP_LOSS_LIMIT", "LIMIT_MAKER", desk.at("1.2"))
    assert held - quantity < Decimal("0.01") and desk.at("0.88") <= limit < desk.at("0.883")
    assert not await desk.is_due()
    await desk.protect()
    assert len(desk.desk.booked()) == 2

    await desk.set_limits("0.95", None)
    assert await desk.is_due()
    await desk.protect()
    assert [one[0] for one in desk.open()] == ["STOP_LOSS_LIMIT"]
    states = desk.desk.world.query("SELECT state, count(*) FROM orders GROUP BY 1 ORDER BY 1")
    assert states == [("cancelled", 2), ("open", 1)]
    update = await portfolio.update_positions(desk.desk.platform, LIVE)
    assert f"stop {desk.at('0.95').normalize():f}" in "".join(update.render_tables())

    before, desk.desk.halt = desk.open(), "prices look wrong"
    await desk.set_limits("0.96", "1.2")
    halted = await desk.protect()
    assert halted.status is Status.SKIPPED and "stays" in halted.items[-1].detail
    assert desk.open() == before
    desk.desk.halt = None
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__PROTECTIVE_ORDERS", "false")
    desk.desk.platform = replace(desk.desk.platform, settings=load_settings())
    assert await desk.is_due()
    await desk.protect()
    assert desk.open() == [] and not await desk.is_due()
    assert desk.desk.world.query("SELECT count(*) FROM notifications WHERE title LIKE '%otect%'") == [(0,)]


async def test_a_halt_during_the_run_leaves_what_rests_and_a_refused_replacement_cancels_nothing(
    protected_desk: ProtectedDesk,
) -> None:
    desk = protected_desk
    await desk.protect()
    before, asked = desk.open(), []

    async def halted() -> str | None:
        asked.append(True)
        return "prices look wrong" if len(asked) > 1 else None

    await desk.set_limits("0.95", "1.2")
    result = await protecting.protect_positions(desk.desk.platform, LIVE, halted)
    assert result.status is Status.SKIPPED and "halted" in told_of(result)
    assert desk.open() == before and desk.desk.told("rotect") == []
    desk.desk.world.simulator.control.request("PATCH", "/accounts", api_key=API_KEY, enable_withdrawals=True)
    assert "may move money out" in told_of(await desk.protect())
    assert desk.open() == before and len(desk.desk.told("Protection failed")) == 1


async def test_a_halt_that_leaves_the_rest_of_a_sale_bare_is_told_once(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    await desk.protect()
    await desk.desk.place(await desk.desk.close("half", share=50))
    await desk.desk.update()
    desk.desk.halt = "prices look wrong"
    for _ in range(2):
        await desk.protect()
    (told,) = desk.desk.told("Not protected during the halt")
    assert "prices look wrong" in told and desk.open() == []


async def test_what_it_sells_is_booked_and_told_once_with_the_loss(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    await desk.protect()
    desk.jump("0.895")
    await desk.desk.update()
    assert desk.desk.position() is None
    (told,) = desk.desk.told("Stop loss sold on the exchange: SOL/USDT")
    assert "loss" in told.lower() and "USDT realized" in told
    assert desk.desk.world.query("SELECT state FROM orders ORDER BY client_order_id") == [("filled",), ("expired",)]
    await desk.desk.update()
    await desk.protect()
    assert len(desk.desk.told("sold on the exchange")) == 1
    assert not await desk.is_due() and desk.open() == []


async def test_a_sale_frees_what_it_needs_and_the_rest_is_protected_again(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    await desk.protect()
    held, before = desk.desk.position().quantity, desk.open()
    half = await desk.desk.close("half", share=50)
    assert half.status is Status.OK
    desk.desk.halt = "prices look wrong"
    with pytest.raises(CheckRefused, match="halted"):
        await desk.desk.place(half)
    assert desk.open() == before  # what is not sold stays protected
    desk.desk.halt = None
    assert (await desk.desk.place(half)).status is Status.OK
    await desk.desk.update()
    await desk.protect()
    [(_, left, _), _] = desk.open()
    assert 0 <= desk.desk.position().quantity - left < Decimal("0.01")

    assert (await desk.desk.place(await desk.desk.close("rest"))).status is Status.OK
    await desk.desk.update()
    assert desk.desk.position() is None and desk.open() == []
    assert held - Decimal("0.01") < desk.sold() <= held
    assert desk.desk.told("sold on the exchange") == []


async def test_a_sale_after_it_sold_ends_without_selling_more_than_is_held(protected_desk: ProtectedDesk) -> None:
    """More is on the account than in the position, so the balance alone would allow a second sale."""
    desk = protected_desk
    desk.desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")
    await desk.protect()
    held = desk.desk.position().quantity
    review = await desk.desk.close()
    desk.jump("0.895")
    with pytest.raises(OrderRefused, match="is closed already"):
        await desk.desk.place(review)
    assert desk.sold() <= held
    assert len(desk.desk.told("Stop loss sold")) == 1


async def test_what_it_sold_and_is_not_imported_yet_is_not_protected_again(protected_desk: ProtectedDesk) -> None:
    """More is on the account than in the position: a stop loss would be taken, and would sell that."""
    desk = protected_desk
    desk.desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")
    await desk.protect()
    held, prompt = desk.desk.position().quantity, desk.desk.platform
    desk.jump("1.25")
    await desk.set_limits("0.95", "1.4")
    real = prompt.accounts[LIVE]
    assert isinstance(real, BinanceAccount)
    desk.desk.platform = replace(prompt, accounts={**prompt.accounts, LIVE: LateAccount(real.link, LIVE)})
    assert "not imported yet" in told_of(await desk.protect())
    assert desk.open() == [] and desk.desk.position().quantity == held
    desk.desk.platform = prompt
    await desk.protect()
    assert desk.open() == [] and desk.desk.position() is None
    assert len(desk.desk.told("Take profit sold")) == 1


async def test_a_part_that_it_sold_is_not_sold_again_and_the_exit_sells_the_rest(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    await desk.protect()
    held = desk.desk.position().quantity
    desk.desk.world.simulator.control.arm("partial_fill", symbol=NAME, fraction="0.4", hold_seconds=3600, rest="open")
    desk.jump("0.895")
    await desk.desk.update()
    assert not await desk.is_due()  # it is selling
    await portfolio.check_stop_loss(desk.desk.platform, LIVE)
    (wanted,) = await exits.load_open_exits(desk.desk.platform)
    await desk.desk.place(await desk.desk.close(exit_id=wanted.exit_id))
    await desk.desk.update()
    assert held - Decimal("0.01") < desk.sold() <= held
    assert desk.desk.position() is None and desk.open() == []
    assert len(desk.desk.told("Stop loss sold")) == len(desk.desk.told("💼 Sold SOL/USDT")) == 1


async def test_who_cancels_it_by_hand_is_told_and_not_worked_against(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    await desk.protect()
    client = SignedClient(desk.desk.world.simulator, API_KEY, API_SECRET)
    await asyncio.to_thread(client.delete, "/openOrders", symbol=NAME)
    await reconcile_orders(desk.desk.platform, LIVE)
    await desk.desk.update()
    assert len(desk.desk.told("Protective order cancelled")) == 1
    assert not await desk.is_due()
    await desk.protect()
    assert desk.open() == []
    assert "cancelled" in (await protected.describe_protected(desk.desk.platform, LIVE))[SYMBOL]
    await desk.protect(again=True)
    assert len(desk.open()) == 2
    await asyncio.to_thread(client.delete, "/openOrders", symbol=NAME)
    await reconcile_orders(desk.desk.platform, LIVE)
    await desk.set_limits("0.92", "1.2")
    await desk.protect()
    assert len(desk.open()) == 2


async def test_an_exit_gets_the_account_between_two_symbols(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    platform, other = desk.desk.platform, "LINK/USDT"
    price = desk.desk.position(other).price
    await portfolio.set_stop_loss(
        platform,
        LIVE,
        other,
        round(price * Decimal("0.9"), 2),
        round(price * Decimal("1.2"), 2),
        remove_stop_loss=False,
        remove_take_profit=False,
    )

    async def exit_when_the_first_rests() -> set[str]:
        while not await asyncio.to_thread(desk.open):  # noqa: ASYNC110 - the exchange is another process
            await asyncio.sleep(0.05)
        async with open_trading(platform, LIVE, desk.desk.halted, is_exit=True):
            return {one["symbol"] for one in desk.desk.booked()}

    result, seen = await asyncio.gather(desk.protect(), exit_when_the_first_rests())
    assert result.counts == {"protected positions": 2} and len(seen) == 1


async def test_an_order_of_a_closed_position_that_cannot_be_cancelled_is_told(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    desk.desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")
    await desk.protect()
    [(_, whole, _), _], sound = desk.open(), desk.desk.platform
    real = sound.accounts[LIVE]
    assert isinstance(real, BinanceAccount)
    client = SignedClient(desk.desk.world.simulator, API_KEY, API_SECRET)
    await asyncio.to_thread(client.post, "/order", symbol=NAME, side="SELL", type="MARKET", quantity=str(whole))
    await desk.desk.update()
    assert desk.desk.position() is None and await desk.is_due()
    for error, said in ((DataError("no such thing"), "no such thing"), (ZeroDivisionError(), "unexpected ZeroDiv")):
        venue = SoreVenue(real.link, LIVE)
        venue.error = error
        trading = replace(sound.trading, venues={**sound.trading.venues, LIVE: venue})
        desk.desk.platform = replace(sound, trading=trading)
        assert said in told_of(await desk.protect())
    (told,) = desk.desk.told("Protection failed")
    assert "may sell what else" in told
    desk.desk.platform = sound
    await desk.protect()
    assert desk.open() == []


async def test_what_cannot_be_protected_is_left_to_the_policy_and_told_once(protected_desk: ProtectedDesk) -> None:
    desk = protected_desk
    desk.jump("0.85")  # after the last chain, so the stop loss is hit
    assert "left to" in told_of(await desk.protect()) and desk.desk.booked() == []
    assert not await desk.is_due()
    desk.jump("1")
    await desk.desk.update()
    await desk.set_limits("0.9", "40")  # PERCENT_PRICE_BY_SIDE
    assert "which the exchange refused" in told_of(await desk.protect())
    assert [one[0] for one in desk.open()] == ["STOP_LOSS_LIMIT"]
    assert not await desk.is_due()
    (told,) = desk.desk.told("Take profit not on the exchange")
    assert "again every 60 minutes" in told

    await desk.set_limits("0.95", None)
    desk.desk.world.query("UPDATE symbols SET min_notional = 1000000")
    await desk.protect()
    await desk.desk.update()
    (told,) = desk.desk.told("Not protected on the exchange")
    assert "takes no order below" in told
    assert not await desk.is_due()
    await desk.protect(again=True)
    assert len(desk.desk.told("Not protected on the exchange")) == 1
    assert desk.desk.world.query("SELECT count(*) FROM order_protections") == [(3,)]
    assert desk.open() == []


async def test_a_plan_sells_what_protective_orders_hold_and_the_rest_is_protected(
    protected_desk: ProtectedDesk,
) -> None:
    desk = protected_desk
    weights = {"target_weights": {"SOL": Decimal("0.1"), "LINK": Decimal(1)}}
    desk.desk.platform = replace(desk.desk.platform, settings=desk.desk.platform.settings.model_copy(update=weights))
    platform, held = desk.desk.platform, desk.desk.position().quantity
    await desk.protect()
    await allocation.optimize_portfolio(platform, LIVE)

    async def nobody_waits(_: str) -> bool:
        return False

    starter = rebalancing.Starter("run-1", desk.desk.halted, nobody_waits)
    plan = (await rebalancing.review_plan(platform, LIVE, None, starter)).plan
    (leg,) = [one.leg for one in plan.legs if one.leg.symbol == SYMBOL]
    assert leg.skipped is None and leg.quantity > held / 2  # what is locked counts as free
    await rebalancing.rebalance_portfolio(platform, LIVE, plan.plan_id, starter)
    await desk.desk.update()
    assert await desk.is_due()
    await desk.protect()
    [(_, left, _), _] = desk.open()
    assert 0 <= held - leg.quantity - left < Decimal("0.02")
