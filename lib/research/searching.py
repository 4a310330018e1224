"""`run_backtest`: searching the parameters of strategies, and keeping what was found as candidates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.errors import RetryableError
from lib.performance.measures import Measures
from lib.ports import Clock
from lib.research.search import Search, SearchPlan
from lib.results import Item, Status, TaskResult, calc_status, failed_item
from lib.strategy.registry import calc_code_version
from lib.strategy.stores import Candidate, StoredStrategy, StrategyStore

TASK = "run_backtest"
UNKNOWN = "–"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searched:
    """A search and the data it was made on.

    Attributes:
        search: What was found.
        symbols: On which.
        starts_at: Of the first day, UTC.
        ends_at: Of the day after the last, UTC.
    """

    search: Search
    symbols: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


Find = Callable[[StoredStrategy], Searched]


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


class SearchResult(TaskResult):
    """The result of `run_backtest`.

    Attributes:
        lines: Each strategy that was searched.
    """

    lines: tuple[SearchLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown with a row a strategy."""
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
        rows = [list(one.model_dump().values()) for one in self.lines]
        return [tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)]


def run_backtest(
    *,
    strategy: str | None,
    stored: Sequence[StoredStrategy],
    find: Find,
    store: StrategyStore,
    plan: SearchPlan,
    clock: Clock,
) -> SearchResult:
    """Search the parameters of strategies, disabled ones too, and store the best of each as its candidate.

    Signals go on with the parameters in force. Where those are the best, there is no candidate. One strategy's failure
    does not stop another.

    Args:
        strategy: Only this one; None means all.
        stored: Those there are.
        find: Searches one on its candles.
        store: Where candidates are kept.
        plan: How much is tried.
        clock: Now.

    Raises:
        AllItemsFailed: None could be searched.
    """
    started_at = clock.now()
    items: list[Item] = []
    lines: list[SearchLine] = []
    candidates = 0
    for one in stored:
        if strategy not in (None, one.name):
            continue
        try:
            done = find(one)
            version = _keep(one, done, plan, store, clock.now())
        except RetryableError:
            raise
        except Exception as error:  # counted as a failed item
            logger.warning("Strategy %s cannot be searched", one.name, exc_info=error)
            items.append(failed_item(one.name, error))
            continue
        candidates += version is not None
        line = _describe(one, done.search, version)
        lines.append(line)
        detail = f"{line.candidate}; out of sample {line.out_of_sample}"
        items.append(Item(name=one.name, status=Status.OK, detail=detail))
    return SearchResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={"strategies searched": len(lines), "candidates": candidates},
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
        lines=tuple(lines),
    )


def _keep(one: StoredStrategy, done: Searched, plan: SearchPlan, store: StrategyStore, now: datetime) -> int | None:
    """Store the best as the strategy's candidate and return its version; None when it is in force."""
    found = done.search
    best = found.tried[found.best]
    if found.best == 0:
        return None
    out = found.out_of_sample
    candidate = Candidate(
        strategy=one.name,
        parameters=best.model_dump(mode="json"),
        metrics=to_metrics(done, plan),
        why=f"best of {len(found.tried)} on {plan.train_days} days; out of sample {_show(out)}",
        window_starts_at=done.starts_at,
        window_ends_at=done.ends_at,
        code_version=calc_code_version(type(best)),
    )
    return store.save_candidate(candidate, now)


def to_metrics(done: Searched, plan: SearchPlan) -> Mapping[str, Any]:
    """Return what speaks for a candidate, as stored: ratios, a year's Sharpe; null where not defined."""
    found = done.search
    return {
        "combinations": len(found.tried),
        "seed": plan.seed,
        "train_days": plan.train_days,
        "test_days": plan.test_days,
        "symbols": list(done.symbols),
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


def _describe(one: StoredStrategy, found: Search, version: int | None) -> SearchLine:
    best = found.tried[found.best].model_dump()
    changed = ", ".join(f"{name} {value:g}" for name, value in best.items() if value != one.parameters.get(name))
    return SearchLine(
        strategy=one.name,
        candidate=f"version {version}: {changed}" if version else "none: what is in force is the best",
        tried=len(found.tried),
        train=_show(found.train),
        out_of_sample=_show(found.out_of_sample),
        in_force=_show(found.in_force),
        previous_day=f"{100 * found.previous_day_return:+.2f} %",
        deflated_sharpe=UNKNOWN if found.deflated_sharpe is None else f"{found.deflated_sharpe:.2f}",
        overfitting=UNKNOWN if found.overfitting is None else f"{100 * found.overfitting:.0f} %",
    )


def _show(measures: Measures) -> str:
    sharpe = UNKNOWN if measures.sharpe is None else f"{measures.sharpe:.2f}"
    total = UNKNOWN if measures.total_return is None else f"{100 * measures.total_return:+.1f} %"
    return f"Sharpe {sharpe}, {total} in {measures.periods} days"
