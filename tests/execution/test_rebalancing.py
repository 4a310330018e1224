"""Approved plans, run against the simulator over HTTP and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.rebalancing import DatabasePlans
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.plan import RebalanceRules, plan_rebalance
from lib.allocation.stores import Approval, Decision, LegState, PlanState, StoredPlan
from lib.allocation.targets import TargetRules
from lib.code_version import find_code_version
from lib.errors import AllItemsFailed, OperatorError, OutcomeUnknown
from lib.execution.checks import OrderLimits
from lib.execution.gate import Gate
from lib.execution.orders import OrderIntent
from lib.execution.rebalance_report import RebalanceResult
from lib.execution.rebalancing import RebalanceOptions, run_rebalance_plan
from lib.portfolio.fills import Side
from lib.results import Status
from tests.execution.conftest import KEY, Bench

RULES = RebalanceRules(TargetRules(("BTC", "ETH"), ("SOL",)))
PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(3_000), "SOL": Decimal(100)}
HELD = {"USDT": "10000", "BTC": "0.2"}
SYMBOL = (
    "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
    " min_notional, status_since, refreshed_at) VALUES (:name, :base, 'USDT', 'main', 'trading', 0.01,"
    " :step, :step, 5, now(), now())"
)
STEPS = {"BTC": "0.00001", "ETH": "0.0001", "SOL": "0.001"}
Check = Callable[[OrderIntent], Awaitable[None]]


class Killed(BaseException):
    """Ends a run where it is, as far as a test within one process can."""


@dataclass
class Trader:
    """Everything that runs plans of the account "main": 10 000 USDT and BTC for as much, of which 60 % is to go."""

    bench: Bench
    exchange: BinanceExchange
    gate: Gate
    halts: list[str] = field(default_factory=list)

    @property
    def plans(self) -> DatabasePlans:
        return DatabasePlans(self.bench.engine)

    def propose(self) -> StoredPlan:
        now = self.bench.clock.now()
        assets = {
            name: Asset(name, held := Decimal(HELD.get(name, 0)), held, price, now, is_quoted=True)
            for name, price in PRICES.items()
        }
        portfolio = Portfolio("main", "USDT", Decimal(HELD["USDT"]), Decimal(0), assets)
        plan = plan_rebalance(portfolio, self.gate.market.load_listings({f"{name}/USDT" for name in PRICES}), RULES)
        with self.plans.open_plans("main") as book:
            return book.add(plan, code_version="1", reasons=("BTC is too much",), now=now)

    def approve(self, *excluded: str, slippage: str | None = "1") -> StoredPlan:
        plan = self.propose()
        pct = Decimal(slippage) if slippage else None
        at = self.bench.clock.now()
        assert self.plans.decide(plan, Approval(Decision.APPROVED, "Ada", at, "", frozenset(excluded), pct))
        return self.load(plan)

    def load(self, plan: StoredPlan) -> StoredPlan:
        return self.plans.load_plan("main", plan.plan_id)

    def legs(self, plan: StoredPlan) -> dict[str, LegState]:
        return {one.leg.base: one.state for one in self.load(plan).legs}

    def reason(self, plan: StoredPlan, base: str) -> str:
        return next(one.reason for one in self.load(plan).legs if one.leg.base == base)

    async def run(self, plan: StoredPlan, check: Check | None = None) -> RebalanceResult:
        async with self.bench.open(check=check or self.gate.check) as placing:
            return await run_rebalance_plan(
                account=self.bench.account,
                plan=plan,
                plans=self.plans,
                placing=placing,
                orders=self.bench.store,
                market=self.gate.market,
                prices=self.exchange,
                clock=self.bench.clock,
                options=RebalanceOptions(RULES),
            )

    def intents(self, plan: StoredPlan) -> dict[str, OrderIntent]:
        orders = self.bench.store.load_orders("main", plan=plan.name)
        return {order.intent.client_order_id: order.intent for order in orders}

    def statuses(self) -> list[str]:
        return [status for _, status, _ in self.bench.booked()]

    def cash(self) -> Decimal:
        books = self.bench.simulator.control.request("GET", "/books")["accounts"][KEY]
        return Decimal(books["balances"]["USDT"]["free"])


@pytest.fixture
async def trader(bench: Bench) -> AsyncIterator[Trader]:
    for name, price in PRICES.items():
        bench.simulator.control.set_price(f"{name}USDT", price)
        bench.query(SYMBOL, name=f"{name}/USDT", base=name, step=STEPS[name])
    for asset, amount in (("USDT", "90000"), ("BTC", "1.8")):
        bench.simulator.control.request("POST", "/withdraw", api_key=KEY, asset=asset, amount=amount)
    venue = Venue("simulator", url=bench.simulator.url, timeout_seconds=5)
    exchange = make_exchange(venue, ledger=BudgetStore(bench.engine), clock=bench.clock, sleep=bench.clock.wait)
    assert isinstance(exchange, BinanceExchange)
    halts: list[str] = []

    async def halted() -> str | None:
        return halts[0] if halts else None

    gate = Gate(
        account=bench.account,
        venue=bench.orders,
        books=exchange,
        market=DatabaseMarketFacts(bench.engine),
        store=bench.store,
        watched={f"{name}/USDT" for name in PRICES},
        halted=halted,
        limits=OrderLimits(),
        clock=bench.clock,
    )
    yield Trader(bench, exchange, gate, halts)
    await exchange.close()


async def test_an_approved_plan_ends_inside_the_bands(trader: Trader) -> None:
    plan = trader.approve()
    result = await trader.run(plan)
    assert result.status is Status.OK
    assert set(trader.legs(plan).values()) == {LegState.DONE}
    assert trader.load(plan).state is PlanState.DONE
    [account] = result.accounts
    assert account.before is not None and account.after is not None
    assert account.before.off != () and account.after.off == ()
    assert trader.cash() >= plan.reserve_quote
    assert trader.bench.fills_agree()
    sent = [trader.intents(plan)[name] for name, _, _ in trader.bench.booked()]
    assert [intent.side for intent in sent] == [Side.SELL, Side.BUY, Side.BUY]
    assert sent[0].limit_price == Decimal(49_500)
    assert sent[0].approval is not None and sent[0].approval.startswith("Ada, ")
    decision, legs, orders, allocation = result.render_tables()
    assert "approved by **Ada**" in decision and plan.plan_hash in decision
    assert "sell BTC/USDT" in legs and "USDT" in legs and "before" in allocation
    assert all(intent.client_order_id in orders for intent in sent) and find_code_version() in orders
    assert all(abs(leg.slippage_bps or Decimal(0)) <= 100 for leg in account.legs)


async def test_run_again_an_ended_plan_only_reports_the_same(trader: Trader) -> None:
    plan = trader.approve()
    first = await trader.run(plan)
    booked = trader.bench.booked()
    again = await trader.run(plan)
    assert (again.accounts, trader.bench.booked()) == (first.accounts, booked)


@pytest.mark.parametrize("survived", [0, 1, 2])
async def test_killed_before_any_leg_the_next_run_finishes_the_same_plan(trader: Trader, survived: int) -> None:
    plan, asked = trader.approve(), 0

    async def check(intent: OrderIntent) -> None:
        nonlocal asked
        asked += 1
        if asked > survived:
            raise Killed
        await trader.gate.check(intent)

    with pytest.raises(Killed):
        await trader.run(plan, check)
    assert trader.load(plan).state is PlanState.RUNNING
    assert len(trader.bench.booked()) == survived
    stored = trader.intents(plan)
    assert len(stored) == survived + 1
    trader.bench.simulator.control.request("POST", "/withdraw", api_key=KEY, asset="USDT", amount="5")
    result = await trader.run(plan)
    assert result.status is Status.OK
    assert trader.statuses() == ["FILLED"] * 3
    assert trader.intents(plan).items() >= stored.items()
    assert trader.load(plan).state is PlanState.DONE


@pytest.mark.parametrize("method", ["settle_leg", "advance"])
async def test_killed_between_an_order_and_its_note_nothing_is_traded_twice(trader: Trader, method: str) -> None:
    plan = trader.approve()

    class Mortal(DatabasePlans):
        def settle_leg(self, *given: Any, **named: Any) -> bool:
            if method == "settle_leg":
                raise Killed
            return super().settle_leg(*given, **named)

        def advance(self, plan_id: int, state: PlanState, **named: Any) -> bool:
            if method == "advance" and state is PlanState.DONE:
                raise Killed
            return super().advance(plan_id, state, **named)

    with pytest.raises(Killed):
        async with trader.bench.open(check=trader.gate.check) as placing:
            await run_rebalance_plan(
                account=trader.bench.account,
                plan=plan,
                plans=Mortal(trader.bench.engine),
                placing=placing,
                orders=trader.bench.store,
                market=trader.gate.market,
                prices=trader.exchange,
                clock=trader.bench.clock,
                options=RebalanceOptions(RULES),
            )
    assert (await trader.run(plan)).status is Status.OK
    assert trader.statuses() == ["FILLED"] * 3


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
async def test_a_lost_reply_changes_nothing(trader: Trader, fault: str) -> None:
    plan = trader.approve()
    trader.bench.arm(fault)
    assert (await trader.run(plan)).status is Status.OK
    assert trader.statuses() == ["FILLED"] * 3
    assert trader.bench.fills_agree()


async def test_while_an_order_is_unknown_nothing_more_is_sent(trader: Trader) -> None:
    plan = trader.approve()
    trader.bench.arm("drop_after")
    trader.bench.arm("status", "GET", status=500, count=0)
    for _ in range(2):  # at once, and again by the next run
        with pytest.raises(OutcomeUnknown, match="nothing more is sent"):
            await trader.run(plan, trader.bench.allow)
        assert len(trader.bench.booked()) == 1
        assert trader.load(plan).state is PlanState.RUNNING
    trader.bench.simulator.control.clear_faults()
    assert (await trader.run(plan)).status is Status.OK
    assert trader.statuses() == ["FILLED"] * 3


async def test_while_trading_is_halted_the_plan_fails_and_says_so(trader: Trader) -> None:
    plan = trader.approve()
    trader.halts.append("by hand")
    with pytest.raises(AllItemsFailed, match="halted: by hand"):
        await trader.run(plan)
    assert (trader.load(plan).state, trader.bench.booked()) == (PlanState.FAILED, [])
    assert "halted: by hand" in trader.reason(plan, "BTC")


async def test_an_excluded_symbol_is_left_out_with_who_said_so(trader: Trader) -> None:
    plan = trader.approve("SOL/USDT")
    result = await trader.run(plan)
    assert trader.legs(plan) == {"BTC": LegState.DONE, "ETH": LegState.DONE, "SOL": LegState.EXCLUDED}
    [item] = [item for item in result.items if item.name.endswith("SOL/USDT")]
    assert (item.status, item.detail) == (Status.SKIPPED, "Left out by Ada.")
    assert trader.load(plan).state is PlanState.DONE


@pytest.mark.parametrize(("price", "words"), [("103", "Plan anew"), ("101.5", "nobody took the rest")])
async def test_a_leg_whose_price_moved_beyond_the_limit_fails_and_the_others_are_done(
    trader: Trader, price: str, words: str
) -> None:
    plan = trader.approve()
    trader.bench.simulator.control.set_price("SOLUSDT", price)
    result = await trader.run(plan)
    assert result.status is Status.PARTIAL
    assert trader.legs(plan) == {"BTC": LegState.DONE, "ETH": LegState.DONE, "SOL": LegState.FAILED}
    assert words in trader.reason(plan, "SOL")
    assert trader.load(plan).state is PlanState.FAILED
    assert trader.load(plan).note == "2 of 3 legs traded, not SOL/USDT: see the legs"


async def test_when_a_sell_fails_the_buys_share_the_cash_above_the_reserve(trader: Trader) -> None:
    plan = trader.approve()
    trader.bench.simulator.control.set_price("BTCUSDT", "48000")
    await trader.run(plan)
    assert trader.legs(plan) == {"BTC": LegState.FAILED, "ETH": LegState.DONE, "SOL": LegState.DONE}
    assert "Cut from" in trader.reason(plan, "ETH") and "Cut from" in trader.reason(plan, "SOL")
    assert plan.reserve_quote <= trader.cash() < plan.reserve_quote * Decimal("1.03")
    wanted = {one.leg.symbol: one.leg.quantity for one in plan.legs}
    buys = [intent for intent in trader.intents(plan).values() if intent.side is Side.BUY]
    eth, sol = [intent.quantity / wanted[intent.symbol] for intent in buys]
    assert eth == pytest.approx(sol, rel=Decimal("0.02"))


async def test_without_cash_nothing_is_bought(trader: Trader) -> None:
    plan = trader.approve()
    trader.bench.simulator.control.set_price("BTCUSDT", "48000")
    trader.bench.simulator.control.request("POST", "/withdraw", api_key=KEY, asset="USDT", amount="7000")
    with pytest.raises(AllItemsFailed, match=r"0\.00 USDT of cash is left above the reserve"):
        await trader.run(plan)
    assert trader.cash() == 3_000


async def test_a_plan_that_nobody_approved_is_refused(trader: Trader) -> None:
    plan = trader.propose()
    with pytest.raises(OperatorError, match="Expected an approved plan"):
        await trader.run(plan)
    assert trader.plans.decide(plan, Approval(Decision.REJECTED, "Ada", trader.bench.clock.now()))
    with pytest.raises(OperatorError, match="is rejected"):
        await trader.run(plan)
    assert trader.bench.booked() == []


async def test_a_plan_that_is_not_what_was_reviewed_is_refused(trader: Trader) -> None:
    plan = trader.approve()
    with pytest.raises(OperatorError, match="is not what is stored"):
        await trader.run(replace(plan, plan_hash="0" * 64))
    trader.bench.query("UPDATE rebalance_legs SET quantity = quantity / 2 WHERE number = 1")
    with pytest.raises(OperatorError, match="not those that were approved"):
        await trader.run(plan)
    assert trader.bench.booked() == []


async def test_a_plan_of_another_account_is_refused(trader: Trader) -> None:
    plan = trader.approve()
    trader.bench.query("INSERT INTO accounts VALUES ('other', 'live', 'simulator', 'USDT', now())")
    trader.bench.query("UPDATE rebalance_plans SET account = 'other'")
    with pytest.raises(OperatorError, match="of account other, not of main"):
        await trader.run(plan)


async def test_an_old_plan_is_refused_and_one_that_grew_old_while_it_ran_is_ended(trader: Trader) -> None:
    plan, asked = trader.approve(), 0

    async def check(intent: OrderIntent) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Killed

    with pytest.raises(Killed):
        await trader.run(plan, check)
    trader.bench.clock.instant += timedelta(minutes=31)
    trader.bench.simulator.control.advance(31 * 60)
    assert (await trader.run(plan)).status is Status.PARTIAL
    assert sorted(trader.legs(plan).values()) == [LegState.DONE, LegState.FAILED, LegState.FAILED]
    assert trader.statuses() == ["FILLED"]
    assert trader.load(plan).state is PlanState.FAILED
    another = trader.approve()
    trader.bench.clock.instant += timedelta(minutes=31)
    with pytest.raises(OperatorError, match="at most 30 minutes are allowed"):
        await trader.run(another)


@pytest.mark.parametrize(("approved", "bound"), [("0.5", "49750"), (None, "49500")])
async def test_the_bound_is_the_approvals_or_else_the_operators(
    trader: Trader, approved: str | None, bound: str
) -> None:
    plan = trader.approve(slippage=approved)
    await trader.run(plan)
    [sell] = [intent for intent in trader.intents(plan).values() if intent.side is Side.SELL]
    assert sell.limit_price == Decimal(bound)


async def test_a_halt_in_the_middle_of_a_plan_ends_it_with_what_was_done(trader: Trader) -> None:
    plan = trader.approve()

    async def check(intent: OrderIntent) -> None:
        if trader.bench.booked():
            trader.halts.append("by hand")
        await trader.gate.check(intent)

    result = await trader.run(plan, check)
    assert (result.status, trader.statuses()) == (Status.PARTIAL, ["FILLED"])
    assert trader.legs(plan) == {"BTC": LegState.DONE, "ETH": LegState.FAILED, "SOL": LegState.FAILED}
    assert "Trading is halted: by hand" in trader.reason(plan, "SOL")
    assert trader.load(plan).state is PlanState.FAILED


@pytest.mark.parametrize("end", ["halt", "delist"])
async def test_a_symbol_that_stopped_trading_fails_its_leg_and_keeps_nothing_else(trader: Trader, end: str) -> None:
    plan = trader.approve()
    getattr(trader.bench.simulator.control, end)("SOLUSDT")
    result = await trader.run(plan)
    assert result.status is Status.PARTIAL
    assert trader.legs(plan) == {"BTC": LegState.DONE, "ETH": LegState.DONE, "SOL": LegState.FAILED}
    assert trader.reason(plan, "SOL") != ""
    assert trader.load(plan).state is PlanState.FAILED
    assert trader.bench.store.load_unfinished("main") == []
