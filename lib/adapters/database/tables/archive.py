"""Tables of the archive. Every instant is UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Table, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class ArchiveManifestRow(SQLModel, table=True):
    """One file of the archive: a month of one series' candles or indicators. `month` is its first day.

    `path` is relative to the archive's folder; `size_bytes` and `sha256` are of the file. `written`: the file is
    verified and rows may still be in the database (`deleted` of them are not); `archived`: none is; `restored`: they
    were brought back, and stay until `keep_until`.
    """

    __tablename__ = "archive_manifest"
    __table_args__: ClassVar = (
        CheckConstraint("state IN ('written', 'archived', 'restored')", name="archive_manifest_state"),
        CheckConstraint("rows > 0 AND size_bytes > 0 AND deleted >= 0", name="archive_manifest_counts"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="archive_manifest_sha256"),
        CheckConstraint("extract(day FROM month) = 1", name="archive_manifest_month"),
        CheckConstraint(
            "(state = 'restored') = (keep_until IS NOT NULL)", name="archive_manifest_restored_is_kept_until"
        ),
    )

    dataset: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    month: date = Field(primary_key=True, sa_type=Date)
    path: str = Field(sa_type=Text)
    rows: int = Field(sa_type=BigInteger)
    size_bytes: int = Field(sa_type=BigInteger)
    sha256: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    deleted: int = Field(0, sa_type=BigInteger)
    written_at: datetime = Field(sa_type=INSTANT)
    archived_at: datetime | None = Field(None, sa_type=INSTANT)
    restored_at: datetime | None = Field(None, sa_type=INSTANT)
    keep_until: datetime | None = Field(None, sa_type=INSTANT)


class TableSizeRow(SQLModel, table=True):
    """How large a table was, with its indexes, when `archive_old_data` last looked on that day (UTC).

    `rows` is the server's estimate. The whole database is the row named "", Prefect's "database prefect" (without one).
    """

    __tablename__ = "table_sizes"
    __table_args__: ClassVar = (CheckConstraint("size_bytes >= 0 AND rows >= 0", name="table_sizes_counts"),)

    day: date = Field(primary_key=True, sa_type=Date)
    name: str = Field(primary_key=True, sa_type=Text)
    size_bytes: int = Field(sa_type=BigInteger)
    rows: int = Field(sa_type=BigInteger)
    measured_at: datetime = Field(sa_type=INSTANT)


ARCHIVE_MANIFEST: Table = SQLModel.metadata.tables["archive_manifest"]
TABLE_SIZES: Table = SQLModel.metadata.tables["table_sizes"]
