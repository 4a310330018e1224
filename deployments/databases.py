"""The two databases of a stack on one PostgreSQL server: ours, and the Prefect server's."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url

from deployments import postgres
from lib.errors import SettingsError

OURS, PREFECTS = "fks", "prefect"


@dataclass(frozen=True)
class Databases:
    """Where the databases are.

    Attributes:
        url: Ours, ``postgresql://``.
        prefect_url: The Prefect server's, for its asynchronous driver.
        place: Host, port and names, without the password.
    """

    url: str = field(repr=False)
    prefect_url: str = field(repr=False)
    place: str


def make_embedded(server: postgres.Server) -> Databases:
    """Make both databases on the embedded server, if they are missing."""
    for name in (OURS, PREFECTS):
        server.ensure_database(name)
    return _describe(make_url(server.url(OURS)), PREFECTS)


def make_external(url: str) -> Databases:
    """Make the Prefect server's database beside the operator's own one, if it is missing.

    Raises:
        SettingsError: FKS_DATABASE_URL is not the URL of a PostgreSQL database.
        DatabaseUnavailable: The server refuses the connection.
        EnvironmentRefused: The user may not create a database; the message says how to do it by hand.
    """
    ours = make_url(url)
    if not ours.drivername.startswith("postgresql") or not ours.database:
        raise SettingsError(
            "FKS_DATABASE_URL: expected postgresql://user:password@host:port/database, "
            f"was a URL of the kind {ours.drivername}:// {'' if ours.database else 'without a database'}."
        )
    plain = ours.set(drivername="postgresql")
    prefects = f"{ours.database}_prefect"
    postgres.ensure_database(plain.render_as_string(hide_password=False), prefects)
    return _describe(plain, prefects)


def _describe(ours: URL, prefects: str) -> Databases:
    query = dict(ours.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")  # asyncpg's word for it
    theirs = ours.set(drivername="postgresql+asyncpg", database=prefects, query=query)
    return Databases(
        url=ours.render_as_string(hide_password=False),
        prefect_url=theirs.render_as_string(hide_password=False),
        place=f"{ours.host}:{ours.port or 5432} (databases {ours.database}, {prefects})",
    )
