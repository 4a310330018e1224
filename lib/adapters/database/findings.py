"""Findings about orders in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.order_rows import INTENTS
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.reconciliation import OrderFindingRow, ReconciliationRow
from lib.execution.findings import Compose, Disagreement, FilledOrder, Finding, Reconciled
from lib.portfolio.fills import Side

FINDINGS, RECONCILIATIONS = table_of(OrderFindingRow), table_of(ReconciliationRow)
FINDINGS_LOCK = 0x4646  # "FF": the class of the advisory locks of accounts' findings
FOREIGN = text("""
    SELECT symbol, order_id, min(side) AS side, sum(quantity) AS quantity,
        sum(quantity * price) / sum(quantity) AS price, max(filled_at) AS filled_at
    FROM fills
    WHERE account = :account AND filled_at >= :since
      AND NOT EXISTS (
        SELECT FROM orders JOIN order_intents AS intent USING (account, client_order_id)
        WHERE orders.account = fills.account AND orders.order_id = fills.order_id AND intent.symbol = fills.symbol)
      AND NOT EXISTS (
        SELECT FROM order_findings AS known
        WHERE known.account = fills.account AND known.symbol = fills.symbol AND known.order_id = fills.order_id)
    GROUP BY symbol, order_id
    ORDER BY filled_at, order_id
""")
DISAGREEMENTS = text("""
    SELECT intent.client_order_id, fill_id, coalesce(ours.filled_at, theirs.filled_at) AS filled_at,
        ours.fill_id IS NOT NULL AS is_known, theirs.fill_id IS NOT NULL AS is_imported
    FROM orders JOIN order_intents AS intent USING (account, client_order_id)
    CROSS JOIN LATERAL (
        SELECT fill_id FROM order_fills AS fill
        WHERE fill.account = orders.account AND fill.client_order_id = orders.client_order_id
        UNION
        SELECT fill_id FROM fills AS fill
        WHERE fill.account = orders.account AND fill.symbol = intent.symbol AND fill.order_id = orders.order_id
          AND fill.filled_at >= :since
    ) AS every
    LEFT JOIN order_fills AS ours USING (account, symbol, fill_id)
    LEFT JOIN fills AS theirs USING (account, symbol, fill_id)
    WHERE account = :account AND orders.order_id IS NOT NULL AND orders.changed_at >= :since
      AND state IN ('filled', 'cancelled', 'expired', 'rejected')
      AND (ours.side, ours.price, ours.quantity, ours.order_id)
        IS DISTINCT FROM (theirs.side, theirs.price, theirs.quantity, theirs.order_id)
    ORDER BY filled_at, fill_id
""")


@dataclass(frozen=True)
class DatabaseFindings:
    """The `FindingStore` of an engine."""

    engine: Engine

    def load_reconciled(self, account: str) -> Reconciled | None:
        """See `FindingStore`."""
        wanted = select(RECONCILIATIONS).where(RECONCILIATIONS.c.account == account)
        with database_errors(f"reading the reconciliation of {account}"), self.engine.connect() as connection:
            row = connection.execute(wanted).one_or_none()
        return Reconciled(row.began_at, row.done_at) if row else None

    def load_foreign_fills(self, account: str, since: datetime) -> Sequence[FilledOrder]:
        """See `FindingStore`."""
        with database_errors(f"reading orders of others on {account}"), self.engine.connect() as connection:
            rows = connection.execute(FOREIGN, {"account": account, "since": since}).all()
        return [
            FilledOrder(row.symbol, row.order_id, Side(row.side), row.quantity, row.price, row.filled_at)
            for row in rows
        ]

    def load_disagreements(self, account: str, since: datetime) -> Sequence[Disagreement]:
        """See `FindingStore`."""
        with database_errors(f"comparing the fills of {account}"), self.engine.connect() as connection:
            rows = connection.execute(DISAGREEMENTS, {"account": account, "since": since}).all()
        return [Disagreement(**row._mapping) for row in rows]

    def load_own_names(self, account: str, names: Collection[str]) -> Collection[str]:
        """See `FindingStore`."""
        is_own = (INTENTS.c.account == account) & INTENTS.c.client_order_id.in_(names)
        with database_errors(f"reading the orders of {account}"), self.engine.connect() as connection:
            return set(connection.scalars(select(INTENTS.c.client_order_id).where(is_own)))

    def keep(
        self, account: str, found: Sequence[Finding], *, is_complete: bool, now: datetime, compose: Compose
    ) -> Sequence[Finding]:
        """See `FindingStore`."""
        with database_errors(f"storing findings about orders of {account}"), self.engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(FINDINGS_LOCK, func.hashtext(account))))
            new = _add_new(connection, account, found, now)
            if is_complete:
                _end_others(connection, account, found, now)
                done = upsert(RECONCILIATIONS).values(account=account, began_at=now, done_at=now)
                connection.execute(
                    done.on_conflict_do_update(constraint=RECONCILIATIONS.primary_key, set_={"done_at": now})
                )
            for message in compose(new) if new else ():
                record_message(connection, message)
        return new


def _add_new(connection: Connection, account: str, found: Sequence[Finding], now: datetime) -> list[Finding]:
    ids = [one.finding_id for one in found]
    is_found = (FINDINGS.c.account == account) & FINDINGS.c.finding_id.in_(ids)
    known = set(connection.scalars(select(FINDINGS.c.finding_id).where(is_found)))
    connection.execute(update(FINDINGS).where(is_found).values(last_seen_at=now, ended_at=None))
    new = [one for one in found if one.finding_id not in known]
    if new:
        connection.execute(insert(FINDINGS), [_to_row(one, now) for one in new])
    return new


def _end_others(connection: Connection, account: str, found: Sequence[Finding], now: datetime) -> None:
    is_open = (FINDINGS.c.account == account) & FINDINGS.c.ended_at.is_(None)
    gone = FINDINGS.c.finding_id.not_in([one.finding_id for one in found])
    connection.execute(update(FINDINGS).where(is_open, gone).values(ended_at=now))


def _to_row(one: Finding, now: datetime) -> dict[str, object]:
    return {
        "account": one.account,
        "finding_id": one.finding_id,
        "kind": one.kind.value,
        "symbol": one.symbol,
        "side": one.side.value,
        "quantity": one.quantity,
        "executed": one.executed,
        "price": one.price,
        "order_id": one.order_id,
        "client_order_id": one.client_order_id,
        "detail": one.detail,
        "first_seen_at": now,
        "last_seen_at": now,
    }
