"""The tables of balances refuse what cannot be."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.adapters.database.conftest import insert

AMOUNTS = ("cash_free", "cash_locked", "positions_value", "other_value", "equity", "unexplained_value")
SNAPSHOT = {"at": "now()", "unpriced": "'{}'"}
SNAPSHOT |= dict.fromkeys((*AMOUNTS, "unrealized_pnl", "realized_pnl", "day_flows"), "0")
FLOW = {"flow_id": "'deposit:1'", "kind": "'deposit'", "source": "'exchange'", "asset": "'USDT'", "amount": "5"}
FLOW |= {
    "at": "now()",
    "is_booked": "true",
    "value_quote": "5",
    "priced_by": "''",
    "note": "''",
    "recorded_at": "now()",
}
BREAK = {"asset": "'SOL'", "first_seen_at": "now()", "last_seen_at": "now()", "state": "'suspected'"}
BREAK |= {"expected": "2", "actual": "3", "difference": "1", "why": "'?'"}


def test_sound_rows_are_taken(connection: Connection) -> None:
    insert(connection, "balance_history", SNAPSHOT)
    insert(connection, "cash_flows", FLOW | {"counted_at": "now()"})
    insert(connection, "breaks", BREAK)


@pytest.mark.parametrize(
    ("table", "row", "changes"),
    [
        ("balance_history", SNAPSHOT, {"equity": "'NaN'"}),
        ("balance_history", SNAPSHOT, {"cash_free": "-1"}),
        ("cash_flows", FLOW, {"amount": "0"}),
        ("cash_flows", FLOW, {"amount": "'NaN'"}),
        ("cash_flows", FLOW, {"kind": "'gift'"}),
        ("cash_flows", FLOW, {"is_booked": "false", "counted_at": "now()"}),
        ("cash_flows", FLOW, {"value_quote": "NULL", "counted_at": "now()"}),
        ("breaks", BREAK, {"difference": "2"}),
        ("breaks", BREAK, {"state": "'open'"}),
        ("breaks", BREAK, {"state": "'resolved'", "opened_at": "now()"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) and len(value) < 3 else "",
)
def test_an_impossible_row_is_refused(
    connection: Connection, table: str, row: dict[str, str], changes: dict[str, str]
) -> None:
    with pytest.raises(IntegrityError):
        insert(connection, table, row | changes)


def test_an_asset_has_one_break_at_a_time(connection: Connection) -> None:
    insert(connection, "breaks", BREAK)
    with pytest.raises(IntegrityError, match="breaks_one_per_asset"):
        insert(connection, "breaks", BREAK | {"first_seen_at": "now() + interval '1 hour'"})
