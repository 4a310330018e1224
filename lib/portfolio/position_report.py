"""What `update_positions` reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.portfolio.bookkeeping import Booked
from lib.portfolio.ledger import Position
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition
from lib.results import Item, Status, TaskResult, failed_item
from lib.units import format_money

MAX_CLOSED = 20
FILLS = " fills"  # ends the name of an item about importing


class PositionLine(BaseModel):
    """An open position; amounts as in `Position` and `Valuation`, None where it was never priced.

    `protected_by` says what rests on the exchange for it; empty where the account has no protective orders.
    """

    model_config = ConfigDict(frozen=True)

    account: str
    symbol: str
    opened_at: datetime
    quantity: Decimal
    average_cost: Decimal
    price: Decimal | None
    price_at: datetime | None
    unrealized_pnl_quote: Decimal | None
    unrealized_pnl_pct: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    protected_by: str = ""


class ClosedLine(BaseModel):
    """A position that this run's new fills have closed."""

    model_config = ConfigDict(frozen=True)

    account: str
    symbol: str
    opened_at: datetime
    closed_at: datetime
    realized_pnl_quote: Decimal
    fees_quote: Decimal


class PositionsUpdate(TaskResult):
    """The result of `update_positions`.

    Attributes:
        positions: Every open position, by symbol.
        closed: What was closed, newest first, at most twenty.
    """

    positions: tuple[PositionLine, ...] = ()
    closed: tuple[ClosedLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the open positions, and of those just closed."""
        return [table for table in (_render_open(self.positions), _render_closed(self.closed)) if table]


def line_of(held: HeldPosition, protected_by: str = "") -> PositionLine:
    """Return the report's line of an open position, with what protects it on the exchange, in words."""
    position, valuation = held.position, held.valuation
    return PositionLine(
        account=held.account,
        symbol=held.symbol,
        opened_at=position.opened_at,
        quantity=position.quantity,
        average_cost=position.average_cost,
        price=valuation.price if valuation else None,
        price_at=valuation.price_at if valuation else None,
        unrealized_pnl_quote=valuation.unrealized_pnl_quote if valuation else None,
        unrealized_pnl_pct=valuation.unrealized_pnl_pct if valuation else None,
        stop_loss=held.stop_loss,
        take_profit=held.take_profit,
        protected_by=protected_by,
    )


def lines_of_closed(account: str, closed: Sequence[Position]) -> tuple[ClosedLine, ...]:
    """Return the report's lines of closed positions."""
    lines = [
        ClosedLine(
            account=account,
            symbol=position.symbol,
            opened_at=position.opened_at,
            closed_at=position.closed_at,
            realized_pnl_quote=position.realized_pnl_quote,
            fees_quote=position.fees_quote,
        )
        for position in closed
        if position.closed_at is not None
    ]
    return tuple(sorted(lines, key=lambda line: line.closed_at, reverse=True)[:MAX_CLOSED])


def describe_import(account: str, asked: Sequence[str], booked: Booked) -> list[Item]:
    """Return an item for each symbol asked, for fees that wait, and for each disposal that no known fill had bought."""
    items = [_describe_symbol(account, symbol, booked) for symbol in asked]
    if booked.waiting:
        assets = ", ".join(sorted({one.fill.fee_asset for one in booked.waiting}))
        detail = f"fees of {len(booked.waiting)} fills in {assets} have no price yet and count as nothing until they do"
        items.append(Item(name=f"{account} fees", status=Status.PARTIAL, detail=detail))
    for one in booked.unmatched:
        detail = (
            f"{format_number(one.quantity)} left by fill {one.fill_key} that no known fill had bought (deposited, or "
            "bought before the exchange's history begins); it is in no position and in no profit"
        )
        items.append(Item(name=f"{account} {one.symbol} unmatched", status=Status.PARTIAL, detail=detail))
    return items


def describe_uncovered(held: Sequence[HeldPosition], booked: Booked) -> list[Item]:
    """Return an item for each position that the account does not wholly hold, where the import leaves no doubt."""
    doubtful = {*booked.errors, *(one.fill.symbol for one in booked.fills)}
    return [
        Item(name=f"{one.name} coverage", status=Status.PARTIAL, detail=_tell_uncovered(one))
        for one in held
        if not one.is_covered and one.symbol not in doubtful
    ]


def _tell_uncovered(held: HeldPosition) -> str:
    base, there = held.symbol.partition("/")[0], format_number(held.balance or Decimal(0))
    return (
        f"the position has {format_number(held.position.quantity)} {base}, the account holds {there}: the rest left, "
        "and its cause is not known yet. A withdrawal that the exchange tells is taken out by the next "
        f"sync_account_balance; for a break of {base} say with classify-break what it was. Until then profit and stop "
        f"loss count the whole position; only {there} can be sold"
    )


def describe_unlisted(account: str, assets: Sequence[str]) -> list[Item]:
    """Return an item that names the assets held whose symbol is not listed, if there are any."""
    if not assets:
        return []
    detail = (
        f"{', '.join(assets)} held without a known market against the quote asset: no fills of it are imported, so it "
        "is in no position and nothing watches it. It is asked for as soon as sync_market_data finds it listed."
    )
    return [Item(name=f"{account} unlisted", status=Status.SKIPPED, detail=detail)]


def _describe_symbol(account: str, symbol: str, booked: Booked) -> Item:
    name = f"{account} {symbol}{FILLS}"
    if symbol in booked.errors:
        return failed_item(name, booked.errors[symbol])
    fresh = [one for one in booked.fills if one.fill.symbol == symbol]
    if not fresh:
        return Item(name=name, status=Status.SKIPPED, detail="no new fills")
    priced_by = sorted({one.fee_priced_by for one in fresh if one.fee_quote is not None} - {"quote", "fill"})
    return Item(
        name=name,
        status=Status.OK,
        detail=f"{len(fresh)} new" + (f"; fees valued by {', '.join(priced_by[-3:])}" if priced_by else ""),
    )


def _render_open(lines: Sequence[PositionLine]) -> str:
    is_protected = any(line.protected_by for line in lines)
    rows = [
        (
            line.account,
            line.symbol,
            format_money(line.unrealized_pnl_quote, line.symbol.partition("/")[2])
            if line.unrealized_pnl_quote is not None
            else "",
            f"{line.unrealized_pnl_pct:+.2f} %" if line.unrealized_pnl_pct is not None else "",
            _short(line.price),
            _short(line.stop_loss) or "none",
            _short(line.take_profit) or "none",
            _short(line.average_cost),
            format_number(line.quantity),
            f"{line.price_at:%H:%M:%S}" if line.price_at else "never",
            *([line.protected_by] if is_protected else []),
        )
        for line in lines
    ]
    headers = ["account", "position", "P&L", "P&L %", "price", "stop", "target", "cost", "quantity", "priced at (UTC)"]
    headers += ["protected on the exchange by"] if is_protected else []
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""


def _render_closed(lines: Sequence[ClosedLine]) -> str:
    rows = [
        (
            line.account,
            line.symbol,
            f"{line.closed_at:%Y-%m-%d %H:%M:%S}",
            format_money(line.realized_pnl_quote, line.symbol.partition("/")[2]),
            format_money(line.fees_quote, line.symbol.partition("/")[2]),
        )
        for line in lines
    ]
    headers = ("account", "closed position", "at (UTC)", "realized P&L", "fees")
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""


def _short(price: Decimal | None) -> str:
    """At most eight significant digits: an average cost has eighteen decimals, and 155,189.04 says it all."""
    return format_number(round(price, max(0, 7 - price.adjusted()))) if price is not None else ""
