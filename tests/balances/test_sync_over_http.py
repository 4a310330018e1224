"""The balance chain against the exchange simulator over HTTP, whose books are the independent truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.balances import DatabaseBalances
from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.balances.classify import classify_break
from lib.balances.flows import FlowKind
from lib.balances.report import BalanceResult
from lib.balances.sync import sync_account_balance
from lib.portfolio.accounts import Account, AccountKind
from lib.results import Status, combine
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.test_positions_over_http import UNIVERSE, store_symbols
from tests.simulator.signed_client import signed_client
from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator

SECOND = ("second", "second-key", "second-secret")


@dataclass
class Chain:
    """The balance chain of any account, on real parts."""

    simulator: RunningSimulator
    engine: Engine
    clock: HandClock
    exchange: Any
    accounts: dict[str, BinanceAccount]

    async def sync(self, account: str = "demo", minutes: float = 0) -> BalanceResult:
        if minutes:
            await self.pass_time(minutes)
        return await sync_account_balance(
            account=account,
            exchange=self.exchange,
            exchange_account=self.accounts[account],
            portfolio=DatabasePortfolioStore(self.engine),
            balances=DatabaseBalances(self.engine),
            market=DatabaseMarketFacts(self.engine),
            clock=self.clock,
            universe=UNIVERSE,
        )

    async def pass_time(self, minutes: float) -> None:
        self.clock.pass_time(minutes=minutes)
        await asyncio.to_thread(self.simulator.control.advance, 60 * minutes)

    def last(self, account: str = "demo") -> Any:
        return self.query(f"SELECT * FROM balance_history WHERE account = '{account}' ORDER BY at DESC LIMIT 1")[0]

    def query(self, statement: str) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(statement)))

    def find_worth(self, key: str = API_KEY) -> Decimal:
        """Return what the simulator's own books and prices make of an account."""
        books = self.simulator.control.request("GET", "/books")["accounts"][key]
        prices = {row["symbol"]: Decimal(row["price"]) for row in self.simulator.get("/ticker/price")}
        return sum(
            (
                (Decimal(one["free"]) + Decimal(one["locked"])) * (1 if asset == "USDT" else prices[f"{asset}USDT"])
                for asset, one in books["balances"].items()
            ),
            Decimal(0),
        )


@pytest.fixture
async def chain(simulator: RunningSimulator, engine: Engine) -> AsyncIterator[Chain]:
    clock, ledger = HandClock(START_AT), BudgetStore(engine)
    venue = Venue("simulator", url=simulator.url, timeout_seconds=10)
    exchange = make_exchange(venue, ledger=ledger, clock=clock)
    name, key, secret = SECOND
    simulator.control.request("POST", "/accounts", api_key=key, api_secret=secret, balances={"USDT": "500", "SOL": "1"})
    accounts = {
        "demo": make_account(venue, "demo", API_KEY, API_SECRET, ledger=ledger, clock=clock),
        name: make_account(venue, name, key, secret, ledger=ledger, clock=clock),
    }
    store = DatabasePortfolioStore(engine)
    for account in accounts:
        store.ensure_account(Account(account, AccountKind.LIVE, "simulator", "USDT"), clock.now())
    await store_symbols(exchange, engine)  # type: ignore[arg-type] # the simulator is Binance-like
    yield Chain(simulator, engine, clock, exchange, accounts)
    await exchange.close()
    for one in accounts.values():
        await one.close()


def trade(chain: Chain, side: str, symbol: str, quantity: str) -> None:
    with signed_client(chain.simulator) as hand:
        hand.post("/order", symbol=symbol, side=side, type="MARKET", quantity=quantity)


def make_limit_order(chain: Chain) -> Decimal:
    """Lock USDT in an order a tenth below the market; return how much."""
    price = round(Decimal(chain.simulator.get("/ticker/price", symbol="SOLUSDT")["price"]) * Decimal("0.9"), 1)
    order = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "2", "price": f"{price:f}"}
    with signed_client(chain.simulator) as hand:
        hand.post("/order", symbol="SOLUSDT", side="BUY", **order)
    return 2 * price


async def test_the_demo_account_is_worth_what_the_exchanges_books_say(chain: Chain) -> None:
    result = await chain.sync()
    assert result.status is Status.OK
    assert chain.last().equity == chain.find_worth()
    assert {line.asset for line in result.assets} == {"USDT", "BTC", "ETH", "SOL", "LINK", "BNB"}
    assert round(sum(line.share_pct or Decimal(0) for line in result.assets), 9) == 100
    trades = chain.simulator.control.request("GET", "/books")["accounts"][API_KEY]["trades"]
    assert result.counts == {
        "assets": 6,
        "new fills": len(trades),
        "cash flows": 1,
        "breaks": 0,
        "suspected": 0,
        "ledger entries": 0,
    }
    state = DatabaseStates(chain.engine).load_state("demo")
    assert state is not None
    assert (state.equity, state.unpriced) == (chain.last().equity, ())


