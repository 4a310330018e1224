"""How large the tables are, and how they grow from day to day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.hypertables import measure_hypertables
from lib.adapters.database.tables.archive import TABLE_SIZES
from lib.archive.stores import TableSize

SIZES = TABLE_SIZES.c
NOW = text("""
    SELECT '' AS name, pg_database_size(current_database()) AS size_bytes, 0 AS rows
    UNION ALL
    SELECT 'database ' || datname, pg_database_size(oid), 0 FROM pg_database
    WHERE datname = 'prefect' AND datname <> current_database() AND has_database_privilege(oid, 'CONNECT')
    UNION ALL
    SELECT relname, pg_total_relation_size(oid), GREATEST(reltuples, 0)::bigint FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
""")


def measure(connection: Connection, at: datetime) -> Sequence[TableSize]:
    """See `ArchiveSession`; Prefect's database is measured too where it lies on the same server."""
    known = {row.name: row for row in [*connection.execute(NOW), *measure_hypertables(connection)]}
    now = sorted(known.values(), key=lambda row: (row.name != "", -row.size_bytes, row.name))
    today = at.astimezone(UTC).date()
    rows = [row._asdict() | {"day": today, "measured_at": at} for row in now]
    written = upsert(TABLE_SIZES)
    changes = {name: written.excluded[name] for name in ("size_bytes", "rows", "measured_at")}
    connection.execute(written.on_conflict_do_update(constraint=TABLE_SIZES.primary_key, set_=changes), rows)
    earlier = select(SIZES.day, SIZES.name, SIZES.size_bytes).where(SIZES.day >= today - timedelta(days=7))
    sizes = {(row.day, row.name): row.size_bytes for row in connection.execute(earlier)}

    def grown(name: str, size: int, days: int) -> int | None:
        before = sizes.get((today - timedelta(days=days), name))
        return None if before is None else size - before

    return [
        TableSize(
            row.name, row.size_bytes, row.rows, grown(row.name, row.size_bytes, 1), grown(row.name, row.size_bytes, 7)
        )
        for row in now
    ]
