"""One account's books, written within one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.portfolio_heirs import hand_on, lock_held
from lib.adapters.database.portfolio_rows import (
    ADJUSTMENTS,
    BALANCES,
    FILLS,
    OPENINGS,
    POSITION_FIELDS,
    POSITIONS,
    from_adjustment,
    from_booked,
    from_positions,
    load_held,
    load_opening,
    table_of,
    to_adjustment,
    to_booked,
    to_fill,
    to_position,
)
from lib.adapters.database.tables.portfolio import FillImportRow, UnmatchedDisposalRow
from lib.portfolio.adjustments import Adjustment, Opening
from lib.portfolio.fills import Balance, BookedFill, Fill
from lib.portfolio.ledger import Ledger, Position, Unmatched
from lib.portfolio.stores import HeldPosition
from lib.portfolio.valuation import Valuation

IMPORTS = table_of(FillImportRow)
UNMATCHED = table_of(UnmatchedDisposalRow)
Key = tuple[str, str]


class DatabaseBooks:
    """The `Books` of one account in PostgreSQL; the caller holds the account's lock and ends the transaction."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account
        self._added: set[str] = set()

    def load_stored(self, fills: Sequence[Fill]) -> Mapping[str, Fill]:
        """See `Books`. Reads each symbol from its first fill on: what is fetched is always its newest end."""
        first_ids: dict[str, int] = {}
        for fill in fills:
            first_ids[fill.symbol] = min(fill.fill_id, first_ids.get(fill.symbol, fill.fill_id))
        if not first_ids:
            return {}
        ends = [and_(FILLS.c.symbol == symbol, FILLS.c.fill_id >= first) for symbol, first in first_ids.items()]
        rows = self._connection.execute(select(FILLS).where(FILLS.c.account == self._account, or_(*ends)))
        return {fill.key: fill for fill in map(to_fill, rows)}

    def add_fills(self, fills: Sequence[BookedFill], now: datetime) -> None:
        """See `Books`."""
        if fills:
            self._connection.execute(insert(FILLS), [from_booked(booked, now) for booked in fills])
            self._added.update(booked.fill.key for booked in fills)

    def value_fees(self, fills: Sequence[BookedFill]) -> None:
        """See `Books`. A value that another run has stored since the fills were read stands."""
        if not fills:
            return
        self._connection.execute(
            update(FILLS)
            .where(
                FILLS.c.account == self._account,
                FILLS.c.symbol == bindparam("of_symbol"),
                FILLS.c.fill_id == bindparam("of_id"),
                FILLS.c.fee_quote.is_(None),
            )
            .values(fee_quote=bindparam("value"), fee_priced_by=bindparam("priced_by")),
            [
                {
                    "of_symbol": booked.fill.symbol,
                    "of_id": booked.fill.fill_id,
                    "value": booked.fee_quote,
                    "priced_by": booked.fee_priced_by,
                }
                for booked in fills
            ],
        )

    def load_fills(self) -> Sequence[BookedFill]:
        """See `Books`."""
        return [to_booked(row) for row in self._connection.execute(select(FILLS).where(self._owns(FILLS)))]

    def load_adjustments(self) -> Sequence[Adjustment]:
        """See `Books`."""
        rows = self._connection.execute(select(ADJUSTMENTS).where(self._owns(ADJUSTMENTS)))
        return [to_adjustment(row) for row in rows]

    def add_adjustments(self, adjustments: Sequence[Adjustment], now: datetime) -> None:
        """See `Books`."""
        if adjustments:
            rows = [from_adjustment(self._account, one, now) for one in adjustments]
            self._connection.execute(insert(ADJUSTMENTS), rows)
            self._added.update(one.adjustment_id for one in adjustments)

    def load_opening(self) -> Opening | None:
        """See `Books`."""
        return load_opening(self._connection, self._account)

    def load_newest_at(self) -> datetime | None:
        """See `Books`."""
        newest = [
            self._connection.scalar(select(column).where(self._owns(column.table)).order_by(column.desc()).limit(1))
            for column in (FILLS.c.filled_at, ADJUSTMENTS.c.at, OPENINGS.c.at)
        ]
        return max((at for at in newest if at is not None), default=None)

    def load_newest_positions(self) -> Sequence[Position]:
        """See `Books`. The open one, else the one closed last; of two within an instant, the one with the dust."""
        newest_first = (
            POSITIONS.c.closed_at.desc().nulls_first(),
            POSITIONS.c.opened_at.desc(),
            POSITIONS.c.quantity.desc(),
        )
        rows = self._connection.execute(
            select(POSITIONS)
            .distinct(POSITIONS.c.symbol)
            .where(self._owns(POSITIONS))
            .order_by(POSITIONS.c.symbol, *newest_first)
        )
        return [to_position(row) for row in rows]

    def extend_ledger(self, ledger: Ledger) -> None:
        """See `Books`. What was open and is closed goes first: only one position of a symbol may be open."""
        self._upsert([position for position in ledger.positions if not position.is_open])
        self._upsert([position for position in ledger.positions if position.is_open])
        self._add_unmatched(ledger.unmatched)

    def replace_ledger(self, ledger: Ledger) -> None:
        """See `Books`."""
        before = {held.symbol: held for held in lock_held(self._connection, self._account)}
        self._remove_vanished({(position.symbol, position.opened_by) for position in ledger.positions})
        self._connection.execute(delete(UNMATCHED).where(self._owns(UNMATCHED)))
        self.extend_ledger(ledger)
        for heir in self.load_held():
            held = before.get(heir.symbol)
            if held and held.position.opened_by != heir.position.opened_by and self._was_held(heir.position):
                hand_on(self._connection, held, heir)

    def load_held(self) -> Sequence[HeldPosition]:
        """See `Books`."""
        return load_held(self._connection, self._account)

    def save_valuations(self, valuations: Mapping[str, Valuation]) -> None:
        """See `Books`."""
        if not valuations:
            return
        self._connection.execute(
            update(POSITIONS)
            .where(self._owns(POSITIONS), POSITIONS.c.symbol == bindparam("of"), POSITIONS.c.closed_at.is_(None))
            .values(
                price=bindparam("new_price"),
                price_at=bindparam("new_price_at"),
                unrealized_pnl_quote=bindparam("pnl"),
                unrealized_pnl_pct=bindparam("pct"),
            ),
            [
                {
                    "of": symbol,
                    "new_price": valuation.price,
                    "new_price_at": valuation.price_at,
                    "pnl": valuation.unrealized_pnl_quote,
                    "pct": valuation.unrealized_pnl_pct,
                }
                for symbol, valuation in valuations.items()
            ],
        )

    def save_import(self, balances: Collection[Balance], symbols: Mapping[str, bool], now: datetime) -> None:
        """See `Books`."""
        if symbols:
            self._save_symbols(symbols, now)
        if balances:
            self._save_balances(balances, now)

    def _save_symbols(self, symbols: Mapping[str, bool], now: datetime) -> None:
        statement = upsert(IMPORTS)
        new = statement.excluded
        failing_since = case((new.asked_at.is_(None), func.coalesce(IMPORTS.c.failing_since, new.failing_since)))
        self._connection.execute(
            statement.on_conflict_do_update(
                constraint=IMPORTS.primary_key, set_={"asked_at": new.asked_at, "failing_since": failing_since}
            ),
            [
                {
                    "account": self._account,
                    "symbol": symbol,
                    "asked_at": now if imported else None,
                    "failing_since": None if imported else now,
                }
                for symbol, imported in symbols.items()
            ],
        )

    def _save_balances(self, balances: Collection[Balance], now: datetime) -> None:
        statement = upsert(BALANCES)
        new = statement.excluded
        moved = BALANCES.c.free + BALANCES.c.locked != new.free + new.locked
        self._connection.execute(
            statement.on_conflict_do_update(
                constraint=BALANCES.primary_key,
                set_={
                    "free": new.free,
                    "locked": new.locked,
                    "seen_at": new.seen_at,
                    "changed_at": case((moved, new.seen_at), else_=BALANCES.c.changed_at),
                },
            ),
            [
                {
                    "account": self._account,
                    "asset": balance.asset,
                    "free": balance.free,
                    "locked": balance.locked,
                    "seen_at": now,
                    "changed_at": now,
                }
                for balance in balances
            ],
        )

    def _was_held(self, position: Position) -> bool:
        """Tell whether any of the position's entries was stored before: then it is no new holding."""
        entries = self._connection.scalars(
            select(ADJUSTMENTS.c.adjustment_id).where(
                self._owns(ADJUSTMENTS), ADJUSTMENTS.c.symbol == position.symbol, ADJUSTMENTS.c.at >= position.opened_at
            )
        )
        if any(entry not in self._added for entry in entries):
            return True
        rows = self._connection.execute(
            select(FILLS).where(
                self._owns(FILLS), FILLS.c.symbol == position.symbol, FILLS.c.filled_at >= position.opened_at
            )
        )
        return any(to_fill(row).key not in self._added for row in rows)

    def _remove_vanished(self, remaining: Set[Key]) -> None:
        rows = self._connection.execute(select(POSITIONS.c.symbol, POSITIONS.c.opened_by).where(self._owns(POSITIONS)))
        vanished = [(row.symbol, row.opened_by) for row in rows if (row.symbol, row.opened_by) not in remaining]
        if vanished:
            self._connection.execute(
                delete(POSITIONS).where(
                    self._owns(POSITIONS), tuple_(POSITIONS.c.symbol, POSITIONS.c.opened_by).in_(vanished)
                )
            )

    def _upsert(self, positions: Sequence[Position]) -> None:
        if not positions:
            return
        statement = upsert(POSITIONS)
        values = [name for name in POSITION_FIELDS if name not in ("symbol", "opened_by")]
        changed = or_(*(POSITIONS.c[name].is_distinct_from(statement.excluded[name]) for name in values))
        self._connection.execute(
            statement.on_conflict_do_update(
                constraint=POSITIONS.primary_key,
                set_={name: statement.excluded[name] for name in values},
                where=changed,
            ),
            from_positions(self._account, positions),
        )

    def _add_unmatched(self, unmatched: Sequence[Unmatched]) -> None:
        if unmatched:
            rows = [
                {
                    "account": self._account,
                    "symbol": one.symbol,
                    "fill_key": one.fill_key,
                    "quantity": one.quantity,
                    "proceeds_quote": one.proceeds_quote,
                    "disposed_at": one.at,
                }
                for one in unmatched
            ]
            self._connection.execute(insert(UNMATCHED), rows)

    def _owns(self, table: Any) -> Any:
        return table.c.account == self._account
