"""Fixtures of the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.adapters.database.engine import make_engine
from tests.archive.rooms import BTC_1H, NOVEMBER, NOW, Room
from tests.market.exchanges import DrivenClock


@pytest.fixture
def empty_room(database_url: str, tmp_path: Path) -> Iterator[Room]:
    """Nothing is stored yet."""
    engine = make_engine(database_url)
    yield Room(engine, DrivenClock(NOW), str(tmp_path / "archive"))
    engine.dispose()


@pytest.fixture
def room(empty_room: Room) -> Room:
    """Hourly candles of BTC from November on; November and December are old."""
    empty_room.store_candles(BTC_1H, NOVEMBER)
    return empty_room
