"""Which version of the tables a database has: code must never work on those of another version."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from lib.adapters.database.engine import database_errors
from lib.errors import EnvironmentRefused

VERSIONS = Path(__file__).parent / "migrations" / "versions"


@cache
def find_revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first; files are named after them, and the chain is linear."""
    return tuple(sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py")))


def load_revision(connection: Connection) -> str | None:
    """Return the revision of the database's tables, or None where there are none."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def check_known(revision: str | None) -> None:
    """Refuse tables that newer code has made.

    Raises:
        EnvironmentRefused: With the remedy.
    """
    if revision is not None and revision not in find_revisions():
        raise EnvironmentRefused(
            f"The database's tables are of revision {revision}, newer than this version of FKS, which knows "
            f"{find_revisions()[-1]}. Install the newer version here too, or take the tables back with it: "
            f"`fks migrate --to {find_revisions()[-1]} --lose-data` (docs/production.md)."
        )


def check_schema(engine: Engine) -> None:
    """Refuse tables of another version than this code's.

    Raises:
        EnvironmentRefused: They are older, newer, or not there; with the remedy.
        DatabaseUnavailable: Trying again is safe.
    """
    with database_errors("asking for the version of its tables"), engine.connect() as connection:
        revision = load_revision(connection)
    check_known(revision)
    if revision != find_revisions()[-1]:
        raise EnvironmentRefused(
            f"The database's tables are of revision {revision or 'none'}, this version of FKS needs "
            f"{find_revisions()[-1]}. Stop the workers of the older version, then run `fks migrate` (`fks up` and "
            "`fks apply` do it too)."
        )
