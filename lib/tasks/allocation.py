"""Allocation: `optimize_portfolio`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from lib.allocation import optimization
from lib.allocation.report import OptimizationResult
from lib.code_version import find_code_version
from lib.execution.gate import start_of_day
from lib.execution.protection import free_up
from lib.platform import Platform
from lib.portfolio.quotes import fetch_quotes
from lib.portfolio.state import AccountState
from lib.tasks.portfolio import update_positions
from lib.tasks.protected import load_locked
from lib.tasks.rebalancing import plan_limits_of
from lib.tasks.trading import rebalance_rules_of


async def optimize_portfolio(platform: Platform, account: str | None = None) -> OptimizationResult:
    """Compare one account, or each, with its targets; where it is off, propose a plan and tell people.

    Fills and balances are imported before: a plan of yesterday's holdings would trade what is not there.
    """

    async def optimize(name: str) -> OptimizationResult:
        await update_positions(platform, name)
        state = await asyncio.to_thread(platform.analysis.states.load_state, name)
        if state is not None:
            state = _free_protected(state, await load_locked(platform, name))
        day = start_of_day(platform.clock.now())
        return await asyncio.to_thread(
            optimization.optimize_portfolio,
            account=name,
            state=state,
            quotes=await fetch_quotes(platform.exchange, platform.clock),
            market=platform.market,
            store=platform.trading.plans,
            clock=platform.clock,
            rules=rebalance_rules_of(platform.settings),
            limits=plan_limits_of(platform.settings),
            used=await asyncio.to_thread(platform.trading.orders.load_notional, name, day),
            code_version=find_code_version(),
        )

    return await platform.for_each_account(account, optimize)


def _free_protected(state: AccountState, locked: Mapping[str, Decimal]) -> AccountState:
    """Return the state with what protective orders hold as free: they are cancelled before a sale."""
    freed = free_up({one.balance.asset: one.balance for one in state.holdings}, locked)
    return replace(state, holdings=tuple(replace(one, balance=freed[one.balance.asset]) for one in state.holdings))
