"""Alembic migrations; `lib.adapters.database.migrate` runs them."""
