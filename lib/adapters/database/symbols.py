"""The symbols table: what the exchange says about each market, kept when it falls silent about one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, select, text

from lib.adapters.database.tables.market import SYMBOLS
from lib.market.symbols import Symbol, SymbolGroup, SymbolState, SymbolStatus

COLUMNS = SYMBOLS.c
MARK_DELISTED = text("""
    UPDATE symbols
    SET status = 'delisted', refreshed_at = :at,
        status_since = CASE WHEN status = 'delisted' THEN status_since ELSE :at END
    WHERE name <> ALL(CAST(:names AS text[]))
""")
INSERT_MISSING = text("""
    INSERT INTO symbols (name, base, quote, asset_group, status, status_since, refreshed_at)
    SELECT name, split_part(name, '/', 1), split_part(name, '/', 2), asset_group, 'delisted', :at, :at
    FROM unnest(CAST(:names AS text[]), CAST(:groups AS text[])) AS missing (name, asset_group)
    ON CONFLICT (name) DO NOTHING
""")
UPSERT_LISTED = text("""
    INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity, min_notional,
                         status_since, refreshed_at)
    SELECT *, CAST(:at AS timestamptz), CAST(:at AS timestamptz)
    FROM unnest(CAST(:names AS text[]), CAST(:bases AS text[]), CAST(:quotes AS text[]), CAST(:groups AS text[]),
                CAST(:statuses AS text[]), CAST(:price_steps AS numeric[]), CAST(:quantity_steps AS numeric[]),
                CAST(:min_quantities AS numeric[]), CAST(:min_notionals AS numeric[]))
    ON CONFLICT (name) DO UPDATE SET
        asset_group = EXCLUDED.asset_group, status = EXCLUDED.status,
        price_step = EXCLUDED.price_step, quantity_step = EXCLUDED.quantity_step,
        min_quantity = EXCLUDED.min_quantity, min_notional = EXCLUDED.min_notional,
        status_since = CASE WHEN symbols.status = EXCLUDED.status THEN symbols.status_since
                            ELSE EXCLUDED.status_since END,
        refreshed_at = EXCLUDED.refreshed_at
""")


def load_states(connection: Connection, names: Collection[str]) -> Mapping[str, SymbolState]:
    """Return what is on record of these symbols; unknown ones are left out."""
    query = select(COLUMNS.name, COLUMNS.status, COLUMNS.status_since, COLUMNS.refreshed_at)
    rows = connection.execute(query.where(COLUMNS.name.in_(names)))
    return {name: SymbolState(SymbolStatus(status), since, at) for name, status, since, at in rows}


def save(
    connection: Connection,
    listed: Collection[Symbol],
    *,
    missing: Collection[str],
    groups: Mapping[str, SymbolGroup],
    at: datetime,
) -> None:
    """Store the exchange's whole list; those not in it, and `missing` ones we asked for, become delisted.

    A delisted symbol keeps its last filters; one that was never listed has none.
    """
    names = [symbol.name for symbol in listed]
    connection.execute(text("LOCK TABLE symbols IN SHARE ROW EXCLUSIVE MODE"))  # two refreshes would deadlock on rows
    connection.execute(MARK_DELISTED, {"names": names, "at": at})
    connection.execute(INSERT_MISSING, {"names": list(missing), "groups": _groups(missing, groups), "at": at})
    connection.execute(
        UPSERT_LISTED,
        {
            "names": names,
            "bases": [symbol.base for symbol in listed],
            "quotes": [symbol.quote for symbol in listed],
            "groups": _groups(names, groups),
            "statuses": [symbol.status.value for symbol in listed],
            "price_steps": [symbol.price_step for symbol in listed],
            "quantity_steps": [symbol.quantity_step for symbol in listed],
            "min_quantities": [symbol.min_quantity for symbol in listed],
            "min_notionals": [symbol.min_notional for symbol in listed],
            "at": at,
        },
    )


def _groups(names: Collection[str], groups: Mapping[str, SymbolGroup]) -> list[str]:
    return [groups.get(name, SymbolGroup.OTHER).value for name in names]
