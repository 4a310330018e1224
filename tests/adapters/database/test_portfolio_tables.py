"""The tables of the portfolio refuse what cannot be."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.adapters.database.conftest import insert

POSITION = {"symbol": "'SOL/USDT'", "opened_by": "'SOL/USDT#1'", "opened_at": "'2026-01-02'", "quantity": "1"}
POSITION |= dict.fromkeys(("cost_quote", "average_cost", "realized_pnl_quote", "fees_quote", "quantity_step"), "0")


def insert_position(connection: Connection, **changes: str) -> None:
    insert(connection, "positions", POSITION | changes)


def test_a_sound_position_is_taken(connection: Connection) -> None:
    insert_position(connection, price="100", price_at="now()", stop_loss="90", take_profit="120")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "-1"},
        {"quantity": "'NaN'"},
        {"quantity": "0"},
        {"closed_at": "'2026-01-01'"},
        {"price": "0", "price_at": "now()"},
        {"price": "'Infinity'", "price_at": "now()"},
        {"price": "100"},
        {"stop_loss": "0"},
        {"stop_loss": "'NaN'"},
        {"stop_loss": "100", "take_profit": "90"},
    ],
    ids=str,
)
def test_an_impossible_position_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert_position(connection, **changes)


def test_a_second_open_position_of_a_symbol_is_refused(connection: Connection) -> None:
    insert_position(connection)
    with pytest.raises(IntegrityError, match="positions_one_open_per_symbol"):
        insert_position(connection, opened_by="'SOL/USDT#2'")
