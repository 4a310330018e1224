"""Orders compared with the exchange: `reconcile_orders`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from lib.execution import reconciling
from lib.execution.finding_alerts import write_halt_seen
from lib.execution.halt import Halt
from lib.execution.reconciling import ReconcilingParts
from lib.execution.reconciling_report import ReconciliationResult
from lib.platform import Platform
from lib.portfolio.accounts import AccountKind
from lib.results import Item, Status, calc_status


async def reconcile_orders(
    platform: Platform, account: str | None = None, halt: Halt | None = None
) -> ReconciliationResult:
    """Compare the orders of one account, or of each, with the exchange's, and say that trading is halted if it is.

    Args:
        platform: The parts.
        account: Whose orders; None for every account's.
        halt: The trading halt. One that was set in the Prefect UI, where nobody is told, is told here, once.
    """
    if halt is not None and not halt.who:
        message = write_halt_seen(halt, platform.clock.now())
        await asyncio.to_thread(platform.notifications.record, message)

    async def reconcile(name: str) -> ReconciliationResult:
        parts = await asyncio.to_thread(_make_parts, platform, name)
        return await reconciling.reconcile_orders(account=name, parts=parts, clock=platform.clock)

    result = await platform.for_each_account(account, reconcile)
    if halt is None:
        return result
    told = Item(name="trading", status=Status.OK, detail=f"halted: {halt.describe()}")
    items, counts = (told, *result.items), {"trading halts": 1, **result.counts}
    return result.model_copy(update={"items": items, "counts": counts, "status": calc_status(result.task, items)})


def _make_parts(platform: Platform, account: str) -> ReconcilingParts:
    held = platform.portfolio.load_held(account)

    def import_again(symbols: Collection[str]) -> None:
        with platform.analysis.balances.open_records(account) as records:
            records.ask_fills_again(symbols)

    return ReconcilingParts(
        orders=platform.trading.orders,
        findings=platform.trading.findings,
        venue=platform.trading.venues[account],
        symbols={*platform.settings.symbols, *(one.symbol for one in held)},
        import_again=import_again,
        may_be_foreign=platform.portfolio.load_account(account).kind is not AccountKind.PAPER,
    )
