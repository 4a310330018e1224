"""What the database tells of the platform's health, and the newest record; quick, since `fks status` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import ProgrammingError

from lib.adapters.database.engine import database_errors
from lib.errors import OperatorError
from lib.health.figures import (
    AccountFigures,
    ArchiveFigures,
    BacklogFigures,
    HealthRecord,
    SizeFigures,
    StoreFigures,
    TimeframeFigures,
)
from lib.health.stores import Watched
from lib.market.timeframes import calc_newest_closed, width_of
from lib.notifications.messages import Message

DAY = timedelta(days=1)
MESSAGES_OF = timedelta(days=3)  # what is older was given up
HEALTH_LOCK = 0x484C  # "HL"
SERIES = text("""
    SELECT wanted.symbol, newest_at, error,
        EXISTS (
            SELECT FROM candle_gaps AS gap
            WHERE gap.symbol = wanted.symbol AND timeframe = :timeframe AND gap.state = 'open'
        ) AS has_gaps
    FROM unnest(CAST(:symbols AS text[])) AS wanted (symbol)
    LEFT JOIN sync_status AS status ON status.symbol = wanted.symbol AND timeframe = :timeframe
    LEFT JOIN symbols ON symbols.name = wanted.symbol
    WHERE coalesce(symbols.status, 'trading') = 'trading'
    ORDER BY newest_at NULLS FIRST, wanted.symbol
""")
ACCOUNTS = text("""
    SELECT name AS account, quote_asset, balance.equity, balance.at,
        (SELECT count(*) FROM positions WHERE account = name AND closed_at IS NULL) AS positions,
        trades.count AS trades, trades.notional AS traded_quote
    FROM accounts
    LEFT JOIN LATERAL (
        SELECT equity, at FROM balance_history WHERE account = name ORDER BY at DESC LIMIT 1
    ) AS balance ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, coalesce(sum(price * quantity), 0) AS notional FROM fills
        WHERE account = name AND filled_at >= :since
    ) AS trades
    WHERE name = ANY(CAST(:accounts AS text[]))
    ORDER BY name
""")
STRATEGIES = text("SELECT name, state FROM strategies ORDER BY name")
SIZES = text("""
    SELECT db.name, db.size_bytes, before.size_bytes AS measured_bytes, before.day AS measured_on
    FROM (
        SELECT '' AS key, current_database() AS name, pg_database_size(current_database()) AS size_bytes
        UNION ALL
        SELECT 'database ' || datname, datname, pg_database_size(oid) FROM pg_database
        WHERE datname IN ('prefect', current_database() || '_prefect') AND has_database_privilege(oid, 'CONNECT')
    ) AS db
    LEFT JOIN LATERAL (
        SELECT size_bytes, day FROM table_sizes WHERE table_sizes.name = db.key AND day < :today
        ORDER BY day DESC LIMIT 1
    ) AS before ON true
    ORDER BY db.key
""")
BACKLOG = text("""
    SELECT
        count(DISTINCT notification_id) FILTER (WHERE state IN ('pending', 'in_doubt')) AS waiting,
        min(message.created_at) FILTER (WHERE state IN ('pending', 'in_doubt')) AS oldest_at,
        (SELECT count(*) FROM notifications AS untold
            WHERE untold.created_at >= :since AND routed_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM notification_deliveries AS way WHERE way.notification_id = untold.notification_id
                AND (text_sent OR state IN ('held', 'digested', 'pending', 'in_doubt')))) AS undelivered
    FROM notification_deliveries JOIN notifications AS message USING (notification_id)
    WHERE message.created_at >= :since
""")
ARCHIVE = text("""
    SELECT count(*) AS files, coalesce(sum(rows), 0)::bigint AS rows,
        coalesce(sum(size_bytes), 0)::bigint AS size_bytes, max(month) AS month, max(written_at) AS written_at
    FROM archive_manifest
""")
LOAD = text("SELECT record FROM health_record")
SAVE = text("""
    INSERT INTO health_record (number, at, record) VALUES (1, :at, CAST(:record AS jsonb))
    ON CONFLICT (number) DO UPDATE SET at = excluded.at, record = excluded.record
""")


@dataclass(frozen=True)
class DatabaseHealth:
    """A `HealthStore`."""

    engine: Engine

    def load_figures(self, now: datetime, watched: Watched) -> StoreFigures:
        """See `HealthStore`.

        Raises:
            OperatorError: The database is not of this version.
        """
        since = {"since": now - MESSAGES_OF}
        with _reading(), self.engine.connect() as connection:
            strategies = connection.execute(STRATEGIES).all()
            given = {"since": now - DAY, "accounts": list(watched.accounts)}
            return StoreFigures(
                timeframes=tuple(
                    one for name in watched.timeframes if (one := _load_timeframe(connection, name, watched, now))
                ),
                accounts=tuple(AccountFigures(**row._mapping) for row in connection.execute(ACCOUNTS, given)),
                strategies=tuple(row.name for row in strategies if row.state != "disabled"),
                known_strategies=len(strategies),
                sizes=tuple(SizeFigures(**row._mapping) for row in connection.execute(SIZES, {"today": now.date()})),
                backlog=BacklogFigures(**connection.execute(BACKLOG, since).one()._mapping),
                archive=ArchiveFigures(**connection.execute(ARCHIVE).one()._mapping),
            )

    def load_record(self) -> HealthRecord | None:
        """Return the newest record, without a transaction for a next one. Raises as `load_figures`."""
        with _reading(), self.engine.connect() as connection:
            return DatabaseHealthBook(connection).load()

    @contextmanager
    def open_book(self) -> Iterator[DatabaseHealthBook]:
        """See `HealthStore`."""
        with database_errors("storing the platform's health"), self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock, 0)"), {"lock": HEALTH_LOCK})
            yield DatabaseHealthBook(connection)


@dataclass(frozen=True)
class DatabaseHealthBook:
    """The `HealthBook` of a connection."""

    connection: Connection

    def load(self) -> HealthRecord | None:
        """See `HealthBook`."""
        row = self.connection.execute(LOAD).one_or_none()
        try:
            return HealthRecord.model_validate(row.record) if row else None
        except ValidationError:  # of another version; the next record takes its place
            return None

    def save(self, record: HealthRecord, messages: Sequence[Message]) -> None:
        """See `HealthBook`."""
        from lib.adapters.database.message_rows import record_message  # who only reads must not wait for SQLModel

        self.connection.execute(SAVE, {"at": record.at, "record": record.model_dump_json()})
        for message in messages:
            record_message(self.connection, message)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        with database_errors("reading the platform's health"):
            yield
    except ProgrammingError as error:
        raise OperatorError(
            "The database lacks tables or columns of this version of FKS. `fks up` or `fks apply` brings it up to date."
        ) from error


def _load_timeframe(connection: Connection, name: str, watched: Watched, now: datetime) -> TimeframeFigures | None:
    """Return how fresh a timeframe is; None when no symbol of the settings trades."""
    given = {"timeframe": name, "symbols": list(watched.symbols)}
    rows: Sequence[Row[Any]] = connection.execute(SERIES, given).all()
    if not rows:
        return None
    last = rows[0]
    behind = None if last.newest_at is None else (calc_newest_closed(now, name) - last.newest_at) // width_of(name)
    return TimeframeFigures(
        timeframe=name,
        series=len(rows),
        newest_at=last.newest_at,
        behind=None if behind is None else max(0, behind),
        laggard=last.symbol,
        failing=tuple(row.symbol for row in rows if row.error is not None),
        open_gaps=sum(row.has_gaps for row in rows),
    )
