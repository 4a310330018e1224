"""An operator's own PostgreSQL server in place of the embedded one."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from deployments import postgres
from deployments.databases import make_embedded, make_external
from lib.errors import EnvironmentRefused, SettingsError


def ask(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()


@pytest.fixture
def limited_url(database_server: postgres.Server, empty_database_url: str) -> Iterator[str]:
    """The URL of a database for a user who may not create others, and whose password needs quoting."""
    name = make_url(empty_database_url).database
    user = f"user_{name}"
    ask(empty_database_url, f"CREATE ROLE {user} LOGIN PASSWORD 'p@ss/w%rd'")
    url = make_url(empty_database_url).set(username=user, password="p@ss/w%rd")
    yield url.render_as_string(hide_password=False)
    ask(database_server.url("postgres"), f"DROP ROLE {user}")


def test_the_embedded_server_gets_both_databases(database_server: postgres.Server) -> None:
    made = make_embedded(database_server)
    ask(made.url, "SELECT 1")
    ask(made.prefect_url.replace("+asyncpg", ""), "SELECT 1")
    assert database_server.password not in repr(made) + made.place


def test_prefects_database_is_made_beside_the_operators_own(
    database_server: postgres.Server, empty_database_url: str
) -> None:
    made = make_external(empty_database_url)
    try:
        assert made.url == empty_database_url
        assert made.prefect_url.startswith("postgresql+asyncpg://")
        ask(made.prefect_url.replace("+asyncpg", ""), "SELECT 1")
        assert make_external(empty_database_url) == made
    finally:
        database_server.drop_database(f"{make_url(empty_database_url).database}_prefect")


def test_a_user_who_may_not_create_databases_is_told_what_to_run(limited_url: str) -> None:
    url = make_url(limited_url)
    expected = f'CREATE DATABASE "{url.database}_prefect" OWNER "{url.username}"'
    with pytest.raises(EnvironmentRefused, match=expected) as refused:
        make_external(limited_url)
    assert "p@ss" not in str(refused.value)


def test_a_database_that_an_administrator_made_is_used(database_server: postgres.Server, limited_url: str) -> None:
    name = f"{make_url(limited_url).database}_prefect"
    database_server.ensure_database(name)
    try:
        made = make_external(f"{limited_url}?sslmode=disable")
        assert made.prefect_url.endswith(f"/{name}?ssl=disable")  # asyncpg's word for it
        assert made.url.endswith("?sslmode=disable")
    finally:
        database_server.drop_database(name)


@pytest.mark.parametrize("url", ["mysql://fks:hunter2@127.0.0.1/fks", "postgresql://fks:hunter2@127.0.0.1"])
def test_what_is_no_postgresql_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="FKS_DATABASE_URL: expected postgresql://") as refused:
        make_external(url)
    assert "hunter2" not in str(refused.value)
