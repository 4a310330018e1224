"""`run_backtest`: searching the parameters of strategies, and keeping what was found as candidates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.errors import DataError, StrategyRefused
from lib.performance.measures import Measures
from lib.ports import Clock
from lib.research.cells import Cell, Tried
from lib.research.look_ahead import Show
from lib.research.planning import Assignment
from lib.research.search import Search, SearchPlan, SymbolOutcome, choose_parameters
from lib.research.stores import SearchRecord, SearchStore
from lib.research.tally import Tally
from lib.results import Item, Status, TaskResult, calc_status, failed_item
from lib.strategy.registry import calc_code_version
from lib.strategy.stores import Candidate, StoredStrategy, StrategyStore

TASK = "run_backtest"
UNKNOWN = "–"
IN_FORCE_IS_BEST = "none: what is in force is the best"
MOST_SYMBOLS = 50  # rows of the artifact's table; the page has all
Outcome = Tried | Exception
Work = Callable[[Sequence[Cell]], Generator[Outcome, None, None]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searched:
    """A search and the data it was made on.

    Attributes:
        stored: The strategy as it stood.
        search: What was found.
        symbols: On which.
        failed_symbols: Those that should have been among them.
        starts_at: Of the first day, UTC.
        ends_at: Of the day after the last.
        version: Of the candidate that was kept; None when what is in force is the best.
    """

    stored: StoredStrategy
    search: Search
    symbols: tuple[str, ...]
    failed_symbols: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    version: int | None = None


class SearchLine(BaseModel):
    """What was found for one strategy, ready to read."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    candidate: str
    tried: int
    train: str
    out_of_sample: str
    in_force: str
    previous_day: str
    deflated_sharpe: str
    overfitting: str


