"""Backups: what was there is there again, row for row, and the platform works on; what is no backup is never used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy.engine import make_url

from deployments import postgres
from deployments.backup import back_up, connect, count_rows, load_manifest, remove_old
from deployments.restoring import restore
from lib.adapters.database.engine import make_engine
from lib.errors import DatabaseUnavailable, EnvironmentRefused, OperatorError
from lib.tasks.market import sync_market_data
from lib.tasks.portfolio import check_stop_loss, update_positions
from lib.wiring import open_platform
from tests.platforms import World


async def work(url: str) -> list[str]:
    """Do what the critical path does; return what it said."""
    engine = make_engine(url)
    try:
        async with open_platform(engine) as platform:
            tasks = (sync_market_data, update_positions, check_stop_loss)
            return [(await task(platform)).summary for task in tasks]
    finally:
        engine.dispose()


def read(url: str, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def digest(url: str) -> dict[str, str]:
    """Return a digest of every row of every table."""
    found = {}
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for table in count_rows(cursor):
            name = sql.Identifier(*table.split("."))
            cursor.execute(
                sql.SQL("SELECT md5(string_agg(one::text, ',' ORDER BY one::text)) FROM {} one").format(name)
            )
            ((found[table],),) = cursor.fetchall()
    return found


def drop_others(server: postgres.Server, url: str) -> None:
    """Remove what restoring leaves beside a database."""
    name = make_url(url).database
    for (left,) in read(server.url("postgres"), f"SELECT datname FROM pg_database WHERE datname LIKE '{name}_%'"):
        server.drop_database(left)


@pytest.fixture
def stocked(database_url: str, migrated_server: postgres.Server) -> Iterator[str]:
    """URL of a database with a few candles."""
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume) "
            "SELECT 'BTC/USDT', '1h', '2026-01-01'::timestamptz + n * interval '1 hour', 1, 2, 1, 2, n "
            "FROM generate_series(1, 1000) n"
        )
    yield database_url
    drop_others(migrated_server, database_url)


@pytest.fixture
def worked(world: World, migrated_server: postgres.Server) -> Iterator[World]:
    """A database with candles, fills and positions; what restoring leaves of it is removed."""
    asyncio.run(work(world.database_url))
    yield world
    drop_others(migrated_server, world.database_url)


def test_what_was_destroyed_is_there_again_row_for_row_and_the_platform_works_on(worked: World, tmp_path: Path) -> None:
    before = digest(worked.database_url)
    backup = back_up({"fks": worked.database_url}, tmp_path)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (backup, *backup.iterdir()))
    assert load_manifest(backup).dumps["fks"].rows["public.candles"] > 1000

    worked.query("DROP TABLE candles CASCADE")
    worked.query("DELETE FROM position_alarms")
    worked.query("TRUNCATE fills CASCADE")
    restored = restore(backup, {"fks": worked.database_url})

    assert digest(worked.database_url) == before
    assert restored.is_halted is False  # the Prefect server's database was not in it
    asyncio.run(work(worked.database_url))
    books = worked.simulator.control.request("GET", "/books")["accounts"].values()
    assert worked.query("SELECT count(*) FROM fills") == [(sum(len(one["trades"]) for one in books),)]
    (kept,) = restored.kept  # nothing is destroyed by restoring the wrong one
    assert read(str(make_url(worked.database_url).set(database=kept).render_as_string(False)), "TABLE fills") == []


def test_a_backup_restores_where_there_is_no_database_yet(worked: World, tmp_path: Path) -> None:
    backup = back_up({"fks": worked.database_url}, tmp_path)
    url = make_url(worked.database_url)
    copy = url.set(database=f"{url.database}_copy").render_as_string(False)
    assert restore(backup, {"fks": copy}).kept == ()
    assert digest(copy) == digest(worked.database_url)


def test_nothing_is_restored_while_somebody_works_on_the_database(stocked: str, tmp_path: Path) -> None:
    backup = back_up({"fks": stocked}, tmp_path)
    with closing(psycopg2.connect(stocked)), pytest.raises(EnvironmentRefused, match="Stop the stack"):
        restore(backup, {"fks": stocked})


def forget_rows(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["dumps"]["fks"]["rows"]["public.candles"] += 1
    (backup / "manifest.json").write_text(json.dumps(manifest))


def cut(backup: Path) -> None:
    dump = backup / "fks.dump"
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])


def make_newer(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["dumps"]["fks"]["revision"] = "9999"
    (backup / "manifest.json").write_text(json.dumps(manifest))


DAMAGED = {
    "rows are missing": (forget_rows, EnvironmentRefused, "gave other rows than were dumped in public.candles"),
    "the file is cut": (cut, EnvironmentRefused, "pg_restore failed"),
    "newer code made it": (make_newer, EnvironmentRefused, "revision 9999, newer than this version"),
    "it was not finished": (lambda one: (one / "manifest.json").unlink(), OperatorError, "is no finished backup"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_backup_leaves_the_database_as_it_is(stocked: str, tmp_path: Path, case: str) -> None:
    damage, error, words = DAMAGED[case]
    backup = back_up({"fks": stocked}, tmp_path)
    damage(backup)
    before = digest(stocked)
    with pytest.raises(error, match=words):
        restore(backup, {"fks": stocked})
    assert digest(stocked) == before
    assert read(stocked, "SELECT 1 FROM pg_database WHERE datname = current_database() || '_restoring'") == []


def test_a_backup_that_fails_leaves_nothing_that_looks_like_one(stocked: str, tmp_path: Path) -> None:
    missing = make_url(stocked).set(database="nowhere").render_as_string(False)
    with pytest.raises(DatabaseUnavailable, match='database "nowhere" does not exist'):
        back_up({"fks": stocked, "prefect": missing}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_backups_are_kept(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        place = tmp_path / f"fks-2026010{day}T000000Z"
        place.mkdir()
        (place / "manifest.json").touch()
        (place / "fks.dump").touch()
    half = tmp_path / "fks-20260104T000000Z"
    half.mkdir()
    assert [path.name for path in remove_old(tmp_path, 2)] == ["fks-20260101T000000Z"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fks-20260102T000000Z",
        "fks-20260103T000000Z",
        "fks-20260104T000000Z",
    ]
