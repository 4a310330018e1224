"""A backtest as one HTML file that needs no other."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from lib.reporting.backtest_chart import draw_backtest
from lib.reporting.backtest_tables import (
    TRADE_HEADS,
    describe_parameters,
    describe_rules,
    describe_title,
    list_measures,
    list_trade_rows,
)
from lib.reporting.search_chapter import Chapter
from lib.research.backtest import Backtest
from lib.research.trades import list_trades

TEMPLATE = Path(__file__).parent / "backtest.html"
MOST_TRADES = 1000  # the newest: a page with all of a year's 5-minute trades opens slowly


def render_backtest(done: Backtest, code_version: str, chapter: Chapter | None = None) -> bytes:
    """Render a backtest with its picture, its measures and its newest trades; everything that is told is escaped.

    Args:
        done: What is shown.
        code_version: Of the platform that made it.
        chapter: The search of its parameters; None where there was none.
    """
    trades = list_trades(done.simulation.trades, done.candles)
    return (
        _load_template()
        .render(
            title=describe_title(done),
            parameters=describe_parameters(done.strategy),
            rules=describe_rules(done.rules),
            notes=[*([done.why_no_trade] if done.why_no_trade else []), *done.notes],
            picture=b64encode(draw_backtest(done)).decode(),
            measures=list_measures(done),
            heads=TRADE_HEADS,
            trades=list_trade_rows(trades[: -MOST_TRADES - 1 : -1]),
            count=len(trades),
            chapter=chapter,
            code_version=code_version,
        )
        .encode()
    )


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
