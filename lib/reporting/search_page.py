"""What a search of parameters found, as one HTML file that needs no other."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from lib.reporting.search_chapter import Cell, Chapter, draw_chapter, to_cell
from lib.research.backtest import Backtest
from lib.research.search import Search, SearchPlan
from lib.research.searching import Searched, SearchResult
from lib.research.stores import SearchRecord

TEMPLATE = Path(__file__).parent / "search.html"
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
    chapters, flaws = [], []
    for one in night.done:
        name = one.stored.name
        chapter, lacking = draw_chapter(one, night.plan, night.examples.get(name, ()), night.earlier.get(name, ()))
        chapters.append(chapter)
        flaws += lacking
    return chapters, flaws


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


def _describe_terms(night: Night, days: str) -> str:
    plan = night.plan
    return (
        f"{night.timeframe} candles of {days}. Chosen on {plan.train_days} days, judged on the {plan.test_days} after "
        f"them, again and again; up to {plan.combinations} combinations a strategy, seed {plan.seed}."
    )


def _list_symbols(done: Sequence[Searched]) -> list[tuple[str, list[Cell]]]:
    symbols = dict.fromkeys(symbol for one in done for symbol in (*one.symbols, *one.failed_symbols))
    found = [{each.symbol: each for each in one.search.symbols} for one in done]
    return [(symbol, [to_cell(by_symbol.get(symbol)) for by_symbol in found]) for symbol in symbols]


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
