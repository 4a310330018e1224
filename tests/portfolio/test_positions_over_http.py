"""The account chain against the exchange simulator over HTTP, whose books are the independent truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.limits import set_missing_stops
from lib.portfolio.position_report import PositionsUpdate
from lib.portfolio.stops import check_stop_loss
from lib.results import Status, TaskResult
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import ACCOUNT
from tests.portfolio.updating import update_positions
from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator

DEPOSIT = 100_000  # USDT that the demo account began with
UNIVERSE = tuple(f"{asset}/USDT" for asset in ("BTC", "ETH", "BNB", "SOL", "LINK", "ADA"))


@dataclass
class Chain:
    """What the critical path does for the account, on real parts."""

    simulator: RunningSimulator
    engine: Engine
    store: DatabasePortfolioStore
    market: DatabaseMarketFacts
    clock: HandClock
    exchange: BinanceExchange
    account: BinanceAccount

    async def update(self) -> PositionsUpdate:
        return await update_positions(
            account=ACCOUNT,
            exchange=self.exchange,
            exchange_account=self.account,
            store=self.store,
            market=self.market,
            outbox=NotificationStore(self.engine),
            clock=self.clock,
            universe=UNIVERSE,
        )

    def check(self) -> TaskResult:
        return check_stop_loss(
            account=ACCOUNT,
            store=self.store,
            clock=self.clock,
            max_age=timedelta(minutes=2),
            realert=timedelta(minutes=30),
        )

    async def pass_time(self, minutes: float) -> None:
        self.clock.pass_time(minutes=minutes)
        await asyncio.to_thread(self.simulator.control.advance, 60 * minutes)

    def query(self, statement: str) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(statement)))


@pytest.fixture
async def chain(simulator: RunningSimulator, engine: Engine) -> AsyncIterator[Chain]:
    clock, ledger = HandClock(START_AT), BudgetStore(engine)
    venue = Venue("simulator", url=simulator.url, timeout_seconds=10)
    exchange = make_exchange(venue, ledger=ledger, clock=clock)
    assert isinstance(exchange, BinanceExchange)
    account = make_account(venue, ACCOUNT, API_KEY, API_SECRET, ledger=ledger, clock=clock)
    store = DatabasePortfolioStore(engine)
    store.ensure_account(Account(ACCOUNT, AccountKind.LIVE, "simulator", "USDT"), clock.now())
    await store_symbols(exchange, engine)
    yield Chain(simulator, engine, store, DatabaseMarketFacts(engine), clock, exchange, account)
    await exchange.close()
    await account.close()


async def store_symbols(exchange: BinanceExchange, engine: Engine) -> None:
    symbols = await exchange.fetch_symbols()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
                " min_notional, status_since, refreshed_at) VALUES (:name, :base, :quote, 'other', 'trading',"
                " :price_step, :quantity_step, :min_quantity, :min_notional, now(), now())"
            ),
            [
                {name: getattr(symbol, name) for name in symbol.__dataclass_fields__ if name != "status"}
                for symbol in symbols.values()
            ],
        )


@pytest.fixture
async def hand(simulator: RunningSimulator) -> AsyncIterator[ccxt.binance]:
    """A person's own client: plain ccxt, only pointed at the simulator."""
    api = f"{simulator.url}/api/v3"
    client = ccxt.binance(
        {
            "apiKey": API_KEY,
            "secret": API_SECRET,
            "urls": {"api": {"public": api, "private": api}},
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "adjustForTimeDifference": True,
            },
        }
    )
    yield client
    await client.close()


async def fetch_totals(account: BinanceAccount) -> dict[str, Decimal]:
    return {asset: balance.total for asset, balance in (await account.fetch_balances()).items()}


def assert_ledger_agrees(chain: Chain, totals: dict[str, Decimal]) -> None:
    """Every unit of every asset, and every USDT since the deposit, is where the exchange says it is."""
    rows = chain.query(
        "SELECT symbol, sum(quantity), sum(cost_quote), sum(realized_pnl_quote) FROM positions GROUP BY 1"
    )
    held = {row[0].split("/")[0]: row[1] for row in rows if row[1]}
    assert held == {asset: total for asset, total in totals.items() if asset != "USDT"}
    assert chain.query("SELECT * FROM unmatched_disposals") == []
    assert DEPOSIT - sum(row[2] for row in rows) + sum(row[3] for row in rows) == totals["USDT"]


