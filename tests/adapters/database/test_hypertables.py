"""TimescaleDB, on a server that has it; without one, these tests are skipped, and plain tables are tested everywhere.

FKS_TEST_TIMESCALE_URL names such a server: postgresql://user:password@host:port/database, of a user who may create
databases and the extension.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from lib.adapters.database import migrate
from lib.adapters.database.archive import DatabaseArchive
from lib.adapters.database.copying import copy_upsert
from lib.adapters.database.engine import make_engine
from lib.adapters.database.hypertables import HYPERTABLES, drop_empty_chunks, ensure_hypertables
from lib.adapters.database.tables.market import CANDLES
from lib.archive.report import ArchiveResult
from lib.ports import Written
from tests.archive.rooms import BTC_1H, DECEMBER, ETH_1H, JANUARY, MARCH, NOVEMBER, NOW, Room
from tests.market.exchanges import DrivenClock

VARIABLE = "FKS_TEST_TIMESCALE_URL"
POLICIES = "SELECT hypertable_name FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' ORDER BY 1"
RETENTIONS = "SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
COMPRESS = "SELECT compress_chunk(chunk, if_not_compressed => true) FROM show_chunks('candles') AS chunk"
COMPRESSED = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'candles' AND is_compressed"
CHUNKS = "SELECT count(*) FROM show_chunks('candles')"


@pytest.fixture
def timescale_url() -> Iterator[str]:
    """A database of its own, not migrated, on a server with TimescaleDB."""
    given = os.environ.get(VARIABLE)
    if not given:
        pytest.skip(f"needs a server with TimescaleDB: {VARIABLE} names none")
    name = f"test_{uuid.uuid4().hex}"
    engine = make_engine(given).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(given).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture
def timescale(timescale_url: str) -> Iterator[Engine]:
    """Migrated, as `fks up` does it."""
    migrate.upgrade(timescale_url)
    engine = make_engine(timescale_url)
    yield engine
    engine.dispose()


@pytest.fixture
def room(timescale: Engine, tmp_path: Path) -> Room:
    """Hourly candles of two symbols from November on, compressed; November and December are old."""
    room = Room(timescale, DrivenClock(NOW), str(tmp_path / "archive"))
    room.store_candles(BTC_1H, NOVEMBER)
    room.store_candles(ETH_1H, DECEMBER)
    ask(timescale, COMPRESS)
    return room


def ask(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def sizes_of(result: ArchiveResult) -> dict[str, tuple[int, int]]:
    return {one.name: (one.size_bytes, one.rows) for one in result.sizes}


def test_a_server_without_timescaledb_keeps_plain_tables(database_url: str, engine: Engine) -> None:
    assert ensure_hypertables(database_url) is False
    assert drop_empty_chunks(engine, "candles") == 0
    with DatabaseArchive(engine).open_session() as session:
        session.vacuum(["candles"])
        assert {one.name for one in session.measure(NOW)} >= {"", "candles", "balance_history"}


def test_tables_that_hold_rows_become_hypertables_with_all_of_them_once(timescale_url: str, tmp_path: Path) -> None:
    command.upgrade(migrate.configure(timescale_url), "head")
    engine = make_engine(timescale_url)
    room = Room(engine, DrivenClock(NOW), str(tmp_path))
    room.store_candles(BTC_1H, NOVEMBER)
    before = room.rows(before=NOW)

    assert ensure_hypertables(timescale_url) is True
    assert ensure_hypertables(timescale_url) is True  # as every start does

    assert room.rows(before=NOW) == before
    assert ask(engine, POLICIES) == sorted((one.name,) for one in HYPERTABLES)
    assert ask(engine, RETENTIONS) == [(0,)]
    ((chunks,),) = ask(engine, CHUNKS)
    assert isinstance(chunks, int) and chunks >= 4
    engine.dispose()


def test_a_candle_in_a_compressed_chunk_is_inserted_updated_or_left_as_on_a_plain_table(room: Room) -> None:
    ((compressed,),) = ask(room.engine, COMPRESSED)
    assert compressed
    first, second, *_ = room.rows()
    changed = (*first[:6], first[6] + 0.5, *first[7:])
    new = ("SOL/USDT", *second[1:])
    with room.engine.begin() as connection:
        written = copy_upsert(connection, CANDLES, [changed, second, new])
    assert sum((one.inserted for one in written.values()), 0) == 1
    assert sum((one.updated for one in written.values()), 0) == 1
    assert written == {(): Written(inserted=1, updated=1)}
    assert {changed, second, new} <= set(room.rows())


def test_what_is_archived_leaves_its_chunks_and_those_are_dropped_when_nothing_is_left_in_them(room: Room) -> None:
    room.kept = timedelta(days=60)
    before, ((chunks,),) = room.rows(before=NOW), ask(room.engine, CHUNKS)

    archived = room.archive()

    assert not archived.failed
    assert min(row[2] for row in room.rows(before=NOW)) == JANUARY
    ((left,),) = ask(room.engine, CHUNKS)
    assert isinstance(left, int) and isinstance(chunks, int) and left < chunks
    size, rows = sizes_of(archived)["candles"]
    assert size > 100_000 and rows > 0  # of the chunks: the table itself is empty

    assert not room.restore(NOVEMBER, MARCH).failed
    assert room.rows(before=NOW) == before


def test_a_chunk_that_still_holds_one_row_is_not_dropped(room: Room) -> None:
    ((chunks,),) = ask(room.engine, CHUNKS)
    assert drop_empty_chunks(room.engine, "candles") == 0
    with room.engine.begin() as connection:
        connection.execute(text("DELETE FROM candles WHERE opened_at < '2025-12-01' AND opened_at > '2025-11-01'"))
    assert drop_empty_chunks(room.engine, "candles") == 0
    with room.engine.begin() as connection:
        connection.execute(text("DELETE FROM candles WHERE opened_at < '2025-12-31'"))
    assert drop_empty_chunks(room.engine, "candles") >= 1
    ((left,),) = ask(room.engine, CHUNKS)
    assert isinstance(left, int) and isinstance(chunks, int) and left < chunks
