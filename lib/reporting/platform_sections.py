"""The sections about the platform: risk, signals, data, and what went wrong."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.market.timeframes import calc_newest_closed
from lib.performance.wording import format_change
from lib.reporting.report import Report
from lib.reporting.runs import group_troubles
from lib.reporting.sections import Cell, Section, Tone, format_instant, format_price, make_section
from lib.reporting.stores import RiskLine, StoredTimeframe
from lib.results import render_count
from lib.risk.rules import format_percent
from lib.strategy.stores import StrategyState

LEVELS = {"HIGH": Tone.BAD, "MEDIUM": Tone.WARN, "LOW": Tone.GOOD, "NONE": Tone.PLAIN}
STATES = {"Partial": Tone.WARN, "Skipped": Tone.PLAIN, "Cancelled": Tone.PLAIN}
MAX_NAMES = 4
MAX_TROUBLES = 15
MAX_TITLES = 10
LONGEST_MESSAGE = 160
CANDLES_LAST = timedelta(minutes=10)
PRICES_LAST = timedelta(minutes=15)
BALANCES_LAST = timedelta(hours=1)
UNKNOWN = "not enough data"


def show_risk(report: Report) -> Section:
    """What the last analysis found."""
    headers = (
        "<account",
        "<level",
        ">exposure",
        ">unrealized loss",
        "<largest",
        ">value at risk 95 %, one day",
        ">below its peak",
        "<as of",
    )
    rows = [_show_risk(one) for one in report.risks]
    fired = [f"{one.account}: {', '.join(one.fired)}." for one in report.risks if one.fired]
    return make_section("Risk", headers, rows, *(fired if rows else ["Risk was not analyzed yet."]))


def _show_risk(one: RiskLine) -> list[Cell | str]:
    largest = (
        f"{one.largest_symbol} {format_percent(one.largest_share)}" if one.largest_share is not None else "nothing"
    )
    return [
        one.account,
        Cell(one.level, LEVELS.get(one.level, Tone.PLAIN)),
        format_percent(one.exposure_ratio) if one.exposure_ratio is not None else "unknown",
        format_percent(one.loss_ratio) if one.loss_ratio is not None else "unknown",
        largest,
        f"{100 * one.var_95:.2f} %" if one.var_95 is not None else UNKNOWN,
        format_change(float(one.drawdown_ratio)) if one.drawdown_ratio is not None else UNKNOWN,
        f"{format_instant(one.at)} UTC",
    ]


def show_signals(report: Report) -> Section:
    """The BUYs of the period, and which strategies speak."""
    signals = report.signals
    if signals is None:
        return make_section("Signals", (), (), "Signals could not be read.")
    headers = ("<time (UTC)", "<symbol", "<strategy", ">price", ">stop loss", ">take profit", ">confidence")
    rows = [
        [
            format_instant(one.created_at),
            f"{one.symbol} {one.timeframe}",
            one.strategy.replace("_", " "),
            format_price(one.price),
            format_price(one.stop_loss),
            format_price(one.take_profit),
            f"{100 * one.confidence:.0f} %" if one.confidence is not None else "–",
        ]
        for one in signals.newest
    ]
    said = f"{render_count(signals.decisions, 'decisions')}, {render_count(signals.buys, 'BUYs')}."
    more = f" The newest {len(rows)} are shown." if signals.buys > len(rows) else ""
    return make_section("Signals", headers, rows, said + more, _name_strategies(report))


def _name_strategies(report: Report) -> str:
    off = [one for one in report.strategies if one.state is StrategyState.DISABLED]
    on = [one.name.replace("_", " ") for one in report.strategies if one not in off]
    if not on:
        return "No strategy is active."
    silent = "; ".join(f"{one.name.replace('_', ' ')} is disabled ({one.why})" for one in off)
    return f"Active: {', '.join(on)}.{f' {silent}.' if silent else ''}"


def show_freshness(report: Report) -> Section:
    """How fresh candles, prices and balances are."""
    headers = ("<data", "<newest", "<state")
    rows: list[list[Cell | str]] = [_show_timeframe(one, report.created_at) for one in report.timeframes]
    priced = [one.valuation.price_at for one in report.positions if one.valuation is not None]
    if priced:
        rows.append(_show_age("position prices", min(priced), report.created_at, PRICES_LAST))
    balances = [one.balance.at for one in report.accounts if one.balance is not None]
    if balances:
        rows.append(_show_age("balances", min(balances), report.created_at, BALANCES_LAST))
    return make_section("Data freshness", headers, rows, "" if rows else "No data is stored yet.")


def _show_timeframe(one: StoredTimeframe, now: datetime) -> list[Cell | str]:
    name = f"candles {one.timeframe}, {render_count(len(one.newest_at), 'symbols')}"
    known = [at for at in one.newest_at.values() if at is not None]
    if not known:
        return [name, "none", Cell("nothing is stored yet", Tone.BAD)]
    behind = find_behind(one, now)
    troubles = [f"{what}: {_name(symbols)}" for what, symbols in (("failing", one.failing), ("old", behind)) if symbols]
    if one.with_gaps:
        troubles.append(f"open gaps in {render_count(one.with_gaps, 'symbols')}")
    state = Cell("; ".join(troubles), Tone.WARN) if troubles else Cell("fresh", Tone.GOOD)
    return [name, f"{format_instant(max(known))} UTC", state]


def find_behind(one: StoredTimeframe, now: datetime) -> tuple[str, ...]:
    """Return the symbols without the newest candle that closed two runs of the critical path ago, or before."""
    due = calc_newest_closed(now - CANDLES_LAST, one.timeframe)
    return tuple(symbol for symbol, newest_at in one.newest_at.items() if newest_at is None or newest_at < due)


def _show_age(name: str, at: datetime, now: datetime, patience: timedelta) -> list[Cell | str]:
    is_old = now - at > patience
    return [name, f"{format_instant(at)} UTC", Cell("old", Tone.WARN) if is_old else Cell("fresh", Tone.GOOD)]


def _name(symbols: tuple[str, ...]) -> str:
    more = f" and {len(symbols) - MAX_NAMES} more" if len(symbols) > MAX_NAMES else ""
    return ", ".join(symbols[:MAX_NAMES]) + more


def show_troubles(report: Report) -> Section:
    """What failed in the period: runs, accounts, messages that reached nobody, and parts of this report."""
    history = report.history
    groups = group_troubles(history.troubled)
    rows: list[list[Cell | str]] = [
        [
            one.last.flow,
            Cell(one.last.state, STATES.get(one.last.state, Tone.BAD)),
            f"{one.count:,}",
            format_instant(one.last.at),
            _shorten(one.last.message),
        ]
        for one in groups[:MAX_TROUBLES]
    ]
    notes = [_count_runs(report, len(groups))]
    notes += [f"Account {one.name} cannot be used: {one.refused}" for one in report.accounts if one.refused]
    notes += [f"Reached nobody ({why}): {title}" for title, why in report.undelivered[:MAX_TITLES]]
    if (more := len(report.undelivered) - MAX_TITLES) > 0:
        notes.append(f"So did {render_count(more, 'more messages')}.")
    notes += [f"Missing in this report: {flaw}" for flaw in report.flaws]
    headers = ("<flow", "<ended", ">runs", "<last (UTC)", "<what the last one said")
    return make_section("What failed", headers, rows, *notes)


def _count_runs(report: Report, groups: int) -> str:
    history = report.history
    if history.error is not None:
        return f"The history of the runs could not be read: {history.error}"
    count = render_count(history.runs, "runs")
    if not groups:
        return f"Nothing: {count} ended as they should." if history.runs else "No run has ended in the period."
    more = f" {history.untold} more are not listed." if history.untold else ""
    return f"Of {count}.{more}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"
