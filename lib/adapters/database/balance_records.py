"""One account's snapshots, cash flows and breaks, written within one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.account_states import ASSET_PRICES
from lib.adapters.database.balance_rows import (
    ASKED,
    BREAKS,
    FLOWS,
    OPENINGS,
    SNAPSHOTS,
    from_break,
    from_flow,
    from_snapshot,
    to_break,
    to_flow,
    to_snapshot,
)
from lib.adapters.database.market_facts import SYMBOLS
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.portfolio_books import IMPORTS
from lib.adapters.database.portfolio_rows import POSITIONS
from lib.balances.breaks import Break, BreakState, Judgement
from lib.balances.flows import CAPITAL, FlowSource, ValuedFlow
from lib.balances.snapshots import Snapshot
from lib.notifications.messages import Message
from lib.portfolio.adjustments import RETURNED, Opening
from lib.portfolio.state import AssetPrice

ACTIVE = (BreakState.SUSPECTED.value, BreakState.OPEN.value)
CHANGES = text("""
    SELECT asset, sum(amount) AS amount
    FROM (
        SELECT move.asset, move.amount
        FROM fills CROSS JOIN LATERAL (VALUES
            (split_part(symbol, '/', 1), CASE side WHEN 'buy' THEN quantity ELSE -quantity END),
            (split_part(symbol, '/', 2), CASE side WHEN 'buy' THEN -price * quantity ELSE price * quantity END),
            (fee_asset, -fee)
        ) AS move (asset, amount)
        WHERE account = :account AND filled_at > :after
        UNION ALL
        SELECT asset, amount FROM cash_flows  -- what an operator explains was found after the opening
        WHERE account = :account AND is_booked AND (at > :after OR source = 'operator')
    ) AS moves
    GROUP BY asset
