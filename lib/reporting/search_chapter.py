"""One strategy of a search, ready for a page: its numbers, its pictures, and the nights before."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

from lib.errors import FksError
from lib.performance.measures import Measures
from lib.reporting.backtest_tables import describe_parameters, show_number, show_ratio
from lib.reporting.search_charts import draw_curves, draw_heat_map, draw_trades, draw_train_test
from lib.research.backtest import Backtest
from lib.research.search import SearchPlan, SymbolOutcome
from lib.research.searching import UNKNOWN, Searched, SearchLine, describe_change, describe_search
from lib.research.stores import SearchRecord

MEDIA_TYPE = "image/webp"
DAY = timedelta(days=1)
logger = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A picture of the page: what it shows, and how to read it."""

    name: str
    caption: str
    content: bytes

    @property
    def address(self) -> str:
        """The picture within its own address."""
        return f"data:{MEDIA_TYPE};base64,{b64encode(self.content).decode()}"


class Cell(NamedTuple):
    """A Sharpe ratio with what goes with it; `tone` is good, bad or plain."""

    sharpe: str
    detail: str
    tone: str


class Chapter(NamedTuple):
    """One strategy on the page; `figures` are the choice out of sample, what is in force, the best in training."""

    line: SearchLine
    figures: list[Cell]
    verdict: str
    parameters: str
    pictures: list[Picture]
    nights: list[tuple[str, ...]]


def draw_chapter(
    one: Searched, plan: SearchPlan, examples: Sequence[Backtest] = (), earlier: Sequence[SearchRecord] = ()
) -> tuple[Chapter, list[str]]:
    """Return a strategy with its pictures, and what could not be drawn.

    Args:
        one: What was found.
        plan: How much was tried.
        examples: Backtests of recent days with what is best.
        earlier: The searches of the nights before, newest first.
    """
    line, flaws = describe_search(one), list[str]()
    drawn: list[tuple[str, str, Callable[[], bytes | None]]] = [
        (
            "equity and drawdown",
            "Blue was chosen with knowledge of nearly all of these days; only orange was chosen before them.",
            lambda: draw_curves(one, plan),
        ),
        (
            "train against test",
            "A dot is one combination in one window. Dots on the dashed line did after it what they did in it.",
            lambda: draw_train_test(one, plan),
        ),
        (
            "parameters tried",
            "The two parameters that made the most difference. Blue frame: best; dashed: in force.",
            lambda: draw_heat_map(one, plan),
        ),
        (
            "trades",
            "The best combination lately, on the symbols with the best and the worst result out of sample.",
            lambda: draw_trades(examples),
        ),
    ]
    pictures = [
        Picture(name, caption, content)
        for name, caption, draw in drawn
        if (content := _draw(f"{line.strategy}: {name}", draw, flaws)) is not None
    ]
    found = one.search
    figures = [_to_figure(measures) for measures in (found.out_of_sample, found.in_force, found.train)]
    chapter = Chapter(
        line,
        figures,
        _describe_verdict(one),
        describe_parameters(found.tried[found.best]),
        pictures,
        _list_nights(earlier),
    )
    return chapter, flaws


def _list_nights(earlier: Sequence[SearchRecord]) -> list[tuple[str, ...]]:
    """Return what the nights before found, for the rows under: last day, Sharpe, deflated, overfitting, outcome."""
    return [
        (
            f"{one.window_ends_at - DAY:%Y-%m-%d}",
            show_number(one.metrics["out_of_sample"]["sharpe"]),
            show_number(one.metrics["in_force_out_of_sample"]["sharpe"]),
            show_number(one.metrics["deflated_sharpe"]),
            show_ratio(one.metrics["overfitting"]),
            f"candidate {one.candidate_version}" if one.candidate_version else "in force is the best",
        )
        for one in earlier
    ]


def _draw(name: str, draw: Callable[[], bytes | None], flaws: list[str]) -> bytes | None:
    try:
        return draw()
    except FksError as error:
        flaws.append(f"{name}: {error}")
    except Exception as error:  # counted as a flaw: candidates must not wait for their picture
        logger.exception("%s could not be drawn", name)
        flaws.append(f"{name} could not be drawn ({type(error).__name__})")
    return None


def _describe_verdict(one: Searched) -> str:
    if one.search.best == 0:
        return "What is in force is the best."
    name = "The best" if one.version is None else f"Candidate version {one.version}"
    return f"{name} changes {describe_change(one)}."


def _to_figure(measures: Measures) -> Cell:
    total = UNKNOWN if measures.total_return is None else f"{100 * measures.total_return:+.1f} %"
    return _show(measures.sharpe, f"{total} in {measures.periods} days")


def to_cell(one: SymbolOutcome | None) -> Cell:
    """Return what a strategy came to on a symbol; None is one that it was not searched on."""
    if one is None:
        return Cell(UNKNOWN, "not searched", "plain")
    return _show(one.sharpe, f"{100 * one.total_return:+.1f} %, {one.best_trades:,} trades")


def _show(sharpe: float | None, detail: str) -> Cell:
    if sharpe is None:
        return Cell(UNKNOWN, detail, "plain")
    return Cell(f"{sharpe:.2f}", detail, "good" if sharpe > 0 else "bad")
