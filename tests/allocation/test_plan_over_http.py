"""A plan for the simulator's demo account, traded by a person's own client: the exchange takes every leg of it."""

from __future__ import annotations

from decimal import Decimal

import ccxt.async_support as ccxt
import pytest

from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.rebalancing import DatabasePlans
from lib.allocation.optimization import optimize_portfolio
from lib.allocation.plan import RebalanceRules
from lib.allocation.report import OptimizationResult
from lib.allocation.targets import TargetRules
from lib.portfolio.quotes import fetch_quotes
from tests.allocation.samples import LIMITS
from tests.portfolio.samples import ACCOUNT
from tests.portfolio.test_positions_over_http import Chain, chain, hand

__all__ = ["chain", "hand"]
RULES = RebalanceRules(TargetRules(("BTC", "ETH", "BNB"), ("SOL", "LINK", "ADA"), weights={"LINK": Decimal(2)}))


async def optimize(desk: Chain) -> OptimizationResult:
    await desk.update()
    return optimize_portfolio(
        account=ACCOUNT,
        state=DatabaseStates(desk.engine).load_state(ACCOUNT),
        quotes=await fetch_quotes(desk.exchange, desk.clock),
        market=desk.market,
        store=DatabasePlans(desk.engine),
        clock=desk.clock,
        rules=RULES,
        limits=LIMITS,
        used=Decimal(0),
        code_version="test",
    )


async def test_the_exchange_takes_every_leg_and_the_account_is_balanced_afterwards(
    chain: Chain, hand: ccxt.binance
) -> None:
    proposed = await optimize(chain)
    plan = DatabasePlans(chain.engine).load_open(ACCOUNT)
    assert plan is not None and plan.is_intact
    assert [leg.side for leg in plan.to_trade] == sorted((leg.side for leg in plan.to_trade), reverse=True)
    await hand.load_markets()
    for leg in plan.to_trade:
        order = await hand.create_order(leg.symbol, "market", leg.side.value, float(leg.quantity))
        assert order["status"] == "closed"
    await chain.pass_time(1)
    after = await optimize(chain)
    (account,) = after.accounts
    assert account.plan.before.off == ()
    assert account.stored is None
    cash = account.plan.before.buckets[-1].value
    assert cash >= account.plan.reserve_quote * Decimal("0.995")  # the order book's prices are not the references
    assert proposed.accounts[0].plan.after.equity == pytest.approx(account.plan.before.equity, rel=Decimal("0.01"))
