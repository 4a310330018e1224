"""What a search of parameters found, as one HTML file that needs no other."""

from __future__ import annotations

import logging
import os
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from lib.errors import FksError
from lib.performance.measures import Measures
from lib.reporting.backtest_tables import describe_parameters, show_number, show_ratio
from lib.reporting.search_charts import draw_curves, draw_heat_map, draw_trades, draw_train_test
from lib.research.backtest import Backtest
from lib.research.search import Search, SearchPlan, SymbolOutcome
from lib.research.searching import UNKNOWN, Searched, SearchLine, SearchResult, describe_change
from lib.research.stores import SearchRecord

TEMPLATE = Path(__file__).parent / "search.html"
MEDIA_TYPE = "image/webp"
LONGEST_SCOPE = 60  # characters, in a file's name
DAY = timedelta(days=1)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """Everything that a run searched.

    Attributes:
        done: Each strategy.
        plan: How much was tried.
        result: The same in words.
        timeframe: Of the candles.
        examples: Backtests of recent days with what is best, by strategy.
        earlier: The searches of the nights before, by strategy, newest first.
        scope: What the run was restricted to, for the file's name; empty for all.
    """

    done: tuple[Searched, ...]
    plan: SearchPlan
    result: SearchResult
    timeframe: str
    examples: Mapping[str, Sequence[Backtest]]
    earlier: Mapping[str, Sequence[SearchRecord]] = field(default_factory=dict)
    scope: str = ""


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


def choose_examples(found: Search) -> list[str]:
    """Return the symbol on which a search did best out of sample, and the one on which it did worst."""
    ranked = sorted(found.symbols, key=lambda one: one.total_return)
    return list(dict.fromkeys((ranked[-1].symbol, ranked[0].symbol)))


def name_scope(strategy: str | None, symbols: Sequence[str] | None) -> str:
    """Return what a run was restricted to, for its page's file name: "breakout-btc-usdt"; empty for none."""
    words = " ".join((strategy or "", *(symbols or ())))
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:LONGEST_SCOPE]


def name_page(night: Night) -> str:
    """Return ``search-2026-11-22.html``, named after the last day that was searched on."""
    last = max(one.ends_at for one in night.done) - DAY
    return f"search-{last:%Y-%m-%d}{f'-{night.scope}' if night.scope else ''}.html"


def draw_chapters(night: Night) -> tuple[list[Chapter], list[str]]:
    """Return each strategy with its pictures, and what could not be drawn."""
    flaws: list[str] = []
    lines = {line.strategy: line for line in night.result.lines}
    return [_make_chapter(one, lines[one.stored.name], night, flaws) for one in night.done], flaws


def save_page(
    night: Night, chapters: Sequence[Chapter], folder: Path, code_version: str
) -> tuple[Path | None, list[str]]:
    """Write the page at once and whole, in place of an older one of its name; return where, or why not."""
    path = folder / name_page(night)
    part = folder / f"{path.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_bytes(render_search(night, chapters, code_version))
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        logger.warning("The page could not be written to %s", path, exc_info=error)
        return None, [f"the file {path} could not be written ({error.strerror}); make room there"]
    return path, []


def render_search(night: Night, chapters: Sequence[Chapter], code_version: str) -> bytes:
    """Render the page; everything that is told is escaped."""
    first, last = min(one.starts_at for one in night.done), max(one.ends_at for one in night.done) - DAY
    page = _load_template().render(
        title=f"Search of parameters, {last:%Y-%m-%d}",
        terms=_describe_terms(night, f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"),
        notes=[f"{item.name}: {item.detail}" for item in night.result.failed],
        chapters=chapters,
        symbols=_list_symbols(night.done),
        code_version=code_version,
    )
    return page.encode()


def _make_chapter(one: Searched, line: SearchLine, night: Night, flaws: list[str]) -> Chapter:
    plan, examples = night.plan, night.examples.get(one.stored.name, ())
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
    return Chapter(
        line,
        figures,
        _describe_verdict(one),
        describe_parameters(found.tried[found.best]),
        pictures,
        _list_nights(night.earlier.get(line.strategy, ())),
    )


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
    if one.version is None:
        return "What is in force is the best."
    return f"Candidate version {one.version} changes {describe_change(one)}."


def _describe_terms(night: Night, days: str) -> str:
    plan = night.plan
    return (
        f"{night.timeframe} candles of {days}. Chosen on {plan.train_days} days, judged on the {plan.test_days} after "
        f"them, again and again; up to {plan.combinations} combinations a strategy, seed {plan.seed}."
    )


def _list_symbols(done: Sequence[Searched]) -> list[tuple[str, list[Cell]]]:
    symbols = dict.fromkeys(symbol for one in done for symbol in (*one.symbols, *one.failed_symbols))
    found = [{each.symbol: each for each in one.search.symbols} for one in done]
    return [(symbol, [_to_cell(by_symbol.get(symbol)) for by_symbol in found]) for symbol in symbols]


def _to_figure(measures: Measures) -> Cell:
    total = UNKNOWN if measures.total_return is None else f"{100 * measures.total_return:+.1f} %"
    return _show(measures.sharpe, f"{total} in {measures.periods} days")


def _to_cell(one: SymbolOutcome | None) -> Cell:
    if one is None:
        return Cell(UNKNOWN, "not searched", "plain")
    return _show(one.sharpe, f"{100 * one.total_return:+.1f} %, {one.best_trades:,} trades")


def _show(sharpe: float | None, detail: str) -> Cell:
    if sharpe is None:
        return Cell(UNKNOWN, detail, "plain")
    return Cell(f"{sharpe:.2f}", detail, "good" if sharpe > 0 else "bad")


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
