"""Rows as the bytes of a Parquet file, and back, exactly.

Imports pyarrow, so only what archives or restores imports this.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lib.archive.partitions import COLUMNS, INTEGERS, Partition, Row, Rows
from lib.errors import ArchiveDamaged
from lib.units import EPOCH

INSTANT = pa.timestamp("us", "UTC")
NAME = pa.dictionary(pa.int32(), pa.string())
PARTITION = b"fks.partition"
LEVEL = 9  # of zstd; 280 kB for a month of 5m candles, where 3 makes 289 and 15 takes three times as long for 282


def encode(partition: Partition, rows: Rows) -> bytes:
    """Return a file with these rows; symbol and timeframe are columns too, for other readers of the folder."""
    columns = zip(*rows, strict=True)
    names = [partition.symbol] * len(rows), [partition.timeframe] * len(rows)
    arrays = [pa.array(values, pa.string()).cast(NAME) for values in names]
    arrays += [
        pa.array(values, _kind_of(name)) for name, values in zip(COLUMNS[partition.dataset], columns, strict=True)
    ]
    table = pa.table(arrays, names=["symbol", "timeframe", *COLUMNS[partition.dataset]])
    content = BytesIO()
    pq.write_table(
        table.replace_schema_metadata({PARTITION: str(partition).encode()}),
        content,
        compression="zstd",
        compression_level=LEVEL,
        write_page_checksum=True,
    )
    return content.getvalue()


def decode(partition: Partition, content: bytes) -> list[Row]:
    """Return the rows of a file.

    A column that the dataset has got since is None in each row; one that it has no longer is left out.

    Raises:
        ArchiveDamaged: It is no Parquet file, or that of another partition.
    """
    try:
        table = pq.ParquetFile(BytesIO(content), page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ArchiveDamaged(f"The file of {partition} cannot be read: {error}. Put it back from a backup.") from error
    holds = (table.schema.metadata or {}).get(PARTITION, b"something else").decode()
    if holds != str(partition):
        raise ArchiveDamaged(f"Expected the file of {partition}, was that of {holds}. Put it back from a backup.")
    return list(zip(*(_read_column(table, name) for name in COLUMNS[partition.dataset]), strict=True))


def _kind_of(name: str) -> Any:
    if name == "opened_at":
        return INSTANT
    return pa.int64() if name in INTEGERS else pa.float64()


def _read_column(table: Any, name: str) -> list[Any]:
    if name not in table.column_names:
        return [None] * table.num_rows
    if name == "opened_at":  # pyarrow's own UTC is another class than Python's
        return [_to_instant(microseconds) for microseconds in table[name].cast(pa.int64()).to_pylist()]
    values: list[Any] = table[name].to_pylist()
    return values


def _to_instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
