"""What is stored, at a glance: read by people, never written."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, select, text

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import load_attachments, to_message
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.notifications import NotificationRow
from lib.adapters.database.tables.risk import RiskSnapshotRow
from lib.market.series import Series
from lib.notifications.messages import Message

NOTIFICATIONS = table_of(NotificationRow)
RISKS = table_of(RiskSnapshotRow)
SERIES = text("""
    SELECT symbol, timeframe, COALESCE(candles, 0) AS candles, stored.oldest_at, stored.newest_at, wanted_from, error,
        COALESCE(gaps.open, '0') AS open, COALESCE(gaps.absent, '0') AS absent, COALESCE(gaps.archived, '0') AS archived
    FROM sync_status
    LEFT JOIN (
        SELECT symbol, timeframe, count(*) AS candles, min(opened_at) AS oldest_at, max(opened_at) AS newest_at
        FROM candles GROUP BY symbol, timeframe
    ) AS stored USING (symbol, timeframe)
    LEFT JOIN (
        SELECT symbol, timeframe,
            sum(ends_at - starts_at) FILTER (WHERE state = 'open') AS open,
            sum(ends_at - starts_at) FILTER (WHERE state = 'verified_absent') AS absent,
            sum(ends_at - starts_at) FILTER (WHERE state = 'archived') AS archived
        FROM candle_gaps GROUP BY symbol, timeframe
    ) AS gaps USING (symbol, timeframe)
    ORDER BY timeframe, symbol
""")


@dataclass(frozen=True)
class StoredSeries:
    """One series as it lies in the tables: its candles are counted, not taken from its status.

    Attributes:
        series: Which.
        candles: Stored ones.
        oldest_at: Open time of the first; None without any.
        newest_at: Open time of the last.
        wanted_from: Start of the history that was asked for.
        open_gaps: Candles missing so far.
        verified_absent: Candles that the exchange itself does not have.
        archived: Candles that are in the archive and no longer here.
        error: What went wrong last; None after a success.
    """

    series: Series
    candles: int
    oldest_at: datetime | None
    newest_at: datetime | None
    wanted_from: datetime | None
    open_gaps: int
    verified_absent: int
    archived: int
    error: str | None

    @property
    def missing(self) -> int:
        """Candles from the history's begin to the newest that are neither stored, archived, nor known to be absent."""
        starts = [start for start in (self.oldest_at, self.wanted_from) if start is not None]
        if self.newest_at is None or not starts:
            return 0
        expected = (self.newest_at - min(starts)) // self.series.width + 1
        return expected - self.candles - self.verified_absent - self.archived


def load_series(engine: Engine) -> list[StoredSeries]:
    """Return every series that was ever synchronised. Reads all candles: for a look now and then."""
    with database_errors("counting candles"), engine.connect() as connection:
        rows = connection.execute(SERIES).all()
    found = []
    for row in rows:
        series = Series(row.symbol, row.timeframe)
        found.append(
            StoredSeries(
                series=series,
                candles=row.candles,
                oldest_at=row.oldest_at,
                newest_at=row.newest_at,
                wanted_from=row.wanted_from,
                open_gaps=row.open // series.width,
                verified_absent=row.absent // series.width,
                archived=row.archived // series.width,
                error=row.error,
            )
        )
    return found


@dataclass(frozen=True)
class StoredRisk:
    """What one run found of an account's risk; ratios of equity, None where equity is not above zero.

    Attributes:
        at: When.
        level: NONE, LOW, MEDIUM or HIGH.
        exposure_ratio: What is invested.
        loss_ratio: Unrealized loss, 0 for a profit.
        largest_symbol: The largest position; None without any.
        largest_share: Its market value.
    """

    at: datetime
    level: str
    exposure_ratio: Decimal | None
    loss_ratio: Decimal | None
    largest_symbol: str | None
    largest_share: Decimal | None


def load_risks(engine: Engine, account: str) -> list[StoredRisk]:
    """Return what every run found of an account's risk, oldest first."""
    columns = [RISKS.c[field.name] for field in fields(StoredRisk)]
    wanted = select(*columns).where(RISKS.c.account == account).order_by(RISKS.c.at)
    with database_errors("reading the history of risk"), engine.connect() as connection:
        return [StoredRisk(*row) for row in connection.execute(wanted)]


def load_messages(engine: Engine) -> list[Message]:
    """Return every message of the outbox with its files, oldest first, whether anybody was told or not."""
    with database_errors("reading the outbox"), engine.connect() as connection:
        rows = connection.execute(select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.notification_id))
        return [to_message(row, load_attachments(connection, row.notification_id)) for row in rows.all()]