class SymbolLine(BaseModel):
    """What was found of one symbol, by strategy."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    outcomes: Mapping[str, str]


class SearchResult(TaskResult):
    """The result of `run_backtest`.

    Attributes:
        lines: Each strategy that was searched.
        symbols: Each symbol that one was searched on.
        path: The page's file; None where there is none.
    """

    lines: tuple[SearchLine, ...] = ()
    symbols: tuple[SymbolLine, ...] = ()
    path: str | None = None

    def render_tables(self) -> list[str]:
        """Markdown with a row a strategy, a row a symbol, and where the page is."""
        if not self.lines:
            return []
        heads = (
            "strategy",
            "candidate",
            "tried",
            "on its training days",
            "out of sample",
            "in force, same days",
            "previous day",
            "deflated Sharpe",
            "overfitting",
        )
        names = [one.strategy for one in self.lines]
        rows = [list(one.model_dump().values()) for one in self.lines]
        cells = [[one.symbol, *(one.outcomes.get(name, UNKNOWN) for name in names)] for one in self.symbols]
        symbols = ["Sharpe, return out of sample", *names]
        told = [
            tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True),
            tabulate(cells[:MOST_SYMBOLS], headers=symbols, tablefmt="pipe", disable_numparse=True),
        ]
        if self.path:
            told.append(f"Curves, trades, parameters tried, train against test: `{self.path}`")
        return told


def run_backtest(
    *,
    assignments: Sequence[Assignment],
    refused: Sequence[Item],
    work: Work,
    store: StrategyStore,
    records: SearchStore,
    scope: str,
    plan: SearchPlan,
    clock: Clock,
    show: Show,
) -> tuple[SearchResult, tuple[Searched, ...]]:
    """Search the parameters of strategies, disabled ones too, and store the best of each as its candidate.

    Signals go on with the parameters in force. Where those are the best, there is no candidate. What is stored is the
    same however often it is stored, so that a run that was killed is started again as a whole. A cell that fails
    leaves its symbol out, which is told; a strategy fails when its code is at fault, or half of its symbols or more
    are left out.

    Args:
        assignments: What is to be searched.
        refused: Strategies that could not be assigned.
        work: Works cells out, anywhere, and gives the outcomes in their order.
        store: Where candidates are kept.
        records: Where every search is kept.
        scope: The symbols that the run is restricted to; empty for none.
        plan: How much is tried.
        clock: Now.
        show: Told ``(done, total, what)``.

    Raises:
        AllItemsFailed: None could be searched.
        DatabaseUnavailable: What was found could not be stored; starting again is safe.
    """
    started_at = clock.now()
    items: list[Item] = list(refused)
    done: list[Searched] = []
    cells = [cell for one in assignments for cell in one.cells]
    with closing(work(cells)) as worked:
        outcomes = _tell(cells, worked, show)
        for one in assignments:
            try:
                searched, failed = _search(one, outcomes, plan)
            except Exception as error:  # counted as a failed item
                logger.warning("Strategy %s cannot be searched", one.stored.name, exc_info=error)
                items.append(failed_item(one.stored.name, error))
                continue
            items += failed
            searched = _keep(searched, plan, store, clock.now())
            records.save_search(_to_record(searched, scope, plan, clock.now()))
            line = describe_search(searched)
            done.append(searched)
            detail = f"{line.candidate}; out of sample {line.out_of_sample}"
            items.append(Item(name=line.strategy, status=Status.OK, detail=detail))
    counts = {"strategies searched": len(done), "candidates": sum(one.version is not None for one in done)}
    return SearchResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts=counts,
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
        lines=tuple(describe_search(one) for one in done),
        symbols=_describe_symbols(done),
    ), tuple(done)


def _tell(cells: Sequence[Cell], outcomes: Iterator[Outcome], show: Show) -> Iterator[Outcome]:
    for number, cell in enumerate(cells):
        show(number, len(cells), cell.name)
        yield next(outcomes)


def _search(one: Assignment, outcomes: Iterator[Outcome], plan: SearchPlan) -> tuple[Searched, list[Item]]:
    """Take the outcomes of all cells of a strategy, also after one that failed, and judge their sum."""
    tally, failed, symbols = Tally(plan), dict[str, Exception](), []
    for cell, outcome in zip(one.cells, outcomes, strict=False):  # the others' outcomes come after
        try:
            if isinstance(outcome, Exception):
                raise outcome
            tally.add(cell.symbol, outcome)
            symbols.append(cell.symbol)
        except Exception as error:  # noqa: BLE001 - counted as a failed item
            logger.warning("%s: %s", cell.name, error)
            failed[cell.symbol] = error
    if refusal := next((error for error in failed.values() if isinstance(error, StrategyRefused)), None):
        raise refusal
    if failed and len(failed) * 2 >= len(one.cells):
        if len(failed) == len(one.cells):
            raise next(iter(failed.values()))
        first = next(iter(failed))
        raise DataError(
            f"{len(failed)} of {len(one.cells)} symbols failed, so nothing is chosen; {first}: {failed[first]}"
        ) from failed[first]
    found = tally.judge(choose_parameters(one.strategy, plan.combinations, plan.seed))
    searched = Searched(one.stored, found, tuple(symbols), tuple(failed), one.starts_at, one.ends_at)
    return searched, [failed_item(f"{one.stored.name} on {symbol}", error) for symbol, error in failed.items()]


def _keep(done: Searched, plan: SearchPlan, store: StrategyStore, now: datetime) -> Searched:
    """Store the best as the strategy's candidate, unless it is in force."""
    found = done.search
    best = found.tried[found.best]
    if found.best == 0:
        return done
    candidate = Candidate(
        strategy=done.stored.name,
        parameters=best.model_dump(mode="json"),
        metrics=to_metrics(done, plan),
        why=f"best of {len(found.tried)} on {plan.train_days} days; out of sample {_show(found.out_of_sample)}",
        window_starts_at=done.starts_at,
        window_ends_at=done.ends_at,
        code_version=calc_code_version(type(best)),
    )
    return replace(done, version=store.save_candidate(candidate, now))