async def test_the_demo_accounts_positions_are_those_of_the_exchange(chain: Chain) -> None:
    result = await chain.update()
    assert result.status is Status.OK
    assert [line.symbol for line in result.positions] == ["BNB/USDT", "BTC/USDT", "ETH/USDT", "LINK/USDT", "SOL/USDT"]
    assert_ledger_agrees(chain, await fetch_totals(chain.account))
    prices = {
        row["symbol"]: Decimal(row["price"]) for row in await asyncio.to_thread(chain.simulator.get, "/ticker/price")
    }
    assert {line.symbol: line.price for line in result.positions} == {
        line.symbol: prices[line.symbol.replace("/", "")] for line in result.positions
    }
    priced_by = {row[0] for row in chain.query("SELECT fee_priced_by FROM fills WHERE fee_asset = 'BNB'")}
    assert all(reason.startswith("price at") or reason == "fill" for reason in priced_by)


async def test_a_second_run_costs_one_request_for_balances_and_one_for_prices(chain: Chain) -> None:
    await chain.update()
    await chain.pass_time(11)
    chain.simulator.control.reset_usage()
    assert (await chain.update()).status is Status.OK
    asked = chain.simulator.control.stats()["by_route"]
    assert asked == {"GET /api/v3/account": 1, "GET /api/v3/ticker/price": 1}


async def test_a_stop_loss_is_triggered_told_once_and_ended_by_a_sale_by_hand(chain: Chain, hand: ccxt.binance) -> None:
    await chain.update()
    set_missing_stops(account=ACCOUNT, percent_below=Decimal(10), store=chain.store, market=chain.market)
    assert chain.check().counts["watched"] == 5
    (sol,) = [held for held in chain.store.load_held(ACCOUNT) if held.symbol == "SOL/USDT"]
    assert sol.stop_loss is not None
    chain.simulator.control.set_price("SOLUSDT", sol.stop_loss)
    await chain.pass_time(5)
    chain.simulator.control.set_price("SOLUSDT", round(sol.stop_loss * Decimal("0.98"), 2))
    await chain.update()
    assert chain.check().counts["triggered"] == 1

    before = await fetch_totals(chain.account)
    order = await hand.create_order("SOL/USDT", "market", "sell", float(sol.position.quantity))
    assert order["status"] == "closed"

    await chain.pass_time(5)
    result = await chain.update()
    assert [line.symbol for line in result.closed] == ["SOL/USDT"]
    totals = await fetch_totals(chain.account)
    proceeds = totals["USDT"] - before["USDT"]
    ((dust, dust_cost),) = chain.query("SELECT quantity, cost_quote FROM positions WHERE symbol = 'SOL/USDT'")
    assert 0 < dust < sol.position.quantity_step  # the buys' fees were taken from the SOL bought
    assert result.closed[0].realized_pnl_quote == proceeds - (sol.position.cost_quote - dust_cost)
    assert result.closed[0].realized_pnl_quote < 0
    assert_ledger_agrees(chain, totals)
    assert chain.check().counts["triggered"] == 0
    assert chain.query("SELECT count(*) FROM notifications WHERE type = 'stop_loss'")[0][0] == 1


async def test_a_halted_symbol_keeps_its_old_price_until_it_is_stale_and_told(chain: Chain) -> None:
    await chain.update()
    chain.simulator.control.halt("SOLUSDT")
    chain.query("UPDATE symbols SET status = 'halted' WHERE name = 'SOL/USDT' RETURNING name")  # as the sync does
    await chain.pass_time(5)
    assert (await chain.update()).status is Status.OK
    result = chain.check()
    assert [item.name for item in result.failed] == ["demo SOL/USDT"]
    assert chain.query("SELECT type, severity FROM notifications") == [("operations", "urgent")]


async def test_a_lost_answer_about_fills_is_asked_again(chain: Chain) -> None:
    chain.simulator.control.arm("drop_before", path="/api/v3/myTrades", symbol="SOLUSDT", count=5)
    result = await chain.update()
    assert [item.name for item in result.failed] == ["demo SOL/USDT fills"]
    chain.simulator.control.clear_faults()
    await chain.pass_time(5)
    assert (await chain.update()).failed == ()
    assert_ledger_agrees(chain, await fetch_totals(chain.account))
