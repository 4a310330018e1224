"""Bringing the database's tables to a version of the code, forwards or back."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from lib.adapters.database import migrate as migrations
from lib.adapters.database.engine import database_errors, make_engine
from lib.adapters.database.market_source import check_market_source
from lib.adapters.database.schema import check_known, find_revisions, load_revision
from lib.errors import EnvironmentRefused, OperatorError
from lib.settings import Settings

HEAD = "head"
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'fks' AND pid <> pg_backend_pid()
"""


def bring_up(settings: Settings, url: str) -> None:
    """Make the tables that this code needs, and hold the database to the exchange of the settings.

    Raises:
        EnvironmentRefused: Newer code has made its tables.
        SettingsError: It holds the data of another exchange.
        DatabaseUnavailable: The server refuses the connection.
    """
    migrate(url)
    engine = make_engine(url)
    try:
        check_market_source(engine, settings.market_source, datetime.now(UTC))
    finally:
        engine.dispose()


def migrate(url: str, to: str = HEAD, *, lose_data: bool = False) -> str:
    """Bring the tables to a revision; returns what was done.

    Args:
        url: Of the database.
        to: A revision; "head" for the newest that this code knows.
        lose_data: Allows going back, which drops the columns and tables that came later with all that is in them.

    Raises:
        OperatorError: There is no such revision; or it goes back and `lose_data` is false, or a run is at work.
        EnvironmentRefused: Newer code has made the tables.
        DatabaseUnavailable: The server refuses the connection.
    """
    known = find_revisions()
    wanted = known[-1] if to == HEAD else to
    if wanted not in known:
        raise OperatorError(f"Expected a revision from {known[0]} to {known[-1]}, was {to}.")
    engine = make_engine(url)
    try:
        with database_errors("asking for the version of its tables"), engine.connect() as connection:
            revision = load_revision(connection)
            check_known(revision)
            if revision is not None and wanted < revision:
                _check_way_back(connection, revision, wanted, lose_data=lose_data)
        with database_errors("changing its tables"):
            if revision is not None and wanted < revision:
                migrations.downgrade(url, wanted)
            else:
                migrations.upgrade(url, wanted)
    finally:
        engine.dispose()
    before = "" if revision == wanted else f" (before: {revision or 'none'})"
    return f"The tables are of revision {wanted}{before}."


def _check_way_back(connection: Connection, revision: str, wanted: str, *, lose_data: bool) -> None:
    if not lose_data:
        raise OperatorError(
            f"Going back from {revision} to {wanted} drops the columns and tables that came later, with what is in "
            "them. Make a backup (`fks backup`), then say it with --lose-data."
        )
    if busy := connection.scalar(text(SESSIONS)):
        raise EnvironmentRefused(
            f"{busy} connections of FKS are open. Stop the stack or the workers first: code of this version fails on "
            "older tables."
        )
