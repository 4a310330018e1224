"""The migrations make exactly the tables that the code declares, and each can be taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, Engine, inspect, text
from sqlmodel import SQLModel

from lib.adapters.database import migrate, tables
from lib.adapters.database.engine import make_engine

tables.load_all()
REVISIONS = [one.revision for one in ScriptDirectory.from_config(migrate.configure("")).walk_revisions()]
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, '') FROM information_schema.columns
    WHERE table_schema = 'public'
"""
RULES = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


def describe(engine: Engine) -> set[tuple[str, ...]]:
    """Return every column, constraint and index of the database."""
    with engine.connect() as connection:
        found = {tuple(row) for query in (COLUMNS, RULES, INDEXES) for row in connection.execute(text(query))}
    return {row for row in found if row[0] != "alembic_version"}


def test_the_migrations_make_exactly_the_declared_tables(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, SQLModel.metadata) == []


@pytest.mark.parametrize("name", sorted(SQLModel.metadata.tables))
def test_checks_and_keys_are_those_declared(connection: Connection, name: str) -> None:
    table, made = SQLModel.metadata.tables[name], inspect(connection)
    declared = {one.name for one in table.constraints if isinstance(one, CheckConstraint)}
    assert {check["name"] for check in made.get_check_constraints(name)} == declared
    assert len(made.get_foreign_keys(name)) == len(table.foreign_key_constraints)
    assert made.get_pk_constraint(name)["constrained_columns"] == [one.name for one in table.primary_key.columns]


def test_each_migration_can_be_taken_back(empty: Engine, empty_database_url: str) -> None:
    before = {}
    for revision in reversed(REVISIONS):
        before[revision] = describe(empty)
        migrate.upgrade(empty_database_url, revision)
        assert describe(empty) != before[revision]
    for revision in REVISIONS:
        migrate.downgrade(empty_database_url, "-1")
        assert describe(empty) == before[revision], f"{revision} leaves something behind"
    assert inspect(empty).get_table_names() == ["alembic_version"]
    migrate.upgrade(empty_database_url)
