"""Bulk writes: COPY into a temporary table, then one INSERT .. ON CONFLICT; or COPY alone, for rows that are new.

COPY's binary form is used because it is exact for floats by construction and cheap: packing a row costs a microsecond,
where the text form costs three here and more in the server (benchmarks/upsert.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby, repeat, starmap
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from psycopg2.errors import UniqueViolation
from sqlalchemy import BigInteger, Column, Connection, DateTime, Double, Integer, Table, Text, text

from lib.ports import Written

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
CHUNK_ROWS = 2000  # the server parses one chunk while the next one is packed
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST, SECOND = itemgetter(0), itemgetter(1)


def copy_upsert(
    connection: Connection, table: Table, rows: Sequence[Sequence[Any]], *, count_by: Sequence[str] = ()
) -> Mapping[tuple[Any, ...], Written]:
    """Insert rows, or update those whose values differ, inside the caller's transaction.

    Args:
        connection: In a transaction.
        table: Its primary key decides what is the same row; columns are Text, timestamptz, Double, BigInteger or
            Integer.
        rows: Values in the order of the table's columns; no key comes twice.
        count_by: Columns to count by.

    Returns:
        What was written by the values of `count_by`, or by the empty tuple; values without any change may be left out.

    Raises:
        TypeError: For a column of another type.
    """
    staged = f"staged_{table.name}"
    connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} (LIKE {table.name})"))
    copy_rows(connection, staged, table, rows)
    names = "".join(f"{name}, " for name in count_by)
    grouping = f"GROUP BY {', '.join(count_by)}" if count_by else ""
    counted = connection.execute(
        text(
            f"WITH written AS ({_render_upsert(table, staged)} RETURNING {names} xmax = 0 AS is_new) "  # noqa: S608 our own names
            f"SELECT {names} count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written {grouping}"
        )
    ).all()
    connection.execute(text(f"TRUNCATE {staged}"))
    return {tuple(row[:-2]): Written(*row[-2:]) for row in counted}


def copy_new(
    connection: Connection, table: Table, rows: Sequence[Sequence[Any]], *, count_by: Sequence[str] = ()
) -> Mapping[tuple[Any, ...], Written]:
    """Insert rows that should all be new, more than twice as fast as `copy_upsert`, which takes over when one is not.

    Arguments and answer are those of `copy_upsert`.
    """
    try:
        with connection.begin_nested():
            copy_rows(connection, table.name, table, rows)
    except UniqueViolation:
        return copy_upsert(connection, table, rows, count_by=count_by)
    places = [index for index, column in enumerate(table.columns) if column.name in count_by]
    counts = Counter(tuple(row[place] for place in places) for row in rows)
    return {key: Written(inserted=count) for key, count in counts.items()}


def copy_rows(connection: Connection, target: str, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """COPY rows into `target`, a table with the columns of `table`; fails on a key that is already there."""
    cursor: Any = connection.connection.cursor()  # psycopg2's own: SQLAlchemy's protocol does not know COPY
    with cursor:
        cursor.copy_expert(f"COPY {target} FROM STDIN (FORMAT binary)", _Packed(table, rows))


def _render_upsert(table: Table, staged: str) -> str:
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    values = [name for name in names if name not in keys]
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(names)} FROM {staged} "  # noqa: S608 our own names
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in values)} "
        f"WHERE ({', '.join(f'{table.name}.{name}' for name in values)}) "
        f"IS DISTINCT FROM ({', '.join(f'EXCLUDED.{name}' for name in values)})"
    )


class _Form(NamedTuple):
    """How a column's values are packed: struct's letter, size in bytes (None where it varies), and a conversion."""

    letter: str
    size: int | None
    convert: Callable[[Any], Any] | None


TEXT = _Form("s", None, str.encode)
INSTANT = _Form("q", 8, lambda instant: (instant - POSTGRES_EPOCH) // MICROSECOND)
DOUBLE = _Form("d", 8, None)
BIGINT = _Form("q", 8, None)
INTEGER = _Form("i", 4, None)
FORMS = ((Text, TEXT), (DateTime, INSTANT), (Double, DOUBLE), (BigInteger, BIGINT), (Integer, INTEGER))


def _find_form(column: Column[Any]) -> _Form:
    for kind, form in FORMS:
        if isinstance(column.type, kind):
            return form
    raise TypeError(f"Expected a column that COPY can pack, was {column}: {column.type!r}. Upsert it by SQL.")


class _Packed:
    """A file of rows in COPY's binary form, packed while it is read."""

    def __init__(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        self._forms = [_find_form(column) for column in table.columns]
        self._packers: dict[tuple[int, ...], Struct] = {}
        chunks = (self._pack(rows[start : start + CHUNK_ROWS]) for start in range(0, len(rows), CHUNK_ROWS))
        self._parts: Iterator[bytes] = chain([SIGNATURE], chunks, [TRAILER])

    def read(self, _size: int = -1) -> bytes:
        """Return the next part, empty at the end; parts are longer than asked, which the driver allows."""
        return next(self._parts, b"")

    def _pack(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Pack a chunk column by column; rows of one shape in a row share a packer, and the loop stays in C."""
        fields = [_to_field(form, values) for form, values in zip(self._forms, zip(*rows, strict=True), strict=True)]
        shapes = zip(*(sizes for sizes, _ in fields), strict=False)
        lines = zip(repeat(len(fields)), *chain.from_iterable(fields), strict=False)
        parts: list[bytes] = []
        for shape, group in groupby(zip(shapes, lines, strict=False), FIRST):
            parts.extend(starmap(self._packer(shape).pack, map(SECOND, group)))
        return b"".join(parts)

    def _packer(self, shape: tuple[int, ...]) -> Struct:
        """Return the packer of rows whose fields have these sizes; each field is its size, then its bytes."""
        packer = self._packers.get(shape)
        if packer is None:
            letters = [
                f"{max(size, 0)}s" if form.size is None or size < 0 else form.letter
                for form, size in zip(self._forms, shape, strict=True)
            ]
            packer = self._packers[shape] = Struct(">h" + "".join(f"i{letter}" for letter in letters))
        return packer


def _to_field(form: _Form, values: Sequence[Any]) -> tuple[Sequence[int] | repeat[int], Sequence[Any]]:
    """Return sizes and packable values of one column; null is size -1 and no bytes."""
    nullable = None in values
    convert = form.convert
    if convert is not None:
        values = (
            [convert(value) if value is not None else None for value in values]
            if nullable
            else list(map(convert, values))
        )
    if form.size is not None and not nullable:
        return repeat(form.size), values
    sizes = [-1 if value is None else form.size or len(value) for value in values]
    return sizes, [b"" if value is None else value for value in values]
