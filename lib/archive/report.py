"""What archiving and restoring report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tabulate import tabulate

from lib.archive.stores import Holding, TableSize
from lib.results import TaskResult

MOST_TABLES = 12
UNITS = ("B", "kB", "MB", "GB", "TB")


class ArchiveResult(TaskResult):
    """The result of `archive_old_data` and `restore_archive`.

    Attributes:
        place: Where the archive is.
        holdings: What it has.
        kept_from: By dataset and timeframe, what is older is archived.
        sizes: Of the database and its tables.
    """

    place: str
    holdings: tuple[Holding, ...] = ()
    kept_from: Mapping[str, datetime] = {}
    sizes: tuple[TableSize, ...] = ()

    def list_holdings(self) -> list[dict[str, str | int]]:
        """Return one row a dataset and timeframe: what is archived, how much, since when."""
        return [
            {
                "what": f"{one.dataset} {one.timeframe}",
                "symbols": one.symbols,
                "files": one.files,
                "rows": one.rows,
                "bytes": one.size_bytes,
                "since": f"{one.since:%Y-%m}",
                "until": f"{one.until:%Y-%m}",
                "restored": one.restored,
            }
            for one in self.holdings
        ]

    def render_tables(self) -> list[str]:
        """Render what the archive has, what stays in the database, and how that grows."""
        return [part for part in (self._render_holdings(), self._render_kept(), self._render_sizes()) if part]

    def _render_holdings(self) -> str:
        rows = [
            (
                f"{one.dataset} {one.timeframe}",
                f"{one.symbols:,}",
                f"{one.files:,}",
                f"{one.rows:,}",
                render_bytes(one.size_bytes),
                f"{one.since:%Y-%m} to {one.until:%Y-%m}",
                f"{one.restored:,}" if one.restored else "",
            )
            for one in self.holdings
        ]
        headers = ("archived", "symbols", "files", "rows", "size", "months", "restored")
        place = f"The archive is in `{self.place}`."
        return f"{place}\n\n{_table(rows, headers)}" if rows else f"{place} Nothing is in it yet."

    def _render_kept(self) -> str:
        rows = [(what, f"{at:%Y-%m-%d}") for what, at in self.kept_from.items()]
        return _table(rows, ("in the database", "older months are archived")) if rows else ""

    def _render_sizes(self) -> str:
        rows = [
            (
                one.name or "database",
                render_bytes(one.size_bytes),
                f"{one.rows:,}" if one.rows else "",
                _render_growth(one.grown_day),
                _render_growth(one.grown_week),
            )
            for one in self.sizes[: MOST_TABLES + 1]
        ]
        headers = ("table", "size", "rows, about", "since yesterday", "in a week")
        return _table(rows, headers) if rows else ""


def render_bytes(size: int) -> str:
    """Render a number of bytes for people: ``1.4 MB``."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.1f} {UNITS[unit]}" if unit else f"{size} B"


def _render_growth(change: int | None) -> str:
    if change is None:
        return ""
    return ("-" if change < 0 else "+") + render_bytes(abs(change))


def _table(rows: Sequence[tuple[str, ...]], headers: tuple[str, ...]) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
