"""The archive's side of the database: what is old, out and in, and what is on record of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database import archived_gaps, pruning, sizes
from lib.adapters.database.copying import copy_rows
from lib.adapters.database.engine import database_errors
from lib.adapters.database.hypertables import drop_empty_chunks
from lib.adapters.database.locking import begin_locked, open_locking
from lib.adapters.database.tables.archive import ARCHIVE_MANIFEST
from lib.adapters.database.tables.indicators import INDICATOR_STATES, INDICATORS
from lib.adapters.database.tables.market import CANDLES, SYNC_STATUS
from lib.archive import partitions
from lib.archive.partitions import COLUMNS, Dataset, Partition, is_same
from lib.archive.stores import ArchiveState, Entry, Holding, OldMonth, Prunable, TableSize
from lib.errors import ArchiveBusy, ArchiveConflict
from lib.market.gaps import Span

RUN_LOCK = 0x464B53_0007  # one run archives or restores
PATIENCE = "300s"  # for a series that a sync holds; its first backfill goes on for minutes
TABLES: Mapping[Dataset, Table] = {Dataset.CANDLES: CANDLES, Dataset.INDICATORS: INDICATORS}
KNOWN: Mapping[Dataset, Table] = {Dataset.CANDLES: SYNC_STATUS, Dataset.INDICATORS: INDICATOR_STATES}
MANIFEST = ARCHIVE_MANIFEST.c
KEYS = ("dataset", "symbol", "timeframe", "month")
# A series is asked for by its key, in a subquery of its own: the cost does not grow with what is stored of the others.
OLD_MONTHS = """
    WITH spared AS (
        SELECT symbol, timeframe, cut.before, (
            SELECT opened_at FROM {table} AS stored
            WHERE stored.symbol = known.symbol AND stored.timeframe = known.timeframe
            ORDER BY opened_at DESC OFFSET :spared LIMIT 1
        ) AS newest_old
        FROM {known} AS known
        JOIN unnest(CAST(:timeframes AS text[]), CAST(:cutoffs AS timestamptz[])) AS cut (timeframe, before)
            USING (timeframe)
    )
    SELECT months.* FROM spared, LATERAL (
        SELECT symbol, timeframe, CAST(date_trunc('month', opened_at, 'UTC') AT TIME ZONE 'UTC' AS date) AS month,
            count(*) AS rows
        FROM {table} AS stored
        WHERE stored.symbol = spared.symbol AND stored.timeframe = spared.timeframe
            AND opened_at < date_trunc('month', LEAST(spared.before, spared.newest_old), 'UTC')
        GROUP BY symbol, timeframe, month
    ) AS months
    WHERE spared.newest_old IS NOT NULL
    ORDER BY months.symbol, months.timeframe, months.month
