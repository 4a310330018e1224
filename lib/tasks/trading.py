"""What every task that places orders shares: rules of the settings, and an account's orders behind their checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from lib.allocation.plan import RebalanceRules
from lib.allocation.targets import TargetRules
from lib.execution.checks import OrderLimits
from lib.execution.gate import Gate, Halted
from lib.execution.placing import Placing, PlacingRules, open_placing
from lib.platform import Platform
from lib.settings import Settings


@asynccontextmanager
async def open_trading(
    platform: Platform, account: str, halted: Halted, *, is_exit: bool = False
) -> AsyncIterator[Placing]:
    """Become the only writer of an account's orders, each of which goes through every check.

    Args:
        platform: The parts.
        account: Whose orders.
        halted: Says why trading is halted; None when it is not.
        is_exit: Whether it is for the order of an exit, which waits for another writer as long as for an order.

    Raises:
        OperatorError: The account is unknown or cannot be used.
        AccountBusy: Another run places orders of it now.
    """
    gate = await make_gate(platform, account, halted, is_exit=is_exit)
    rules, venue = placing_rules_of(platform.settings), platform.trading.venues[account]
    async with open_placing(
        account,
        store=platform.trading.orders,
        venue=venue,
        check=gate.check,
        clock=platform.clock,
        rules=rules,
        lock_patience=rules.patience if is_exit else timedelta(0),
    ) as placing:
        yield placing


async def make_gate(platform: Platform, account: str, halted: Halted, *, is_exit: bool = False) -> Gate:
    """Return the checks of an account's orders; the day's limit does not keep an exit from selling.

    Raises:
        OperatorError: The account is unknown or cannot be used.
    """
    platform.check_account(account)
    held = await asyncio.to_thread(platform.portfolio.load_held, account)
    limits = order_limits_of(platform.settings)
    return Gate(
        account=platform.accounts[account],
        venue=platform.trading.venues[account],
        books=platform.books,
        market=platform.market,
        store=platform.trading.orders,
        watched={*platform.settings.symbols, *(one.symbol for one in held)},
        halted=halted,
        limits=replace(limits, max_day_notional=None) if is_exit else limits,
        clock=platform.clock,
    )


def order_limits_of(settings: Settings) -> OrderLimits:
    """Return what the settings allow an order."""
    return OrderLimits(
        max_order_notional=settings.max_order_notional,
        max_day_notional=settings.max_day_notional,
        max_move_pct=settings.max_price_move_pct,
        max_slippage_pct=settings.max_slippage_pct,
        max_price_age=timedelta(seconds=settings.order_price_max_age_seconds),
    )


def placing_rules_of(settings: Settings) -> PlacingRules:
    """Return how patient the settings want placing to be."""
    return PlacingRules(
        grace=timedelta(seconds=settings.order_grace_seconds),
        patience=timedelta(seconds=settings.order_patience_seconds),
    )


def rebalance_rules_of(settings: Settings) -> RebalanceRules:
    """Return how the settings want an account split."""
    targets = TargetRules(
        mains=settings.mains,
        alts=settings.alts,
        mains_ratio=settings.mains_pct / 100,
        cash_reserve_ratio=settings.cash_reserve_pct / 100,
        weights=settings.target_weights,
        sells_others=settings.sell_others,
    )
    return RebalanceRules(
        targets=targets,
        band=settings.rebalance_band_pct / 100,
        smallest_leg=settings.rebalance_smallest_leg_pct / 100,
        fee_ratio=settings.fee_pct / 100,
        alarm_exposure=settings.risk_high_exposure_pct / 100,
    )