""")


class DatabaseRecords:
    """The `AccountRecords` of one account; the caller holds the account's lock and ends the transaction."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def load_flows(self, ids: Collection[str]) -> Mapping[str, ValuedFlow]:
        """See `AccountRecords`."""
        wanted = [*ids, *(flow_id + RETURNED for flow_id in ids)]
        rows = self._connection.execute(select(FLOWS).where(self._owns(FLOWS), FLOWS.c.flow_id.in_(wanted)))
        return {row.flow_id: to_flow(row) for row in rows}

    def load_uncounted(self, after: datetime) -> Sequence[ValuedFlow]:
        """See `AccountRecords`."""
        is_later = (FLOWS.c.at > after) | (FLOWS.c.source == FlowSource.OPERATOR.value)
        waits = FLOWS.c.is_booked & FLOWS.c.counted_at.is_(None) & is_later
        return [to_flow(row) for row in self._connection.execute(select(FLOWS).where(self._owns(FLOWS), waits))]

    def save_flows(self, flows: Sequence[ValuedFlow], now: datetime) -> None:
        """See `AccountRecords`."""
        self._upsert(FLOWS, [from_flow(one, now) for one in flows], kept=("recorded_at",))

    def save_flows_asked(self, at: datetime) -> None:
        """See `AccountRecords`."""
        self._upsert(ASKED, [{"account": self._account, "asked_at": at}])

    def save_opening(self, opening: Opening, quote_asset: str) -> None:
        """See `AccountRecords`."""
        quantities = {quote_asset: Decimal(0)} | dict(opening.quantities)
        there = select(OPENINGS.c.account).where(self._owns(OPENINGS)).limit(1)
        if self._connection.scalar(there) is None:
            self._connection.execute(
                insert(OPENINGS),
                [
                    {"account": self._account, "asset": asset, "quantity": quantity, "at": opening.at}
                    for asset, quantity in quantities.items()
                ],
            )

    def load_changes(self, after: datetime) -> Mapping[str, Decimal]:
        """See `AccountRecords`."""
        rows = self._connection.execute(CHANGES, {"account": self._account, "after": after})
        return {row.asset: row.amount for row in rows}

    def load_breaks(self) -> Mapping[str, Break]:
        """See `AccountRecords`."""
        return {one.asset: one for one in load_active(self._connection, self._account)}

    def save_breaks(self, judgement: Judgement) -> None:
        """See `AccountRecords`. What ends makes room first: an asset has one active break at most."""
        for one in judgement.vanished:
            key = (BREAKS.c.asset == one.asset) & (BREAKS.c.first_seen_at == one.first_seen_at)
            self._connection.execute(delete(BREAKS).where(self._owns(BREAKS), key))
        self._upsert(BREAKS, [from_break(one) for one in judgement.resolved])
        self._upsert(BREAKS, [from_break(one) for one in judgement.active])

    def ask_fills_again(self, symbols: Collection[str]) -> None:
        """See `AccountRecords`. No instant of asking is how an import that has to be repeated is stored."""
        listed = self._connection.scalars(select(SYMBOLS.c.name).where(SYMBOLS.c.name.in_(symbols)))
        self._upsert(IMPORTS, [{"account": self._account, "symbol": name, "asked_at": None} for name in listed])

    def close_break(self, one: Break) -> None:
        """See `AccountRecords`."""
        self._upsert(BREAKS, [from_break(one)])

    def load_realized_pnl(self) -> Decimal:
        """See `AccountRecords`."""
        total: Decimal | None = self._connection.scalar(
            select(func.sum(POSITIONS.c.realized_pnl_quote)).where(self._owns(POSITIONS))
        )
        return total or Decimal(0)

    def load_day_start(self, at: datetime) -> Snapshot | None:
        """See `AccountRecords`."""
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        of_day = (SNAPSHOTS.c.at >= midnight) & (SNAPSHOTS.c.at < at)
        first = select(SNAPSHOTS).where(self._owns(SNAPSHOTS), of_day).order_by(SNAPSHOTS.c.at).limit(1)
        row = self._connection.execute(first).one_or_none()
        return to_snapshot(row) if row else None

    def load_capital(self, after: datetime, until: datetime) -> Decimal:
        """See `AccountRecords`."""
        is_capital = FLOWS.c.kind.in_([kind.value for kind in CAPITAL])
        counted = (FLOWS.c.counted_at > after) & (FLOWS.c.counted_at <= until)
        total: Decimal | None = self._connection.scalar(
            select(func.sum(FLOWS.c.value_quote)).where(self._owns(FLOWS), is_capital, counted)
        )
        return total or Decimal(0)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `AccountRecords`."""
        self._upsert(SNAPSHOTS, [from_snapshot(snapshot)])

    def save_prices(self, prices: Mapping[str, AssetPrice], quote_asset: str) -> None:
        """See `AccountRecords`. By asset, so that two accounts that store the same ones do not wait in a circle."""
        rows = [
            {
                "asset": asset,
                "quote_asset": quote_asset,
                "price": prices[asset].price,
                "priced_by": prices[asset].priced_by,
                "price_at": prices[asset].at,
            }
            for asset in sorted(prices)
        ]
        self._upsert(ASSET_PRICES, rows)

    def record(self, message: Message) -> bool:
        """See `AccountRecords`."""
        return record_message(self._connection, message)

    def _upsert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, kept: Collection[str] = ()) -> None:
        """Write rows in place of those with their keys; the `kept` columns of those stay."""
        if not rows:
            return
        statement = upsert(table)
        keys = {column.name for column in table.primary_key}
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in kept}
        self._connection.execute(
            statement.on_conflict_do_update(constraint=table.primary_key, set_=changed), list(rows)
        )

    def _owns(self, table: Table) -> Any:
        return table.c.account == self._account


def load_active(connection: Connection, account: str) -> list[Break]:
    """Return an account's suspected and open breaks by asset."""
    is_active = (BREAKS.c.account == account) & BREAKS.c.state.in_(ACTIVE)
    return [to_break(row) for row in connection.execute(select(BREAKS).where(is_active).order_by(BREAKS.c.asset))]
