"""The message that brings a report: the numbers that matter on a telephone, its pictures, and the whole file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.performance.wording import UNKNOWN, format_change, format_gain
from lib.portfolio.stores import HeldPosition
from lib.reporting.headline import list_concerns, write_headline
from lib.reporting.report import Report
from lib.results import render_count
from lib.units import format_money

MOST_CONCERNS = 5


def write_report(report: Report, charts: Sequence[Attachment], page: Attachment | None, *, key: str) -> Message:
    """Return the message with the charts, and with the page where it is not too large for it.

    Args:
        report: What it says.
        charts: Its pictures.
        page: Its HTML file.
        key: The run's id, so that a retry says it once.
    """
    whose = f" ({report.scope.account})" if report.scope.account else ""
    title = f"{report.title}{whose}: {write_headline(report)}"
    lines = [_tell_growth(report), *_tell_account(report)]
    if concerns := list_concerns(report):
        lines += ["", "Needs attention:", *(f"⚠️ {concern}" for concern in concerns[:MOST_CONCERNS])]
        if more := len(concerns) - MOST_CONCERNS:
            lines += [f"and {more} more, in the page"] if more > 0 else []
    else:
        lines += ["Nothing needs attention."]
    if report.flaws:
        lines += ["", "Missing in this report:", *(f"• {flaw}" for flaw in report.flaws)]
    message = compose(
        MessageType.REPORT,
        Severity.INFO,
        title,
        "\n".join(lines),
        key=f"{report.kind}:{report.scope.account}:{report.period.last_day}:{key}",
        at=report.created_at,
    )
    return replace(message, attachments=(*charts, *([page] if page else [])))


def _tell_growth(report: Report) -> str:
    """Say the return, and beside it what is known to compare it with."""
    now, before = report.performance.measures.total_return, report.previous.measures.total_return
    if now is None:
        return "Return: not known yet, as fewer than two balances of the period are stored."
    held = report.performance.benchmark_return
    known = ((f"{report.kind.previous}", before), ("holding BTC", held))
    beside = ", ".join(f"{name} {format_change(change)}" for name, change in known if change is not None)
    return f"Return {format_change(now)}{f' ({beside})' if beside else ''}."


def _tell_account(report: Report) -> list[str]:
    asset, trades = report.scope.quote_asset, report.performance.trades
    lines = [_tell_positions(report)]
    if trades.orders:
        realized = f", realized {format_gain(trades.realized, asset)}" if trades.trades else ""
        fees = format_money(trades.fees, asset)
        lines.append(f"Trades: {render_count(trades.orders, 'orders')}{realized}, fees {fees}.")
    else:
        lines.append("Trades: none.")
    for one in report.risks:
        exposure = f"{100 * one.exposure_ratio:.0f} %" if one.exposure_ratio is not None else UNKNOWN
        name = f" of {one.account}" if len(report.risks) > 1 else ""
        lines.append(f"Risk{name}: {one.level}, exposure {exposure}.")
    if report.signals is not None:
        lines.append(f"Signals: {render_count(report.signals.buys, 'BUYs')}.")
    return lines


def _tell_positions(report: Report) -> str:
    known = [one for one in report.positions if one.valuation is not None]
    if not report.positions:
        return "Positions: none."
    count = f"Positions: {len(report.positions)}"
    if not known:
        return f"{count}, none with a price."
    by_percent = sorted(known, key=_percent_of)
    best, worst = by_percent[-1], by_percent[0]
    shown = [f"best {_name(best)}"] + ([f"worst {_name(worst)}"] if worst is not best else [])
    return f"{count}; {', '.join(shown)}."


def _percent_of(one: HeldPosition) -> float:
    percent = one.valuation.unrealized_pnl_pct if one.valuation else None
    return float(percent or 0)


def _name(one: HeldPosition) -> str:
    return f"{one.symbol} {_percent_of(one):+.2f} %"
