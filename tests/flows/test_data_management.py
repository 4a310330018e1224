"""The nightly archive and the way back, as flows on real parts."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.daily import data_management
from flows.market import critical_path
from flows.on_demand import restore_archive
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def little_is_kept(prefect_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 150}))
    monkeypatch.setenv("FKS_CANDLE_RETENTION_DAYS", json.dumps({"1h": 150}))
    monkeypatch.setenv("FKS_INDICATOR_ROWS", "300")
    monkeypatch.setenv("FKS_ARCHIVE_URL", str(tmp_path))
    monkeypatch.setenv("FKS_HOME", str(tmp_path / "home"))


async def test_the_night_archives_what_is_old_the_sync_leaves_it_there_and_a_form_brings_it_back(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await critical_path(return_state=True)
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 30}))
    monkeypatch.setenv("FKS_CANDLE_RETENTION_DAYS", json.dumps({"1h": 70}))
    before = prefect_world.query("SELECT * FROM candles ORDER BY 1, 2, 3")

    dry = await data_management(dry_run=True, return_state=True)
    assert "would be archived" in (await read_artifacts(id_of(dry)))["data-management"]
    assert prefect_world.query("SELECT * FROM candles ORDER BY 1, 2, 3") == before

    page = write_old_page(tmp_path / "home")
    state = await data_management(return_state=True)
    assert state.name == "Completed", state.message
    assert not page.exists()
    [[archived, left]] = prefect_world.query(
        "SELECT (SELECT sum(rows) FROM archive_manifest), (SELECT count(*) FROM candles)"
    )
    assert archived > 0 and archived + left == len(before)
    artifacts = await read_artifacts(id_of(state))
    (row,) = json.loads(artifacts["archive"])
    assert (row["what"], row["symbols"], row["rows"]) == ("candles 1h", 4, archived)
    assert "since yesterday" in artifacts["data-management"]
    assert f"{archived:,} candles archived" in str((await read_run(id_of(state))).name)

    await tell_of_a_broken_file(prefect_world, tmp_path)

    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 150}))  # even then nothing of it is fetched again
    monkeypatch.setenv("FKS_CANDLE_RETENTION_DAYS", json.dumps({"1h": 150}))
    prefect_world.query("UPDATE sync_status SET audited_at = now() - interval '2 days'")
    await critical_path(return_state=True)
    [[still]] = prefect_world.query("SELECT count(*) FROM candles")
    assert still - left <= 4  # an hour may have passed

    begin = datetime.now(UTC) - timedelta(days=200)
    state = await restore_archive(begin, symbols=["btc/usdt"], return_state=True)
    assert state.name == "Completed", state.message
    state = await restore_archive(begin, return_state=True)
    after = prefect_world.query("SELECT * FROM candles ORDER BY 1, 2, 3")
    assert set(before) <= set(after)

    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 30}))
    monkeypatch.setenv("FKS_CANDLE_RETENTION_DAYS", json.dumps({"1h": 70}))
    night = await data_management(return_state=True)
    assert "stays in the database until" in (await read_artifacts(id_of(night)))["data-management"]

    nothing = await restore_archive(
        datetime(2019, 1, 1, tzinfo=UTC), datetime(2019, 2, 1, tzinfo=UTC), return_state=True
    )
    assert nothing.type == "FAILED" and "The archive has candles 1h from" in str(nothing.message)


def write_old_page(home: Path) -> Path:
    page = home / "reports" / "daily-2020-01-01.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("what was reported")
    os.utime(page, (0, 0))
    return page


async def tell_of_a_broken_file(world: World, folder: Path) -> None:
    """A row comes to an archived month whose file is broken: people are told, and the row stays."""
    [[symbol, month, path]] = world.query("SELECT symbol, month, path FROM archive_manifest ORDER BY 1, 2 LIMIT 1")
    file = folder / "simulator" / path
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    late = {"symbol": symbol, "at": datetime(month.year, month.month, 1, tzinfo=UTC)}
    world.query("INSERT INTO candles VALUES (:symbol, '1h', :at, 1, 1, 1, 1, 1, 1, 1)", **late)
    state = await data_management(return_state=True)
    assert state.name == "Partial", state.message
    (told,) = [one for one in world.webhooks.contents if "Not archived: 1 item" in one]
    assert f"candles {symbol} 1h {month:%Y-%m}: Expected the file" in told
    file.write_bytes(content)
    assert world.query("DELETE FROM candles WHERE symbol = :symbol AND opened_at = :at RETURNING 1", **late) == [(1,)]
