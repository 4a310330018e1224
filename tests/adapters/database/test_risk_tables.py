"""The tables of risk refuse what cannot be."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.adapters.database.conftest import insert

SNAPSHOT = {"at": "now()", "state_at": "now()", "level": "'LOW'", "fired": "'[]'", "unpriced": "'{}'"}
SNAPSHOT |= dict.fromkeys(("equity", "market_value", "unrealized_pnl"), "0")
TAILS = dict.fromkeys(("var_95", "shortfall_95", "var_99", "shortfall_99", "var_days"), "1")


def insert_snapshot(connection: Connection, **changes: str) -> None:
    insert(connection, "risk_snapshots", SNAPSHOT | changes)


def test_a_sound_snapshot_is_taken(connection: Connection) -> None:
    insert_snapshot(connection, **TAILS, drawdown_ratio="-0.1", worst_drawdown_ratio="-0.2")


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "'EXTREME'"},
        {"drawdown_ratio": "0.1"},
        {"var_95": "0.1"},
        TAILS | {"shortfall_99": "NULL"},
        {"account": "'nobody'"},
    ],
)
def test_an_impossible_snapshot_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert_snapshot(connection, **changes)
