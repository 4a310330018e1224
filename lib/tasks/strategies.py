"""Strategies: `set_strategy_state`."""

from __future__ import annotations

import asyncio

from lib.platform import Platform
from lib.results import TaskResult
from lib.strategy import roster, switching
from lib.strategy.stores import StrategyState


async def set_strategy_state(platform: Platform, name: str, state: StrategyState, why: str) -> TaskResult:
    """Switch a strategy on or off; those of the code that were never stored are registered first."""
    store, clock = platform.analysis.strategies, platform.clock
    await asyncio.to_thread(roster.register_strategies, store, clock.now())
    return await asyncio.to_thread(
        switching.set_strategy_state, name=name, state=state, why=why, store=store, clock=clock
    )
