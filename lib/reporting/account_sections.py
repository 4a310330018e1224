"""The sections about money: accounts, performance, positions, trades, symbols, allocation."""

from __future__ import annotations

from decimal import Decimal

from lib.allocation.drift import Drift
from lib.allocation.wording import format_points
from lib.performance.performance import Performance
from lib.performance.trend import is_trend
from lib.performance.wording import (
    PAID_IN,
    TREND_NAMES,
    describe_performance,
    describe_trend,
    format_change,
    format_gain,
)
from lib.portfolio.stores import HeldPosition
from lib.reporting.parts import value_of
from lib.reporting.report import AccountLine, Report
from lib.reporting.sections import (
    Cell,
    Section,
    Tone,
    format_amount,
    format_instant,
    format_price,
    format_value,
    make_section,
    signed,
)

MAX_POSITIONS = 30
MAX_SYMBOLS = 20


def show_accounts(report: Report) -> Section:
    """What each account is worth now."""
    headers = ["<account", ">equity", ">cash", ">invested", ">unrealized", ">realized, ever", ">today so far", "<as of"]
    rows = [_show_account(one, report) for one in report.accounts]
    if len(rows) > 1:  # of a single one, the whole table of performance says it
        headers[1:1] = [">profit", ">return"]
        rows = [
            [row[0], *_show_growth(report.by_account.get(one.name)), *row[1:]]
            for one, row in zip(report.accounts, rows, strict=True)
        ]
    notes = [
        f"{one.name} has differences to its ledger: {', '.join(each.asset for each in one.breaks)} (classify-break)."
        for one in report.accounts
        if one.breaks
    ]
    notes += [f"{one.name} is empty: nothing is in it." for one in report.accounts if one.is_empty]
    notes += [
        f"{one.name}: not counted, as nothing prices them: {', '.join(one.balance.unpriced)}."
        for one in report.accounts
        if one.balance is not None and one.balance.unpriced
    ]
    return make_section("Accounts", headers, rows, *notes)


def _show_account(one: AccountLine, report: Report) -> list[Cell | str]:
    name = f"{one.name} ({one.kind})"
    balance = one.balance
    if balance is None:
        return [name, *["–"] * 6, Cell("no balance stored yet", Tone.WARN)]
    invested = balance.positions_value + balance.other_value
    share = f" ({100 * invested / balance.equity:.0f} %)" if balance.equity else ""
    is_today = balance.at.date() == report.created_at.date()
    day = format_gain(balance.day_pnl) if is_today and balance.day_pnl is not None else "–"
    return [
        name,
        format_value(balance.equity),
        format_value(balance.cash_free + balance.cash_locked),
        format_value(invested) + share,
        signed(format_gain(balance.unrealized_pnl)),
        signed(format_gain(balance.realized_pnl)),
        signed(day),
        Cell(f"{format_instant(balance.at)} UTC", Tone.WARN if one.is_stale(report.created_at) else Tone.PLAIN),
    ]


def _show_growth(one: Performance | None) -> list[Cell | str]:
    if one is None or one.stretch is None:
        return ["–", "–"]
    return [signed(format_gain(one.stretch.profit)), signed(format_change(one.measures.total_return))]


def show_performance(report: Report) -> Section:
    """The period beside the one before, and beside thirty days."""
    columns: list[tuple[str, Performance]] = [
        (report.kind.present, report.performance),
        (report.kind.previous, report.previous),
    ]
    if report.longer is not None:
        columns.append(("30 days", report.longer))
    described = [dict(describe_performance(one)) for _, one in columns]
    names = dict.fromkeys(name for column in described for name in column)
    rows: list[list[Cell | str]] = [
        [name, *(_show_measure(name, column.get(name, "–")) for column in described)]
        for name in names
        if any(column.get(name, "–") != "–" for column in described)
    ]
    headers = ("<", *(f">{name}" for name, _ in columns))
    return make_section("Performance", headers, rows, *_explain_stretch(report))


def _show_measure(name: str, text: str) -> Cell:
    return Cell(text) if name.startswith(PAID_IN) else signed(text)


def _explain_stretch(report: Report) -> list[str]:
    stretch = report.performance.stretch
    if stretch is None:
        return [f"No two balances are stored of {report.period.words}, so its return is not known."]
    if stretch.began_at >= report.period.start:
        return [f"The first balance is of {stretch.began_at:%Y-%m-%d %H:%M} UTC: what was before is not known."]
    return []


