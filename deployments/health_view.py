"""The platform's health in the terminal: what is known now, and the runs as `platform-health` last counted them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from deployments.display import Display
from deployments.prefect_api import PrefectApi, ServerSilent
from lib.adapters import orchestrator
from lib.adapters.database.engine import make_engine
from lib.adapters.database.health import DatabaseHealth
from lib.errors import FksError
from lib.health.bounds import find_breaches
from lib.health.figures import HealthRecord, QueueState, ServerFigures
from lib.health.following import follow
from lib.health.tables import list_tables
from lib.results import render_count
from lib.settings import Settings
from lib.tasks.watched import watched_of


def load_health(
    settings: Settings, api: PrefectApi | None, database_url: str, now: datetime
) -> tuple[HealthRecord, HealthRecord | None]:
    """Return the record as of now, and the newest one that was kept.

    Queues, workers and everything of the database are asked now; how runs ended is of the kept record, as counting a
    day's runs takes seconds. Where the server does not answer, `server_error` of the first says so.

    Args:
        settings: For the bounds and what is watched.
        api: Of the Prefect server; None where none is known.
        database_url: Ours.
        now: UTC.

    Raises:
        DatabaseUnavailable: The connection is refused or lost.
        OperatorError: The database is not of this version.
    """
    state, error = _ask_state(api, now)
    engine = make_engine(database_url)
    try:
        database = DatabaseHealth(engine)
        store, kept = database.load_figures(now, watched_of(settings)), database.load_record()
    finally:
        engine.dispose()
    server = _renew(kept.server if kept else None, state, now)
    breaches = find_breaches(server if state else None, store, settings, now)
    problems = follow(kept.problems if kept else (), breaches, now).problems
    record = HealthRecord(at=now, server=server, server_error=error, store=store, problems=problems)
    return record, kept


def _ask_state(api: PrefectApi | None, now: datetime) -> tuple[QueueState | None, str]:
    if api is None:
        return None, "no Prefect server runs"
    try:
        return orchestrator.load_state(api.ask, now), ""
    except ServerSilent as error:
        return None, str(error)


def _renew(kept: ServerFigures | None, state: QueueState | None, now: datetime) -> ServerFigures | None:
    """Return the kept counts of runs with the state as of now, which has neither queues nor workers while unknown."""
    if kept is not None:
        return kept.model_copy(update={"state": state or QueueState(pool="unknown", queues=(), workers=())})
    return ServerFigures(since=now, until=now, state=state) if state else None


def show_health(
    settings: Settings, api: PrefectApi | None, database_url: str | None, display: Display, now: datetime
) -> None:
    """Show every table of the record; what cannot be read is named."""
    if database_url is None:
        display.note("The platform's health cannot be read: its database does not run.")
        return
    try:
        record, kept = load_health(settings, api, database_url, now)
    except FksError as error:
        display.warn(f"The platform's health cannot be read: {error}")
        return
    for table in list_tables(record):
        display.console.print(render_table(table.title, table.headings, table.rows))
    if record.server_error:
        display.note(f"Queues and workers cannot be read: {record.server_error}")
    if kept is None:
        display.note("How runs ended is not counted yet; platform-health does it every hour.")
    if standing := record.standing:
        display.warn(f"Out of bounds: {render_count(len(standing), 'figures')}. `fks doctor` looks for the causes.")


def render_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return words as a table for the terminal."""
    table = Table(*headings, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table
