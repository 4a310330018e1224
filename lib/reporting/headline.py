"""What stands above everything else: one line, the key figures, and what needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lib.performance.wording import UNKNOWN, format_change, format_gain
from lib.reporting.platform_sections import find_behind
from lib.reporting.report import Report
from lib.reporting.runs import MILD, group_troubles
from lib.reporting.sections import Cell, Tone, signed
from lib.results import render_count
from lib.strategy.stores import StrategyState
from lib.units import format_money


@dataclass(frozen=True)
class Figure:
    """A key figure.

    Attributes:
        name: What it is.
        value: The number.
        detail: What to compare it with.
    """

    name: str
    value: Cell
    detail: str


def write_headline(report: Report) -> str:
    """Return one line: ``+1.25 % (+1,234.50 USDT), equity 101,234.56 USDT``."""
    equity, stretch, asset = report.equity, report.performance.stretch, report.scope.quote_asset
    if equity is None:
        return "no balance is stored yet"
    worth = f"equity {format_money(equity, asset)}"
    total = report.performance.measures.total_return
    if stretch is None or total is None:
        return f"{worth}, {UNKNOWN} for a return" if equity else f"{worth}, nothing is invested"
    return f"{format_change(total)} ({format_gain(stretch.profit, asset)}), {worth}"


def list_figures(report: Report) -> list[Figure]:
    """Return the key figures."""
    asset, now, before = report.scope.quote_asset, report.performance, report.previous.stretch
    balances = [one.balance for one in report.accounts if one.balance is not None]
    equity = format_money(report.equity, asset) if report.equity is not None else "no balance yet"
    unrealized = sum((one.unrealized_pnl for one in balances), Decimal(0))
    profit = format_gain(now.stretch.profit, asset) if now.stretch else UNKNOWN
    lead = f"holding BTC {format_change(now.benchmark_return)}"
    figures = [
        Figure("equity", Cell(equity), render_count(len(report.accounts), "accounts") if len(balances) > 1 else ""),
        Figure("return", signed(format_change(now.measures.total_return)), lead),
        Figure(
            "profit",
            signed(profit),
            f"{report.kind.previous}: {format_gain(before.profit, asset) if before else UNKNOWN}",
        ),
        Figure(
            "unrealized",
            signed(format_gain(unrealized, asset)),
            render_count(len(report.positions), "open positions") if report.positions else "no position",
        ),
        Figure(
            "realized",
            signed(format_gain(now.trades.realized, asset)),
            f"{render_count(now.trades.orders, 'orders')}, fees {format_money(now.trades.fees, asset)}",
        ),
    ]
    return [*figures, _show_risk(report)]


def _show_risk(report: Report) -> Figure:
    ranks = {"NONE": (0, Tone.PLAIN), "LOW": (1, Tone.GOOD), "MEDIUM": (2, Tone.WARN), "HIGH": (3, Tone.BAD)}
    if not report.risks:
        return Figure("risk", Cell("unknown", Tone.WARN), "not analyzed yet")
    worst = max(report.risks, key=lambda one: ranks.get(one.level, (0, Tone.PLAIN))[0])
    exposure = f"exposure {100 * worst.exposure_ratio:.0f} %" if worst.exposure_ratio is not None else ""
    name = f"{worst.account}: " if len(report.risks) > 1 else ""
    return Figure("risk", Cell(worst.level, ranks.get(worst.level, (0, Tone.PLAIN))[1]), name + exposure)


def list_concerns(report: Report) -> list[str]:
    """Return what needs a person, the most pressing first; empty when nothing does."""
    concerns = [
        f"Risk of {one.account} is HIGH: {', '.join(one.fired)} (rebalance-portfolio, or close-position)."
        for one in report.risks
        if one.level == "HIGH"
    ]
    concerns += [f"Account {one.name} cannot be used: {one.refused}" for one in report.accounts if one.refused]
    without = [one.symbol for one in report.positions if one.stop_loss is None]
    if without:
        concerns.append(f"No stop loss: {', '.join(without)} (set-stop-loss).")
    unpriced = [one.symbol for one in report.positions if one.valuation is None]
    if unpriced:
        concerns.append(f"No price: {', '.join(unpriced)} (see update_positions in critical-path).")
    for one in report.accounts:
        if one.breaks:
            assets = ", ".join(each.asset for each in one.breaks)
            concerns.append(f"{one.name} differs from its ledger: {assets} (classify-break).")
        if one.is_stale(report.created_at) and one.balance is not None:
            at = f"{one.balance.at:%Y-%m-%d %H:%M} UTC"
            concerns.append(
                f"The last balance of {one.name} is of {at} (see sync_account_balance in signal-generation)."
            )
    return [*concerns, *_list_platform_concerns(report)]


def _list_platform_concerns(report: Report) -> list[str]:
    concerns = []
    failed = [one for one in group_troubles(report.history.troubled) if one.last.state not in MILD]
    if failed:
        named = ", ".join(f"{one.last.flow} {one.count}× {one.last.state.lower()}" for one in failed[:3])
        concerns.append(f"Runs went wrong: {named} (What failed, at the end of the page, has why).")
    if report.history.error is not None:
        concerns.append("The history of the runs could not be read (does the Prefect server answer?).")
    behind = [
        one.timeframe for one in report.timeframes if len(find_behind(one, report.created_at)) * 2 > len(one.newest_at)
    ]
    if behind:
        concerns.append(f"Candles are old: {', '.join(behind)} (see sync_market_data in critical-path).")
    if report.strategies and all(one.state is StrategyState.DISABLED for one in report.strategies):
        concerns.append("No strategy is active (set-strategy-state).")
    if report.undelivered:
        count = render_count(len(report.undelivered), "messages")
        concerns.append(f"{count} of the period reached nobody (`fks status` says why).")
    if report.allocation is not None and report.allocation.off:
        names = ", ".join(one.name for one in report.allocation.off[:4])
        concerns.append(f"Allocation is off: {names} (rebalance-portfolio proposes a plan).")
    return concerns
