"""Fixtures of the market room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lib.adapters.database.engine import make_engine
from tests.market.desks import Desk
from tests.market.exchanges import DrivenClock, HandExchange


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """An empty database, and an exchange of BTC, ETH and SOL at two seconds past noon."""
    engine = make_engine(database_url)
    clock = DrivenClock()
    yield Desk(engine, clock, HandExchange(clock))
    engine.dispose()
