"""The tables of tickets and exits refuse what cannot be."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.adapters.database.conftest import insert

TICKET = {
    "client_order_id": "'fks-1'",
    "symbol": "'BTC/USDT'",
    "side": "'buy'",
    "quantity": "1",
    "reference_price": "100",
    "why": "''",
    "created_at": "now()",
    "code_version": "''",
}
EXIT = {
    "symbol": "'BTC/USDT'",
    "opened_by": "'BTC/USDT 1'",
    "kind": "'stop_loss'",
    "policy": "'exit'",
    "wanted_at": "now()",
    "state": "'wanted'",
    "attempts": "0",
    "note": "''",
    "changed_at": "now()",
}


def test_sound_rows_are_taken(connection: Connection) -> None:
    insert(connection, "order_tickets", TICKET | {"stop_loss": "90", "take_profit": "120"})
    insert(connection, "position_exits", EXIT | {"state": "'done'"})
    insert(connection, "position_exits", EXIT)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "0"},
        {"reference_price": "'NaN'"},
        {"side": "'hold'"},
        {"stop_loss": "120", "take_profit": "110"},
        {"decision": "'approved'"},
        {"decision": "'perhaps'", "decided_by": "'Ada'", "decided_at": "now()"},
        {"signal_strategy": "'breakout'"},
        {"exit_id": "17"},
        {"max_slippage_pct": "100"},
    ],
)
def test_an_impossible_ticket_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert(connection, "order_tickets", TICKET | changes)


@pytest.mark.parametrize(
    "changes", [{"kind": "'stale_price'"}, {"policy": "'alert'"}, {"state": "'started'"}, {"attempts": "-1"}]
)
def test_an_impossible_exit_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert(connection, "position_exits", EXIT | changes)


def test_a_position_has_one_open_exit(connection: Connection) -> None:
    insert(connection, "position_exits", EXIT)
    with pytest.raises(IntegrityError, match="position_exits_one_open"):
        insert(connection, "position_exits", EXIT | {"state": "'started'", "run": "'run-1'"})
