"""PostgreSQL: tables, stores and migrations."""