"""


@dataclass(frozen=True)
class DatabaseArchive:
    """An `ArchiveStore`."""

    engine: Engine

    @contextmanager
    def open_session(self) -> Iterator[DatabaseArchiveSession]:
        """See `ArchiveStore`."""
        with open_locking(self.engine, "opening the archive") as connection:
            with database_errors("taking the archive's lock"), connection.begin():
                if not connection.scalar(select(func.pg_try_advisory_lock(RUN_LOCK))):
                    raise ArchiveBusy("Another run archives or restores now. Start this again when it has ended.")
            yield DatabaseArchiveSession(self.engine, connection)


@dataclass(frozen=True)
class DatabaseArchiveSession:
    """An `ArchiveSession`."""

    engine: Engine
    connection: Connection

    def find_old_months(self, dataset: Dataset, cutoffs: Mapping[str, datetime], spared: int) -> Sequence[OldMonth]:
        """See `ArchiveSession`."""
        query = OLD_MONTHS.format(table=TABLES[dataset].name, known=KNOWN[dataset].name)
        wanted = {"timeframes": list(cutoffs), "cutoffs": list(cutoffs.values()), "spared": spared}
        with self._transaction(f"looking for old {dataset}") as connection:
            found = [
                (Partition(dataset, row.symbol, row.timeframe, row.month), row.rows)
                for row in connection.execute(text(query), wanted)
            ]
            months = {partition.month for partition, _ in found}
            is_wanted = (MANIFEST.dataset == dataset.value) & MANIFEST.month.in_(months)
            rows = connection.execute(select(ARCHIVE_MANIFEST).where(is_wanted))
            entries = {entry.partition: entry for entry in map(_to_entry, rows)}
        return [OldMonth(partition, count, entries.get(partition)) for partition, count in found]

    def load_rows(self, partition: Partition) -> list[partitions.Row]:
        """See `ArchiveSession`."""
        table = TABLES[partition.dataset]
        columns = [table.c[name] for name in COLUMNS[partition.dataset]]
        query = select(*columns).where(*_is_in(table, partition, partition.span)).order_by(table.c.opened_at)
        with self._transaction(f"reading {partition}") as connection:
            return [tuple(row) for row in connection.execute(query)]

    def save_entry(self, entry: Entry) -> None:
        """See `ArchiveSession`."""
        row = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "partition"}
        row |= _to_key(entry.partition) | {"state": entry.state.value}
        with self._transaction(f"putting {entry.partition} on record") as connection:
            connection.execute(
                upsert(ARCHIVE_MANIFEST)
                .values(row)
                .on_conflict_do_update(constraint=ARCHIVE_MANIFEST.primary_key, set_=row)
            )

    def delete_rows(self, partition: Partition, span: Span, rows: partitions.Rows) -> None:
        """See `ArchiveSession`."""
        table = TABLES[partition.dataset]
        columns = [table.c[name] for name in COLUMNS[partition.dataset]]
        with self._transaction(f"deleting {partition}") as connection:
            if partition.dataset is Dataset.CANDLES:
                archived_gaps.lock_series(connection, partition.series, PATIENCE)
            deleted = connection.execute(delete(table).where(*_is_in(table, partition, span)).returning(*columns))
            found = sorted((tuple(row) for row in deleted), key=lambda row: row[0])
            if not is_same(found, list(rows)):
                raise ArchiveConflict(
                    f"{partition} changed while it was archived. The next run takes it as it is then."
                )
            if partition.dataset is Dataset.CANDLES:
                archived_gaps.add(connection, partition.series, [row[0] for row in found])
            is_it = _is_entry(partition)
            connection.execute(
                update(ARCHIVE_MANIFEST).where(*is_it).values(deleted=ARCHIVE_MANIFEST.c.deleted + len(found))
            )

    def finish(self, partition: Partition, at: datetime) -> None:
        """See `ArchiveSession`."""
        done = {"state": ArchiveState.ARCHIVED.value, "archived_at": at, "keep_until": None}
        with self._transaction(f"putting {partition} on record") as connection:
            connection.execute(update(ARCHIVE_MANIFEST).where(*_is_entry(partition)).values(done))

    def restore_rows(self, entry: Entry, rows: partitions.Rows, at: datetime, keep_until: datetime) -> int:
        """See `ArchiveSession`."""
        partition, table = entry.partition, TABLES[entry.partition.dataset]
        whole = [(partition.symbol, partition.timeframe, *row) for row in rows]
        restored = {
            "state": ArchiveState.RESTORED.value,
            "deleted": 0,
            "restored_at": at,
            "keep_until": keep_until,
        }
        with self._transaction(f"restoring {partition}") as connection:
            if partition.dataset is Dataset.CANDLES:
                archived_gaps.lock_series(connection, partition.series, PATIENCE)
            stored = _insert_missing(connection, table, whole)
            if partition.dataset is Dataset.CANDLES:
                archived_gaps.remove(connection, partition.series, [row[0] for row in rows], stored)
            connection.execute(update(ARCHIVE_MANIFEST).where(*_is_entry(partition)).values(restored))
        return stored

    def find_entries(
        self, start: date, end: date, symbols: Collection[str] | None, timeframes: Collection[str] | None
    ) -> Sequence[Entry]:
        """See `ArchiveSession`."""
        query = select(ARCHIVE_MANIFEST).where(MANIFEST.month.between(start, end))
        if symbols is not None:
            query = query.where(MANIFEST.symbol.in_(symbols))
        if timeframes is not None:
            query = query.where(MANIFEST.timeframe.in_(timeframes))
        with self._transaction("looking into the archive's manifest") as connection:
            rows = connection.execute(query.order_by(*(MANIFEST[name] for name in KEYS)))
            return [_to_entry(row) for row in rows]

    def summarise(self) -> Sequence[Holding]:
        """See `ArchiveSession`."""
        query = (
            select(
                MANIFEST.dataset,
                MANIFEST.timeframe,
                func.count(MANIFEST.symbol.distinct()),
                func.count(),
                func.sum(MANIFEST.rows),
                func.sum(MANIFEST.size_bytes),
                func.min(MANIFEST.month),
                func.max(MANIFEST.month),
                func.count().filter(MANIFEST.state == ArchiveState.RESTORED.value),
            )
            .group_by(MANIFEST.dataset, MANIFEST.timeframe)
            .order_by(MANIFEST.dataset, MANIFEST.timeframe)
        )
        with self._transaction("summing up the archive") as connection:
            return [
                Holding(Dataset(row[0]), row[1], row[2], row[3], int(row[4]), int(row[5]), *row[6:])
                for row in connection.execute(query)
            ]

    def count_prunable(self, what: Prunable, before: datetime) -> int:
        """See `ArchiveSession`."""
        with self._transaction(f"counting old {what}") as connection:
            return pruning.count(connection, what, before)

    def prune(self, what: Prunable, before: datetime, limit: int) -> int:
        """See `ArchiveSession`."""
        with self._transaction(f"deleting old {what}") as connection:
            return pruning.prune(connection, what, before, limit)

    def vacuum(self, tables: Collection[str]) -> None:
        """See `ArchiveSession`. On a connection of its own: VACUUM runs in no transaction."""
        for table in tables:
            with database_errors(f"dropping empty chunks of {table}"):
                drop_empty_chunks(self.engine, table)
        with self.engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                with database_errors(f"vacuuming {table}"):
                    alone.execute(text(f"VACUUM (ANALYZE) {table}"))

    def measure(self, at: datetime) -> Sequence[TableSize]:
        """See `ArchiveSession`."""
        with self._transaction("measuring the tables") as connection:
            return sizes.measure(connection, at)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with begin_locked(self.connection, "the archive's lock", doing) as connection:
            yield connection


def _insert_missing(connection: Connection, table: Table, rows: partitions.Rows) -> int:
    """Insert rows whose key is not there; return how many."""
    staged = f"restored_{table.name}"
    connection.execute(text(f"CREATE TEMPORARY TABLE {staged} (LIKE {table.name}) ON COMMIT DROP"))
    copy_rows(connection, staged, table, rows)
    query = f"INSERT INTO {table.name} SELECT * FROM {staged} ON CONFLICT DO NOTHING"  # noqa: S608 our own names
    return connection.execute(text(query)).rowcount


def _is_in(table: Table, partition: Partition, span: Span) -> tuple[Any, ...]:
    column = table.c
    is_series = column.symbol == partition.symbol, column.timeframe == partition.timeframe
    return (*is_series, column.opened_at >= span.start, column.opened_at < span.end)


def _is_entry(partition: Partition) -> tuple[Any, ...]:
    return tuple(MANIFEST[name] == value for name, value in _to_key(partition).items())


def _to_key(partition: Partition) -> dict[str, Any]:
    return partition._asdict() | {"dataset": partition.dataset.value}


def _to_entry(row: Row[Any]) -> Entry:
    values = dict(row._mapping)
    key = {name: values.pop(name) for name in KEYS}
    partition = Partition(**key | {"dataset": Dataset(key["dataset"])})
    return Entry(partition, **values | {"state": ArchiveState(values["state"])})
