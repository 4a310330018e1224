"""What `update_indicators` reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.results import TaskResult


class TimeframeIndicators(BaseModel):
    """What was done for all symbols in one timeframe.

    Attributes:
        timeframe: Which.
        series: Symbols with candles.
        computed: Those with new or changed candles.
        rows: Rows that are new or changed.
        newest_at: Open time of the newest candle with indicators, of the symbol that is furthest behind.
    """

    model_config = ConfigDict(frozen=True)

    timeframe: str
    series: int
    computed: int
    rows: int
    newest_at: datetime | None


class IndicatorsResult(TaskResult):
    """The result of `update_indicators`.

    Attributes:
        timeframes: In the order they were asked for.
    """

    timeframes: tuple[TimeframeIndicators, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown with one row a timeframe: what was written, and how fresh it is."""
        return [_render(self.timeframes)] if self.timeframes else []


def _render(timeframes: Sequence[TimeframeIndicators]) -> str:
    rows = [
        (one.timeframe, one.series, one.computed, f"{one.rows:,}", _render_instant(one.newest_at)) for one in timeframes
    ]
    headers = ("timeframe", "series", "computed", "rows written", "newest candle (UTC)")
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)


def _render_instant(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M}" if instant else "–"
