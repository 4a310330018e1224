"""Balances: `sync_account_balance`."""

from __future__ import annotations

from lib.balances import sync
from lib.balances.report import BalanceResult
from lib.platform import Platform


async def sync_account_balance(platform: Platform, account: str | None = None) -> BalanceResult:
    """Import, value and compare with the ledger what one account holds, or each."""

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
        )

    return await platform.for_each_account(account, balance)