def show_trend(report: Report) -> Section:
    """Thirty days as they were measured on earlier evenings, beside now."""
    if not is_trend(report.trend):
        note = "Nothing to compare with yet: daily-metrics keeps the figures of 30 days every evening."
        return make_section("Trend, 30 days each", (), (), note)
    headers = (f"<{TREND_NAMES[0]}", *(f">{name}" for name in TREND_NAMES[1:]))
    rows: list[list[Cell | str]] = [[one[0], *map(signed, one[1:])] for one in map(describe_trend, report.trend)]
    return make_section("Trend, 30 days each", headers, rows)


def show_positions(report: Report) -> Section:
    """Open positions, the largest first."""
    equity = report.equity
    many = len(report.accounts) > 1
    headers = ["<symbol", ">quantity", ">cost", ">price", ">value", ">of equity", ">unrealized", ">in %", ">stop loss"]
    asset = report.scope.quote_asset
    rows = [_show_position(one, equity, asset) for one in report.positions[:MAX_POSITIONS]]
    if many:
        headers.insert(1, "<account")
        rows = [[row[0], one.account, *row[1:]] for one, row in zip(report.positions, rows, strict=False)]
    if not rows:
        return make_section("Positions", (), (), "No position is open.")
    more = len(report.positions) - MAX_POSITIONS
    return make_section("Positions", headers, rows, f"And {more} smaller ones." if more > 0 else "")


def _show_position(one: HeldPosition, equity: Decimal | None, asset: str) -> list[Cell | str]:
    position, valuation, quote = one.position, one.valuation, one.symbol.partition("/")[2]
    named = "" if quote == asset else quote
    stop = Cell("none", Tone.WARN) if one.stop_loss is None else Cell(format_price(one.stop_loss))
    known = [one.symbol, format_amount(position.quantity), format_price(position.average_cost)]
    if valuation is None:
        return [*known, Cell("no price", Tone.WARN), "–", "–", "–", "–", stop]
    value = value_of(one)
    percent = valuation.unrealized_pnl_pct
    return [
        *known,
        format_price(valuation.price),
        f"{format_value(value)} {named}".rstrip(),
        f"{100 * value / equity:.1f} %" if equity and not named else "–",
        signed(format_gain(valuation.unrealized_pnl_quote, named)),
        signed(f"{percent:+.2f} %" if percent is not None else "–"),
        stop,
    ]


def show_orders(report: Report) -> Section:
    """The last orders that were filled."""
    many = len(report.accounts) > 1
    account = ["<account"] if many else []
    headers = ["<time (UTC)", "<side", "<symbol", *account, ">quantity", ">price", ">amount", ">realized"]
    rows = [
        [
            format_instant(order.at),
            order.side.value,
            order.symbol,
            *([order.account] if many else []),
            format_amount(order.quantity),
            format_price(order.price),
            format_value(order.notional),
            signed(format_gain(order.realized)) if order.realized is not None else "–",
        ]
        for order in report.orders
    ]
    return make_section("Last trades", headers, rows, "" if rows else "No order was ever filled.")


def show_symbols(report: Report) -> Section:
    """What each symbol brought."""
    headers = ("<symbol", ">realized in the period", ">unrealized now", ">fees in the period")
    shown = report.symbols[: MAX_SYMBOLS // 2] + report.symbols[MAX_SYMBOLS // 2 :][-MAX_SYMBOLS // 2 :]
    rows = [
        [
            one.symbol,
            signed(format_gain(one.realized)),
            signed(format_gain(one.unrealized)) if one.unrealized is not None else "–",
            format_value(one.fees),
        ]
        for one in shown
    ]
    more = len(report.symbols) - len(shown)
    note = f"The best and the worst; {more} more lie between." if more else ""
    return make_section("Profit and loss by symbol", headers, rows, note if rows else "No symbol was traded or held.")


def show_allocation(report: Report) -> Section:
    """Equity against its target: the buckets, then what is off."""
    allocation = report.allocation
    if allocation is None:
        return make_section("Allocation", (), (), "There is no equity to split, or what is held was not imported yet.")
    off = [one for one in allocation.assets if allocation.is_off(one)]
    shown = [one for one in allocation.buckets if one.value or one.target] + off

    def show(one: Drift) -> list[Cell | str]:
        tone = Tone.WARN if allocation.is_off(one) else Tone.PLAIN
        share, target = f"{100 * one.ratio:.1f} %", f"{100 * one.target:.1f} %"
        return [one.name, format_value(one.value), share, target, Cell(f"{format_points(one.off)} points", tone)]

    band = f"{100 * allocation.band:.2f}".rstrip("0").rstrip(".")
    note = f"Off by more than {band} points of equity: a rebalance is recommended (portfolio-optimization)."
    inside = f"Nothing is off by more than {band} points of equity."
    headers = ("<part", ">value", ">now", ">target", ">off")
    return make_section(
        "Allocation against the target", headers, [*map(show, shown)], note if allocation.off else inside
    )
