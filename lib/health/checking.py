"""One record an hour: gather the figures, hold them against the bounds, and tell people what changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tabulate import tabulate

from lib.errors import RetryableError
from lib.health.bounds import Breach, HealthBounds, find_breaches
from lib.health.figures import HealthRecord, ServerFigures
from lib.health.following import follow, write_messages
from lib.health.stores import HealthStore, Watched
from lib.health.tables import list_tables
from lib.ports import Clock
from lib.results import Item, Status, TaskResult, calc_status, failed_item

ReadServer = Callable[[datetime], ServerFigures]
"""Asks the orchestrator what it knows up to an instant; raises `RetryableError` when it does not answer."""


class HealthResult(TaskResult):
    """The result of `check_health`, with the whole record."""

    record: HealthRecord

    def render_tables(self) -> list[str]:
        """Render every table of the record."""
        return [
            f"#### {table.title}\n\n"
            + tabulate(list(table.rows), headers=table.headings, tablefmt="pipe", disable_numparse=True)
            for table in list_tables(self.record)
        ]


def check_health(
    *, store: HealthStore, read_server: ReadServer, watched: Watched, bounds: HealthBounds, clock: Clock
) -> HealthResult:
    """Gather everything, keep it as the newest record, and record messages about what begins and what is over.

    An orchestrator that does not answer is a problem like the others; the database's figures are shown all the same.

    Args:
        store: The database.
        read_server: Asks the orchestrator.
        watched: What the settings name.
        bounds: Of the settings.
        clock: Ours.

    Raises:
        DatabaseUnavailable: Nothing was stored.
    """
    started_at = clock.now()
    server, error = _read(read_server, started_at)
    figures = store.load_figures(started_at, watched)
    breaches = find_breaches(server, figures, bounds, started_at)
    if error is not None:
        breaches.append(Breach("server", f"the Prefect server's figures could not be read: {error}", "see its log"))
    with store.open_book() as book:
        before = book.load()
        followed = follow(before.problems if before else (), breaches, started_at)
        record = HealthRecord(
            at=started_at, server=server, server_error=str(error or ""), store=figures, problems=followed.problems
        )
        book.save(record, write_messages(followed, started_at))
    return _conclude(record, error, clock.now())


def _read(read_server: ReadServer, now: datetime) -> tuple[ServerFigures | None, RetryableError | None]:
    try:
        return read_server(now), None
    except RetryableError as error:
        return None, error


def _conclude(record: HealthRecord, error: RetryableError | None, finished_at: datetime) -> HealthResult:
    ended = sum(one.ended for one in record.server.tasks) if record.server else 0
    server = failed_item("Prefect server", error) if error else _item("Prefect server", f"{ended:,} task runs in 24 h")
    store = _item("database", f"{len(record.store.accounts)} accounts, {len(record.store.timeframes)} timeframes")
    wrong = [
        Item(name=one.key, status=Status.FAILED, detail=f"{one.what}. What to do: {one.remedy}.")
        for one in record.standing
        if one.key != "server"
    ]
    items = (*wrong, server, store)
    return HealthResult(
        task="check_health",
        status=calc_status("check_health", items),
        counts={"task runs in 24 h": ended, "figures out of bounds": len(record.standing)},
        items=items,
        started_at=record.at,
        finished_at=finished_at,
        record=record,
    )


def _item(name: str, detail: str) -> Item:
    return Item(name=name, status=Status.OK, detail=detail)
