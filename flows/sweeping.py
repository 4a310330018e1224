"""The cells of a search as mapped tasks: on processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import Any

from prefect import task
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.ending import end_with_parent
from flows.retrying import DATABASE_BLOCK, RETRY
from lib.adapters.database.engine import ENGINE_OPTIONS
from lib.adapters.database.history import DatabaseHistory
from lib.errors import SettingsError, WorkersUnavailable
from lib.research.cells import Cell, Tried, try_cell
from lib.research.searching import Outcome, Work
from lib.settings import Settings

Runner = TaskRunner[Any]
MOST_PROCESSES = 4  # unless the setting says more: each takes 400 MB
logger = logging.getLogger("lib.flows")


@task(name="try_parameters", task_run_name="try_parameters {cell.strategy} {cell.symbol}", **RETRY)
def try_parameters(cell: Cell) -> Tried:
    """Trade every combination of one strategy on one symbol, whose candles are read here."""
    block = SqlAlchemyConnector.load(DATABASE_BLOCK, _sync=True)
    engine = block.get_engine(**ENGINE_OPTIONS)
    try:
        return try_cell(cell, DatabaseHistory(engine))
    finally:
        engine.dispose()


def make_work(settings: Settings) -> Work:
    """Return what works cells out, as the settings say: a Dask cluster, processes, or threads of this process.

    Raises:
        SettingsError: A cluster is named, and the packages for it are not installed.
    """
    return partial(work_out, make_runner=_choose_runner(settings))


def work_out(cells: Sequence[Cell], make_runner: Callable[[], Runner]) -> Generator[Outcome, None, None]:
    """Map the task over the cells, and give the outcomes in their order; each is dropped when the next is asked for.

    A process that dies takes the others of its pool with it. What it leaves is worked out by a new pool; a cell in
    front of which two pools have died has failed.

    Raises:
        WorkersUnavailable: The cluster does not answer.
    """
    place, broken_at = 0, -1
    while place < len(cells):
        with make_runner() as runner:
            futures = deque(_submit(runner, cells[place:]))
            while futures:
                outcome = _take(futures.popleft())
                if isinstance(outcome, BrokenExecutor) and broken_at != place:
                    logger.warning("A process of the search died. Working on from %s with new ones.", cells[place].name)
                    broken_at = place
                    break
                yield _explain(outcome)
                place += 1
                if isinstance(outcome, BrokenExecutor):
                    break


def _submit(runner: Runner, cells: Sequence[Cell]) -> Sequence[PrefectFuture[Any]]:
    try:
        return list(runner.map(try_parameters, {"cell": list(cells)}))  # type: ignore[arg-type]  # a plain task, too
    except OSError as error:  # what Dask's client raises when nobody answers
        raise WorkersUnavailable(
            f"The Dask cluster of FKS_DASK_ADDRESS does not answer ({error}). Start its scheduler, or unset the "
            "setting to search on this machine."
        ) from error


def _take(future: PrefectFuture[Any]) -> Outcome:
    try:
        found = future.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - counted as a failed cell, by whoever asked for it
        return error
    if isinstance(found, Tried | Exception):
        return found
    return WorkersUnavailable(f"The task ended without a result ({found!r}). Look at its state in the UI.")


def _explain(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, BrokenExecutor):
        return outcome
    return WorkersUnavailable(
        "The process that worked on it died twice, most likely for want of memory. Lower FKS_SEARCH_PROCESSES or "
        "FKS_SEARCH_COMBINATIONS."
    )


def _choose_runner(settings: Settings) -> Callable[[], Runner]:
    if settings.dask_address is not None:
        try:
            from prefect_dask.task_runners import DaskTaskRunner  # an extra
        except ImportError as error:
            raise SettingsError(
                "FKS_DASK_ADDRESS is set, and the packages for a Dask cluster are not installed. Run `make dask`, or "
                "unset it."
            ) from error
        return partial(DaskTaskRunner, address=settings.dask_address)
    processors = min(os.cpu_count() or 1, MOST_PROCESSES)
    processes = processors if settings.search_processes is None else settings.search_processes
    if processes == 0:
        return partial(ThreadPoolTaskRunner, max_workers=os.cpu_count())
    return partial(ProcessPoolTaskRunner, max_workers=processes, initializer=end_with_parent)
