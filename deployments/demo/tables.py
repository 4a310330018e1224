"""What a person sees of a situation: tables of candles and positions, an alert, a sale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from deployments.by_hand import Trade
from deployments.demo.stage import Books
from lib.adapters.database.overview import StoredRisk, StoredSeries
from lib.notifications.messages import Message, Severity
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition
from lib.risk.rules import RiskLevel, format_percent
from lib.strategy.stores import Action, Signal
from lib.units import format_money

COLOURS = {Severity.INFO: "green", Severity.WARNING: "yellow", Severity.URGENT: "red"}


def render_series(series: Iterable[StoredSeries]) -> Table:
    """Return one line a timeframe, the finest first."""
    table = _make_table(
        "What is stored of the market", "timeframe", "series", "candles", "gaps", "absent", "from", "to"
    )
    by_width = sorted(series, key=lambda one: one.series.width)
    for timeframe, found in groupby(by_width, key=lambda one: one.series.timeframe):
        group = list(found)
        opens = [one.oldest_at for one in group if one.oldest_at], [one.newest_at for one in group if one.newest_at]
        table.add_row(
            timeframe,
            str(len(group)),
            f"{sum(one.candles for one in group):,}",
            f"{sum(one.open_gaps for one in group):,}",
            f"{sum(one.verified_absent for one in group):,}",
            f"{min(opens[0]):%Y-%m-%d %H:%M}" if opens[0] else "never",
            f"{max(opens[1]):%Y-%m-%d %H:%M}" if opens[1] else "never",
        )
    return table


def render_positions(held: Iterable[HeldPosition]) -> Table:
    """Return the open positions with profit and loss, and their sum."""
    columns = ("position", "quantity", "average cost", "price", "P&L", "P&L %", "stop loss", "distance")
    table = _make_table("Open positions", *columns)
    total = Decimal(0)
    for one in held:
        price = one.valuation.price if one.valuation else None
        pnl = one.valuation.unrealized_pnl_quote if one.valuation else Decimal(0)
        pct = one.valuation.unrealized_pnl_pct if one.valuation else None
        total += pnl
        table.add_row(
            one.symbol,
            number(one.position.quantity),
            number(one.position.average_cost, 4),
            number(price) if price else "never",
            _colour(f"{pnl:+,.2f}", pnl),
            _colour(f"{pct:+.2f} %", pct) if pct is not None else "",
            number(one.stop_loss) if one.stop_loss else "none",
            f"{100 * (price - one.stop_loss) / price:.1f} %" if price and one.stop_loss else "",
        )
    table.add_section()
    table.add_row("all", "", "", "", _colour(f"{total:+,.2f}", total))
    return table


def render_alert(message: Message) -> Panel:
    """Return a message as the outbox has it."""
    files = "".join(f", with {one.name} ({len(one.content) / 1000:.0f} kB)" for one in message.attachments)
    return Panel(
        escape(message.body),
        title=escape(message.title),
        title_align="left",
        subtitle=f"{message.severity}, in the outbox since {message.created_at:%H:%M:%S} UTC{escape(files)}",
        subtitle_align="left",
        border_style=COLOURS[message.severity],
    )


def render_sale(sale: Trade, before: Books, after: Books, symbol: str) -> Table:
    """Return what the sale by hand has changed."""
    base, _, quote = symbol.partition("/")
    table = Table.grid(padding=(0, 2))
    fees = ", ".join(f"{number(fee)} {asset}" for asset, fee in sale.fees.items())
    for name, value in (
        ("cash before", format_money(before.cash, quote)),
        ("sold", f"{number(sale.quantity)} {base} at {number(sale.average_price, 4)}"),
        ("received", f"{format_money(sale.gross_quote, quote)}, fee {fees}"),
        ("cash after", format_money(after.cash, quote)),
        ("realized P&L", format_money(after.newest[symbol].realized_pnl_quote, quote)),
    ):
        table.add_row("", f"[bold]{name}[/bold]", escape(value))
    return table


def render_signals(signals: Iterable[Signal]) -> Table:
    """Return one line a symbol with what each strategy says of it, those with a BUY first."""
    by_symbol: dict[str, dict[str, Signal]] = defaultdict(dict)
    for signal in signals:
        by_symbol[signal.key.symbol][signal.key.strategy] = signal
    strategies = sorted({name for said in by_symbol.values() for name in said})
    columns = ("close", *(name.replace("_", " ") for name in strategies))
    table = _make_table("What the strategies say", "symbol", *columns)
    for symbol, said in sorted(by_symbol.items(), key=lambda one: (not _has_buy(one[1].values()), one[0])):
        words = (_describe_signal(said[name]) if name in said else "" for name in strategies)
        table.add_row(symbol, number(next(iter(said.values())).price), *words)
    return table


def _has_buy(signals: Iterable[Signal]) -> bool:
    return any(signal.action is Action.BUY for signal in signals)


def _describe_signal(signal: Signal) -> str:
    return f"[green]BUY ({signal.confidence:.2f})[/]" if signal.action is Action.BUY else "[dim]hold[/]"


def render_risks(risks: Iterable[StoredRisk]) -> Table:
    """Return one line a run of what it found of the account's risk."""
    columns = ("risk", "exposure", "unrealized loss", "largest position", "share")
    table = _make_table("Risk, run by run", "at (UTC)", *columns)
    for one in risks:
        shares = (one.exposure_ratio, one.loss_ratio, one.largest_share)
        exposure, loss, largest = ("" if share is None else format_percent(share) for share in shares)
        level = f"[red]{one.level}[/]" if one.level == RiskLevel.HIGH else one.level
        table.add_row(f"{one.at:%H:%M:%S}", level, exposure, loss, one.largest_symbol or "none", largest)
    return table


def number(value: Decimal, decimals: int = 8) -> str:
    """Render a price or quantity, rounded to so many decimals, without trailing zeros."""
    return format_number(round(value, decimals))


def _make_table(title: str, name: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _colour(text: str, sign: Decimal) -> str:
    return f"[{'red' if sign < 0 else 'green'}]{text}[/]"
