"""Upgrade and rollback of the tables: what stays stays, what is lost is asked for, and code refuses other tables."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from deployments.migrating import bring_up, migrate
from lib.adapters.database import migrate as migrations
from lib.adapters.database.engine import make_engine
from lib.adapters.database.schema import check_schema, find_revisions
from lib.errors import DatabaseUnavailable, EnvironmentRefused, OperatorError, SettingsError
from lib.settings import load_settings
from tests.platforms import World

OLD, NEW = find_revisions()[-2:]
KEPT = ("candles", "fills", "positions", "account_balances", "sync_status")


def read(url: str, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_the_revisions_are_those_of_the_migrations() -> None:
    from alembic.script import ScriptDirectory

    known = ScriptDirectory.from_config(migrations.configure("")).walk_revisions()
    assert find_revisions() == tuple(reversed([one.revision for one in known]))


async def test_rows_of_tables_that_were_there_before_outlive_a_rollback_and_a_new_upgrade(world: World) -> None:
    from tests.deployments.test_backup import work

    await work(world.database_url)
    before = {table: read(world.database_url, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in KEPT}
    assert all(before.values())

    with pytest.raises(OperatorError, match="Make a backup"):
        migrate(world.database_url, OLD)
    assert f"revision {OLD}" in migrate(world.database_url, OLD, lose_data=True)
    engine = make_engine(world.database_url)
    with pytest.raises(
        EnvironmentRefused, match=rf"are of revision {OLD}, this version of FKS needs {NEW}.*fks migrate"
    ):
        check_schema(engine)
    engine.dispose()
    bring_up(load_settings(), world.database_url)

    assert {table: read(world.database_url, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in KEPT} == before
    await work(world.database_url)


def test_a_rollback_waits_until_nobody_works_on_the_tables(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect(), pytest.raises(EnvironmentRefused, match="1 connections of FKS are open"):
        migrate(database_url, OLD, lose_data=True)
    engine.dispose()


def test_tables_of_newer_code_are_left_alone(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for use in (lambda: migrate(database_url), lambda: check_schema(engine)):
        with pytest.raises(EnvironmentRefused, match="revision 9999, newer than this version of FKS"):
            use()


def test_what_is_no_revision_no_server_or_of_another_exchange_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperatorError, match=f"Expected a revision from 0001 to {NEW}, was 25"):
        migrate(database_url, "25")
    with pytest.raises(DatabaseUnavailable):
        migrate("postgresql://fks@127.0.0.1:1/fks")
    bring_up(load_settings(exchange="binance"), database_url)
    with pytest.raises(SettingsError, match="The database holds candles of binance"):
        bring_up(load_settings(exchange="kraken"), database_url)
