"""The tables of orders refuse what cannot be."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.adapters.database.conftest import insert

INTENT = {
    "client_order_id": "'fks-1'",
    "symbol": "'BTC/USDT'",
    "side": "'buy'",
    "kind": "'market'",
    "quantity": "1",
    "reference_price": "100",
    "time_in_force": "'gtc'",
    "why": "''",
    "created_at": "now()",
}


def insert_intent(connection: Connection, **changes: str) -> None:
    insert(connection, "order_intents", INTENT | changes)


def test_sound_intents_are_taken(connection: Connection) -> None:
    insert_intent(connection)
    insert_intent(connection, client_order_id="'2'", kind="'limit'", limit_price="100", time_in_force="'ioc'")
    insert_intent(connection, client_order_id="'3'", kind="'stop_loss_limit'", limit_price="90", stop_price="91")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "0"},
        {"quantity": "'NaN'"},
        {"reference_price": "0"},
        {"limit_price": "100"},
        {"kind": "'limit'"},
        {"kind": "'limit'", "limit_price": "'Infinity'"},
        {"kind": "'stop_loss_limit'", "limit_price": "100"},
        {"kind": "'oco'"},
        {"side": "'hold'"},
        {"time_in_force": "'fok'"},
        {"account": "'nobody'"},
    ],
    ids=str,
)
def test_an_impossible_intent_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert_intent(connection, **changes)
