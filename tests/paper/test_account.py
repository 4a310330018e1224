"""Paper accounts on a real database, against the simulator's book over HTTP."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from lib.balances.flows import FlowKind
from lib.errors import ExchangeUnavailable, OrderRefused, SymbolHalted
from lib.paper.account import PaperAccount, Wish
from lib.paper.trade import trade_on_paper
from lib.platform import Platform
from lib.portfolio.fills import Side
from lib.results import Status
from lib.tasks import market, portfolio
from lib.units import EPOCH
from tests.platforms import World

FEE = Decimal("0.001")


@pytest.fixture(autouse=True)
def one_paper_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__KIND", "paper")


def paper_of(platform: Platform) -> PaperAccount:
    account = platform.accounts["paper"]
    assert isinstance(account, PaperAccount)
    return account


async def test_a_purchase_costs_the_books_prices_and_its_fee_and_becomes_a_position(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__PAPER_CASH", "1000000")  # a level may hold more than ten thousand
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        account = paper_of(platform)
        assert {name: one.free for name, one in (await account.fetch_balances()).items()} == {
            "USDT": Decimal(1_000_000)
        }
        book = await platform.books.fetch_book("SOL/USDT")
        wanted = book.asks[0].quantity + Decimal("0.01")  # a little of the second level too

        order = await account.trade(Wish("SOL/USDT", Side.BUY, "first", quantity=wanted))
        updated = await portfolio.update_positions(platform, "paper")

    assert len(order.fills) == 2
    assert order.average_price > order.fills[0].price
    held = wanted - sum(fill.fee for fill in order.fills)
    (line,) = updated.positions
    assert (line.symbol, line.quantity) == ("SOL/USDT", held)
    assert updated.counts["new fills"] == 2
    [[cash]] = world.query("SELECT free FROM account_balances WHERE account = 'paper' AND asset = 'USDT'")
    assert cash == Decimal(1_000_000) - order.notional


async def test_what_was_bought_can_be_sold_and_the_account_is_all_cash_again(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        account = paper_of(platform)
        bought = await account.trade(Wish("SOL/USDT", Side.BUY, "in", notional=Decimal(500)))
        assert Decimal(450) < bought.notional <= Decimal(500)
        rest = (await account.fetch_balances())["SOL"].free
        sold = await account.trade(Wish("SOL/USDT", Side.SELL, "out", quantity=rest))
        balances = await account.fetch_balances()
    fees = sum((fill.fee for fill in sold.fills), Decimal(0))
    assert balances["USDT"].free == Decimal(10_000) - bought.notional + sold.notional - fees
    assert balances["SOL"].free == rest - sold.quantity < Decimal("0.01")


async def test_the_same_client_order_id_is_filled_once_also_at_the_same_time(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        account = paper_of(platform)
        wish = Wish("BTC/USDT", Side.BUY, "once", quantity=Decimal("0.01"))
        first, second, third = await asyncio.gather(*(account.trade(wish) for _ in range(3)))
    assert first == second == third
    assert world.query("SELECT count(*) FROM paper_orders") == [(1,)]


async def test_two_orders_at_once_never_spend_the_same_money(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        account = paper_of(platform)
        wishes = [Wish("BTC/USDT", Side.BUY, str(number), notional=Decimal(6_000)) for number in range(2)]
        answers = await asyncio.gather(*map(account.trade, wishes), return_exceptions=True)
        balances = await account.fetch_balances()
    assert sorted(type(answer).__name__ for answer in answers) == ["OrderRefused", "PaperOrder"]
    assert balances["USDT"].free >= 4_000


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish("SOL/USDT", Side.BUY, "1", notional=Decimal(20_000)), "has 10,000"),
        (Wish("SOL/USDT", Side.SELL, "1", quantity=Decimal(1)), "needs 1 SOL, account paper has 0"),
        (Wish("SOL/USDT", Side.BUY, "1", quantity=Decimal("0.000001")), "Order more"),
        (Wish("SOL/USDT", Side.BUY, "1", notional=Decimal(1)), "an order in SOL/USDT"),
        (Wish("NONE/USDT", Side.BUY, "1", quantity=Decimal(1)), "is not known"),
    ],
)
async def test_what_an_exchange_would_refuse_is_refused_with_the_numbers(world: World, wish: Wish, reason: str) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        with pytest.raises(OrderRefused, match=reason):
            await paper_of(platform).trade(wish)
    assert world.query("SELECT * FROM paper_orders") == []


async def test_a_halted_symbol_is_not_traded(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        world.query("UPDATE symbols SET status = 'halted' WHERE name = 'SOL/USDT'")
        with pytest.raises(SymbolHalted, match="SOL/USDT is halted"):
            await paper_of(platform).trade(Wish("SOL/USDT", Side.BUY, "1", quantity=Decimal(1)))


async def test_without_a_book_nothing_is_bought(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        world.simulator.control.arm("status", "/api/v3/depth", count=0, status=503)
        with pytest.raises(ExchangeUnavailable):
            await paper_of(platform).trade(Wish("SOL/USDT", Side.BUY, "1", quantity=Decimal(1)))
    assert world.query("SELECT * FROM paper_orders") == []


async def test_paper_accounts_begin_once_and_keep_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__PAPER_CASH", "500")
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        await paper_of(platform).trade(Wish("SOL/USDT", Side.BUY, "1", notional=Decimal(100)))
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__PAPER_CASH", "77")  # it has begun already
    async with world.platform() as platform:
        mine, others = await paper_of(platform).fetch_balances(), await platform.accounts["other"].fetch_balances()
        (flow,) = await platform.accounts["other"].fetch_cash_flows(EPOCH)
    assert Decimal(9_800) < mine["USDT"].free < Decimal(10_000)
    assert {name: one.free for name, one in others.items()} == {"USDT": Decimal(500)}
    assert (flow.kind, flow.asset, flow.amount, flow.is_booked) == (FlowKind.DEPOSIT, "USDT", Decimal(500), True)


async def test_a_notional_above_the_whole_book_says_what_was_not_traded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__PAPER_CASH", "1000000000")
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        wish = Wish("SOL/USDT", Side.BUY, "1", notional=Decimal(900_000_000))
        bought = await trade_on_paper(paper_of(platform), wish, platform.clock)
        small = await trade_on_paper(
            paper_of(platform), Wish("SOL/USDT", Side.BUY, "2", notional=Decimal(200)), platform.clock
        )
    assert bought.status is Status.PARTIAL
    assert "the book had no more: 8" in bought.items[0].detail
    assert small.status is Status.OK
