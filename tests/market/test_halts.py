"""A symbol that stops trading: Binance says so in its list alone, while candles and prices are answered as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.market.series import Series
from lib.market.symbols import SymbolStatus
from lib.market.sync_result import SyncResult
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.limits import set_missing_stops
from lib.portfolio.position_report import PositionsUpdate
from lib.portfolio.stops import check_stop_loss
from lib.results import Status, TaskResult
from lib.units import from_milliseconds
from tests.market.desks import Desk
from tests.market.exchanges import BTC, ETH, NOON, SOL, DrivenClock, make_symbol
from tests.market.http import sync_over_http
from tests.portfolio.updating import update_positions
from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator

UNIVERSE = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "LINK/USDT")
HISTORY = {"5m": timedelta(hours=2), "1h": timedelta(hours=5)}
ETH_5M, ETH_1H = Series(ETH, "5m"), Series(ETH, "1h")


class Chain:
    """The critical path on real parts, one new client a run as in another process."""

    def __init__(self, engine: Engine, simulator: RunningSimulator) -> None:
        self.engine, self.simulator, self.clock = engine, simulator, DrivenClock(START_AT)
        self.store, self.market = DatabasePortfolioStore(engine), DatabaseMarketFacts(engine)
        self.store.ensure_account(Account("demo", AccountKind.LIVE, "simulator", "USDT"), START_AT)

    def pass_time(self, minutes: float) -> None:
        self.clock.advance(minutes=minutes)
        self.simulator.control.advance(60 * minutes)

    def run(self) -> tuple[SyncResult, PositionsUpdate, TaskResult]:
        synced = asyncio.run(sync_over_http(self.engine, self.simulator, self.clock.now(), UNIVERSE, HISTORY))
        updated = asyncio.run(self._update())
        set_missing_stops(account="demo", percent_below=Decimal(50), store=self.store, market=self.market)
        return synced, updated, self._check()

    async def _update(self) -> PositionsUpdate:
        venue, ledger = Venue("simulator", url=self.simulator.url, timeout_seconds=5), BudgetStore(self.engine)
        exchange = make_exchange(venue, ledger=ledger, clock=self.clock, known_symbols=lambda: UNIVERSE)
        account = make_account(venue, "demo", API_KEY, API_SECRET, ledger=ledger, clock=self.clock)
        try:
            return await update_positions(
                account="demo",
                exchange=exchange,
                exchange_account=account,
                store=self.store,
                market=self.market,
                outbox=NotificationStore(self.engine),
                clock=self.clock,
                universe=UNIVERSE,
            )
        finally:
            await exchange.close()
            await account.close()

    def _check(self) -> TaskResult:
        return check_stop_loss(
            account="demo",
            store=self.store,
            clock=self.clock,
            max_age=timedelta(minutes=2),
            realert=timedelta(minutes=30),
        )

    def status_of(self, symbol: str) -> SymbolStatus:
        return self.market.load_listings([symbol])[symbol].status

    def titles(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(text("SELECT title FROM notifications ORDER BY 1")))


@pytest.fixture
def chain(database_url: str, simulator: RunningSimulator) -> Iterator[Chain]:
    engine = make_engine(database_url)
    yield Chain(engine, simulator)
    engine.dispose()


def listings_asked(simulator: RunningSimulator) -> int:
    return int(simulator.control.stats()["by_route"].get("GET /api/v3/exchangeInfo", 0))


def items(result: TaskResult) -> dict[str, tuple[Status, str]]:
    return {item.name: (item.status, item.detail) for item in result.items}


def test_the_simulator_answers_for_a_halted_symbol_as_binance_does(simulator: RunningSimulator) -> None:
    price = simulator.get("/ticker/price", symbol="SOLUSDT")
    simulator.control.halt("SOLUSDT")
    simulator.control.advance(600)
    klines = simulator.get("/klines", symbol="SOLUSDT", interval="5m", limit=2)
    halted_in = START_AT.replace(second=0)
    assert [from_milliseconds(row[0]) for row in klines] == [halted_in - timedelta(minutes=5), halted_in]
    since = int((halted_in + timedelta(minutes=5)).timestamp() * 1000)
    assert simulator.get("/klines", symbol="SOLUSDT", interval="5m", startTime=since) == []
    assert simulator.get("/ticker/price", symbol="SOLUSDT") == price
    assert price in simulator.get("/ticker/price")


def test_a_halt_is_found_out_within_ten_minutes_and_nobody_believes_the_old_price(chain: Chain) -> None:
    chain.run()
    chain.simulator.control.halt("SOLUSDT")
    chain.pass_time(5)
    assert chain.run()[0].quarantined == ()  # the candle in which it was halted has come
    chain.pass_time(5)
    synced, updated, checked = chain.run()
    assert (synced.quarantined, synced.counts["quarantined"], synced.status) == (("SOL/USDT",), 1, Status.PARTIAL)
    assert items(synced)["SOL/USDT 5m"] == (Status.FAILED, "quarantined: halted on the exchange")
    assert chain.status_of(SOL) is SymbolStatus.HALTED
    status, detail = items(updated)["demo SOL/USDT"]
    assert status is Status.SKIPPED
    assert detail.startswith("halted on the exchange; the last price is ")
    assert detail.endswith(" of 2026-03-02 12:05:30 UTC")
    assert "demo SOL/USDT" in {item.name for item in checked.failed}
    assert chain.titles() == ["⚠️ No fresh price: SOL/USDT (demo)"]


def test_a_symbol_that_trades_again_is_watched_again_in_the_next_run(chain: Chain) -> None:
    chain.run()
    chain.simulator.control.halt("SOLUSDT")
    chain.pass_time(10)
    chain.run()
    chain.pass_time(5)
    synced, _, _ = chain.run()
    assert (synced.released, chain.status_of(SOL)) == ((), SymbolStatus.HALTED)
    chain.simulator.control.resume("SOLUSDT")
    chain.pass_time(5)
    synced, updated, checked = chain.run()
    assert (synced.released, synced.counts["quarantined"]) == (("SOL/USDT",), 0)
    assert items(updated)["demo SOL/USDT"][0] is Status.OK
    assert checked.counts["watched"] == 5
    assert not checked.failed


def test_a_symbol_that_is_only_quiet_costs_the_list_once_and_then_a_few_times_an_hour(chain: Chain) -> None:
    chain.run()
    chain.simulator.control.add_missing(START_AT + timedelta(seconds=30), START_AT + timedelta(days=1), "SOLUSDT")
    asked = []
    for _ in range(12):
        chain.pass_time(5)
        before = listings_asked(chain.simulator)
        synced, updated, _ = chain.run()
        asked.append(listings_asked(chain.simulator) - before)
        assert synced.quarantined == ()
        assert items(updated)["demo SOL/USDT"][0] is Status.OK
    assert asked == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


async def test_a_symbol_halted_for_more_than_a_day_is_asked_about_once_an_hour(desk: Desk) -> None:
    desk.exchange.symbols[ETH] = make_symbol(ETH, status=SymbolStatus.HALTED)
    await desk.sync(BTC, ETH)
    desk.clock.advance(days=1)
    await desk.sync(BTC, ETH)
    before = desk.exchange.listings
    for _ in range(12):
        desk.clock.advance(minutes=5)
        await desk.sync(BTC, ETH)
    assert desk.exchange.listings == before + 1


async def test_a_halt_after_an_outage_is_told_beside_what_was_stored(desk: Desk) -> None:
    desk.change(history=HISTORY)
    await desk.sync(BTC, ETH)
    halted_at = NOON.replace(second=0) + timedelta(minutes=15)
    for series in (ETH_5M, ETH_1H):
        desk.exchange.take_away(series, halted_at, halted_at + timedelta(days=1))
    desk.exchange.symbols[ETH] = make_symbol(ETH, status=SymbolStatus.HALTED)
    desk.clock.advance(minutes=30)
    result = await desk.sync(BTC, ETH)
    assert items(result)["ETH/USDT 5m"] == (Status.PARTIAL, "quarantined: halted on the exchange")
    assert items(result)["ETH/USDT 1h"] == (Status.SKIPPED, "fresh")
    assert (result.quarantined, len(desk.candles(ETH_5M))) == ((ETH,), 24 + 3)


async def test_when_trading_stops_everywhere_the_list_is_believed_because_all_candles_stopped(desk: Desk) -> None:
    await desk.sync(BTC, ETH, SOL)
    for symbol in (ETH, SOL):
        desk.exchange.take_away(Series(symbol, "5m"), NOON.replace(second=0), NOON + timedelta(days=1))
        desk.exchange.symbols[symbol] = make_symbol(symbol, status=SymbolStatus.HALTED)
    desk.clock.advance(minutes=15)
    assert (await desk.sync(BTC, ETH, SOL)).quarantined == (ETH, SOL)
