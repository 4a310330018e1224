"""Alembic's entry: one transaction under an advisory lock, so that two starts at once migrate once."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

from lib.adapters.database import tables
from lib.adapters.database.engine import make_engine

MIGRATION_LOCK = 0x464B53  # "FKS"


def run() -> None:
    """Upgrade or downgrade the database named by the configuration."""
    tables.load_all()
    engine = make_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=SQLModel.metadata,
            compare_type=True,
            transaction_per_migration=False,
        )
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            context.run_migrations()
    engine.dispose()


run()
