"""Balances: `sync_account_balance` and `classify_break`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from lib.balances import classify, sync
from lib.balances.flows import FlowKind
from lib.balances.picture import BalanceOptions
from lib.balances.report import BalanceResult
from lib.platform import Platform
from lib.results import TaskResult


async def sync_account_balance(platform: Platform, account: str | None = None) -> BalanceResult:
    """Import, value and compare with the ledger what one account holds, or each."""
    settings = platform.settings
    options = BalanceOptions(
        tolerance_quote=settings.break_tolerance_quote,
        dust_quote=settings.dust_quote,
        settle=timedelta(minutes=settings.break_settle_minutes),
    )

    async def balance(name: str) -> BalanceResult:
        return await sync.sync_account_balance(
            account=name,
            exchange=platform.exchange,
            exchange_account=platform.accounts[name],
            portfolio=platform.portfolio,
            balances=platform.analysis.balances,
            market=platform.market,
            clock=platform.clock,
            universe=platform.settings.symbols,
            options=options,
        )

    return await platform.for_each_account(account, balance)


async def classify_break(platform: Platform, account: str, asset: str, kind: FlowKind, note: str) -> TaskResult:
    """Accept a difference between an account and its ledger as what a person says it is."""
    platform.check_account(account)
    return await asyncio.to_thread(
        classify.classify_break,
        account=account,
        asset=asset,
        kind=kind,
        note=note,
        balances=platform.analysis.balances,
        clock=platform.clock,
    )