def _to_record(done: Searched, scope: str, plan: SearchPlan, now: datetime) -> SearchRecord:
    best = done.search.tried[done.search.best]
    return SearchRecord(
        strategy=done.stored.name,
        scope=scope,
        window_starts_at=done.starts_at,
        window_ends_at=done.ends_at,
        in_force_version=done.stored.version,
        candidate_version=done.version,
        parameters=best.model_dump(mode="json"),
        metrics=to_metrics(done, plan),
        code_version=calc_code_version(type(best)),
        searched_at=now,
    )


def to_metrics(done: Searched, plan: SearchPlan) -> Mapping[str, Any]:
    """Return what a search found, as stored: ratios, a year's Sharpe; null where not defined."""
    found = done.search
    return {
        "combinations": len(found.tried),
        "seed": plan.seed,
        "train_days": plan.train_days,
        "test_days": plan.test_days,
        "symbols": list(done.symbols),
        "failed_symbols": list(done.failed_symbols),
        "train": _to_row(found.train),
        "out_of_sample": _to_row(found.out_of_sample),
        "in_force_out_of_sample": _to_row(found.in_force),
        "previous_day_return": found.previous_day_return,
        "deflated_sharpe": found.deflated_sharpe,
        "overfitting": found.overfitting,
        "trades": found.trades,
    }


def _to_row(measures: Measures) -> Mapping[str, float | None]:
    return {
        "days": measures.periods,
        "total_return": measures.total_return,
        "sharpe": measures.sharpe,
        "max_drawdown": measures.decline.depth if measures.decline else None,
    }


def describe_search(done: Searched) -> SearchLine:
    """Return what was found in words."""
    found = done.search
    return SearchLine(
        strategy=done.stored.name,
        candidate=f"version {done.version}: {describe_change(done)}" if done.version else _describe_best(done),
        tried=len(found.tried),
        train=_show(found.train),
        out_of_sample=_show(found.out_of_sample),
        in_force=_show(found.in_force),
        previous_day=f"{100 * found.previous_day_return:+.2f} %",
        deflated_sharpe=UNKNOWN if found.deflated_sharpe is None else f"{found.deflated_sharpe:.2f}",
        overfitting=UNKNOWN if found.overfitting is None else f"{100 * found.overfitting:.0f} %",
    )


def _describe_best(done: Searched) -> str:
    return IN_FORCE_IS_BEST if done.search.best == 0 else f"none was stored: {describe_change(done)}"


def describe_change(done: Searched) -> str:
    """Return the parameters of the best that are not those in force."""
    best = done.search.tried[done.search.best].model_dump()
    in_force = done.search.tried[0].model_dump()
    return ", ".join(f"{name} {value:g}" for name, value in best.items() if value != in_force[name])


def _describe_symbols(done: Sequence[Searched]) -> tuple[SymbolLine, ...]:
    symbols = dict.fromkeys(symbol for one in done for symbol in (*one.symbols, *one.failed_symbols))
    by_strategy = {one.stored.name: {each.symbol: each for each in one.search.symbols} for one in done}
    return tuple(
        SymbolLine(
            symbol=symbol,
            outcomes={name: _show_symbol(found[symbol]) for name, found in by_strategy.items() if symbol in found},
        )
        for symbol in symbols
    )


def _show_symbol(one: SymbolOutcome) -> str:
    sharpe = UNKNOWN if one.sharpe is None else f"{one.sharpe:.2f}"
    return f"{sharpe}, {100 * one.total_return:+.1f} %"


def _show(measures: Measures) -> str:
    sharpe = UNKNOWN if measures.sharpe is None else f"{measures.sharpe:.2f}"
    total = UNKNOWN if measures.total_return is None else f"{100 * measures.total_return:+.1f} %"
    return f"Sharpe {sharpe}, {total} in {measures.periods} days"
