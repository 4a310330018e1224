"""What `sync_account_balance` reports."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tabulate import tabulate

from lib.balances.lines import AssetLine, BalanceLine, BreakLine, FlowLine
from lib.portfolio.money import format_number
from lib.results import TaskResult
from lib.units import format_money


class BalanceResult(TaskResult):
    """The result of `sync_account_balance`.

    Attributes:
        balances: One line an account that was valued.
        assets: What is held, by value.
        flows: Cash flows counted since the UTC day's first snapshot.
        breaks: Suspected and open ones.
    """

    balances: tuple[BalanceLine, ...] = ()
    assets: tuple[AssetLine, ...] = ()
    flows: tuple[FlowLine, ...] = ()
    breaks: tuple[BreakLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of what each account is worth, of the day's cash flows, of the breaks, and of the assets."""
        tables = (
            _render_balances(self.balances),
            _render_flows(self.flows),
            _render_breaks(self.breaks),
            _render_assets(self.assets),
        )
        return [table for table in tables if table]


def _render_balances(lines: Sequence[BalanceLine]) -> str:
    rows = [
        (
            line.account,
            *(
                format_money(amount, line.quote_asset) if amount is not None else "unknown"
                for amount in (
                    line.equity,
                    line.day_pnl,
                    line.day_flows,
                    line.cash_free,
                    line.cash_locked,
                    line.positions_value,
                    line.other_value,
                    line.unrealized_pnl,
                    line.realized_pnl,
                    line.unexplained_value,
                )
            ),
        )
        for line in lines
    ]
    amounts = ("equity", "day P&L", "day's cash flows", "cash free", "cash locked", "positions", "other assets")
    return _table(("account", *amounts, "unrealized P&L", "realized P&L", "unexplained"), rows)


def _render_flows(lines: Sequence[FlowLine]) -> str:
    rows = [
        (
            line.account,
            f"{line.at:%Y-%m-%d %H:%M:%S}",
            line.kind,
            f"{format_number(line.amount)} {line.asset}",
            _money(line.value_quote, line.quote_asset),
            line.source,
        )
        for line in lines
    ]
    return _table(("account", "cash flow at (UTC)", "kind", "amount", "value then", "told by"), rows)


def _render_breaks(lines: Sequence[BreakLine]) -> str:
    rows = [
        (
            line.account,
            line.asset,
            line.state,
            format_number(line.expected),
            format_number(line.actual),
            format_number(line.difference),
            _money(line.value_quote, line.quote_asset),
            f"{line.first_seen_at:%Y-%m-%d %H:%M}",
            line.why,
        )
        for line in lines
    ]
    headers = ("account", "break", "state", "ledger expects", "exchange holds", "difference", "value", "since (UTC)")
    return _table((*headers, "a guess"), rows)


def _render_assets(lines: Sequence[AssetLine]) -> str:
    rows = [
        (
            line.account,
            line.asset,
            _money(line.value_quote, line.quote_asset),
            "" if line.share_pct is None else f"{line.share_pct:.1f} %",
            format_number(line.free),
            format_number(line.locked),
            "" if line.price is None else format_number(round(line.price, max(0, 7 - line.price.adjusted()))),
            line.priced_by,
            line.note,
        )
        for line in lines
    ]
    return _table(("account", "asset", "value", "of equity", "free", "locked", "price", "priced by", "note"), rows)


def _money(amount: Decimal | None, asset: str) -> str:
    return "unknown" if amount is None else format_money(amount, asset)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""
