"""A database with years of rows, a folder, a clock that a test drives, and the calls of the two tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, text

from lib.adapters.archive_folder import FsspecFolder
from lib.adapters.database.archive import DatabaseArchive
from lib.adapters.database.sync import DatabaseSync
from lib.adapters.database.tables.indicators import INDICATORS
from lib.archive.archiving import Retention, archive_old_data
from lib.archive.partitions import COLUMNS, Dataset, Row
from lib.archive.report import ArchiveResult
from lib.archive.restoring import restore_archive
from lib.archive.stores import Archive
from lib.market.series import Series, SyncStatus
from lib.market.stores import SeriesChange
from tests.market.exchanges import DrivenClock, list_candles

NOW = datetime(2026, 3, 15, 3, 0, tzinfo=UTC)
BTC_1H, ETH_1H = Series("BTC/USDT", "1h"), Series("ETH/USDT", "1h")
JANUARY, FEBRUARY, MARCH = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
NOVEMBER, DECEMBER = (datetime(2025, month, 1, tzinfo=UTC) for month in (11, 12))
DAYS_60 = timedelta(days=60)


@dataclass
class Room:
    """Everything around the archive.

    Attributes:
        folder: Of the archive.
        spared: Rows of each series that stay.
        kept: How long rows of the timeframe stay: on the 15th of March, from the 14th of January; so December goes.
    """

    engine: Engine
    clock: DrivenClock
    folder: str
    spared: int = 24
    kept: timedelta = DAYS_60
    timeframe: str = "1h"

    @property
    def parts(self) -> Archive:
        return Archive(DatabaseArchive(self.engine), FsspecFolder(self.folder))

    @property
    def retention(self) -> Retention:
        kept = {self.timeframe: self.kept}
        return Retention({Dataset.CANDLES: kept, Dataset.INDICATORS: kept}, self.spared, {})

    def archive(self, **arguments: Any) -> ArchiveResult:
        given: dict[str, Any] = {"archive": self.parts, "clock": self.clock, "retention": self.retention}
        return archive_old_data(**given | arguments)

    def restore(self, start: datetime, end: datetime, **arguments: Any) -> ArchiveResult:
        given: dict[str, Any] = {"symbols": None, "timeframes": None, "keep": timedelta(days=30)}
        return restore_archive(archive=self.parts, clock=self.clock, start=start, end=end, **given | arguments)

    def store_candles(self, series: Series, since: datetime, until: datetime | None = None) -> None:
        """Store every candle up to then or now, as a sync does."""
        candles = list_candles(series, since, until or self.clock.now())
        status = SyncStatus(candles[0].opened_at, candles[-1].opened_at, since, 0, self.clock.now(), self.clock.now())
        with DatabaseSync(self.engine).open_session() as session:
            session.save([SeriesChange(series, status, candles)])

    def store_indicators(self, series: Series, rows: Sequence[Row]) -> None:
        """Store rows of indicators, and that the series has some."""
        values = [dict(zip(COLUMNS[Dataset.INDICATORS], row, strict=True)) | series._asdict() for row in rows]
        with self.engine.begin() as connection:
            connection.execute(insert(INDICATORS), values)
            connection.execute(
                text(
                    "INSERT INTO indicator_states VALUES (:symbol, :timeframe, :at, :at, NULL, 0) "
                    "ON CONFLICT DO NOTHING"
                ),
                {**series._asdict(), "at": rows[-1][0]},
            )

    def rows(self, table: str = "candles", before: datetime = MARCH) -> list[tuple[Any, ...]]:
        """Return the table's rows, rising, as they are."""
        return self.query(f"SELECT * FROM {table} WHERE opened_at < :before ORDER BY 1, 2, 3", before=before)

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def files(self) -> list[str]:
        """Return the paths of all files in the folder."""
        root = Path(self.folder)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def states(self) -> list[tuple[Any, ...]]:
        """Return each file's month and state."""
        return self.query("SELECT to_char(month, 'YYYY-MM'), state, rows, deleted FROM archive_manifest ORDER BY 1")