async def test_trades_deposits_and_withdrawals_by_hand_are_all_explained(chain: Chain) -> None:
    await chain.sync()
    for round_ in range(3):
        await chain.pass_time(7)
        trade(chain, "BUY", "SOLUSDT", "3.5")
        chain.simulator.control.request("POST", "/deposit", asset="ADA", amount="123.4")
        trade(chain, "SELL", "BTCUSDT", "0.01")
        chain.simulator.control.request("POST", "/withdraw", asset="USDT", amount="1000", fee="1")
        if round_ == 1:
            locked = make_limit_order(chain)
        result = await chain.sync(minutes=8)
        assert (result.status, result.breaks) == (Status.OK, ())
        assert chain.last().equity == chain.find_worth()
    assert chain.last().cash_locked == locked
    flows = chain.query("SELECT kind, count(*), sum(value_quote) FROM cash_flows WHERE counted_at > 'epoch' GROUP BY 1")
    assert {row[0]: row[1] for row in flows} == {"deposit": 3, "withdrawal": 3}
    start = chain.query("SELECT equity FROM balance_history WHERE account = 'demo' ORDER BY at LIMIT 1")[0][0]
    assert chain.last().day_flows == sum(row[2] for row in flows)
    assert chain.last().day_pnl == chain.last().equity - start - chain.last().day_flows
    assert chain.query("SELECT * FROM breaks") == []


async def test_a_key_that_may_not_read_deposits_makes_a_break_of_one_and_not_a_profit(chain: Chain) -> None:
    chain.simulator.control.arm("status", path="/sapi/*", status=401, code=-2015, message="No permission.", count=0)
    await chain.sync()
    start = chain.last().equity
    await chain.pass_time(5)
    chain.simulator.control.request("POST", "/deposit", asset="USDT", amount="2500")
    result = await chain.sync(minutes=10)
    assert [(line.asset, line.state, line.difference) for line in result.breaks] == [
        ("USDT", "suspected", Decimal(2500))
    ]
    result = await chain.sync(minutes=15)
    assert (result.status, result.breaks[0].state) == (Status.PARTIAL, "open")
    (item,) = [item for item in result.items if item.name == "demo cash flows"]
    assert "refused the key" in item.detail
    assert abs(chain.last().day_pnl) < 2500
    assert chain.last().equity - chain.last().unexplained_value == start + chain.last().day_pnl
    chain.simulator.control.clear_faults()
    result = await chain.sync(minutes=15)
    assert (result.status, result.breaks) == (Status.OK, ())
    assert chain.last().day_flows == 2500
    assert [row[0] for row in chain.query("SELECT title FROM notifications ORDER BY 1")] == [
        "⚠️ Break: USDT is not what the ledger expects (demo)",
        "✅ Break resolved: USDT (demo)",
    ]


async def test_accounts_have_their_own_balances(chain: Chain) -> None:
    await chain.sync()
    await chain.sync("second")
    await chain.pass_time(5)
    chain.simulator.control.request("POST", "/deposit", api_key=SECOND[1], asset="USDT", amount="50")
    await chain.pass_time(10)
    both = combine([await chain.sync("second"), await chain.sync()])
    assert chain.last("second").equity == chain.find_worth(SECOND[1])
    assert chain.last().equity == chain.find_worth()
    assert (chain.last("second").day_flows, chain.last().day_flows) == (50, 0)
    assert [line.account for line in both.balances] == ["second", "demo"]
    assert chain.query("SELECT * FROM breaks") == []


async def test_two_runs_at_once_write_everything_once(chain: Chain) -> None:
    await chain.sync()
    await chain.pass_time(10)
    trade(chain, "BUY", "SOLUSDT", "3.5")
    chain.simulator.control.request("POST", "/deposit", asset="USDT", amount="100")
    await chain.pass_time(5)
    results = await asyncio.gather(chain.sync(), chain.sync(), chain.sync())
    assert [result.breaks for result in results] == [(), (), ()]
    assert [row[0] for row in chain.query("SELECT count(*) FROM balance_history")] == [2]
    assert chain.last().day_flows == 100
    assert chain.last().equity == chain.find_worth()


async def test_a_lost_answer_is_asked_again_by_the_next_run(chain: Chain) -> None:
    await chain.sync()
    await chain.pass_time(5)
    chain.simulator.control.request("POST", "/deposit", asset="USDT", amount="100")
    await chain.pass_time(10)
    chain.simulator.control.arm("drop_before", path="/sapi/*", count=20)
    result = await chain.sync()
    assert [item.name for item in result.failed] == ["demo cash flows"]
    chain.simulator.control.clear_faults()
    await chain.pass_time(15)
    assert (await chain.sync()).breaks == ()
    assert chain.query("SELECT * FROM breaks") == []
    assert chain.last().day_flows == 100


async def test_a_locked_part_counts_and_a_break_can_be_classified(chain: Chain) -> None:
    chain.simulator.control.arm("status", path="/sapi/*", status=401, code=-2015, message="No permission.", count=0)
    locked = make_limit_order(chain)
    await chain.sync()
    await chain.pass_time(1)
    chain.simulator.control.request("POST", "/withdraw", asset="USDT", amount="300", fee="0")
    for _ in range(2):
        result = await chain.sync(minutes=15)
    assert [(line.asset, line.difference) for line in result.breaks] == [("USDT", Decimal(-300))]
    balances = DatabaseBalances(chain.engine)
    classify_break(
        account="demo", asset="USDT", kind=FlowKind.WITHDRAWAL, note="rent", balances=balances, clock=chain.clock
    )
    result = await chain.sync(minutes=15)
    assert (result.breaks, chain.last().day_flows, chain.last().cash_locked) == ((), -300, locked)
    (flow,) = balances.load_cash_flows("demo", START_AT, chain.clock.now() + timedelta(minutes=1))
    assert (flow.flow.note, flow.value_quote, flow.is_capital) == ("rent", Decimal(-300), True)
    with chain.engine.connect() as connection:
        history = connection.execute(text("SELECT day_flows FROM balance_history WHERE account = 'demo' ORDER BY at"))
        assert list(history.scalars()) == [0, 0, 0, -300]
    assert balances.load_active_breaks("demo") == []
