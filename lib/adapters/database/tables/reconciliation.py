"""Tables of reconciling: orders that differ between the exchange and us, and entries of the ledger beside fills.

Quantities are base, prices and values quote; amounts are NUMERIC without a limit, instants UTC.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class OrderFindingRow(SQLModel, table=True):
    """Something about an order that somebody must know, told when it was first seen.

    `lib.execution.findings.Finding` says what each kind is. `ended_at` is when it was no longer so; `price` is null of
    an order at market.
    """

    __tablename__ = "order_findings"
    __table_args__: ClassVar = (
        CheckConstraint(
            "kind IN ('by_hand', 'by_program', 'lookalike', 'forgotten', 'left', 'not_imported', 'contradicted')",
            name="order_findings_kind",
        ),
        CheckConstraint("side IN ('buy', 'sell')", name="order_findings_side"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_findings_quantity"),
        CheckConstraint("executed >= 0 AND executed < 'Infinity'", name="order_findings_executed"),
        Index("order_findings_by_order", "account", "symbol", "order_id"),
        Index("order_findings_open", "account", postgresql_where="ended_at IS NULL"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    finding_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    symbol: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    executed: Decimal = Field(sa_type=Numeric)
    price: Decimal | None = Field(None, sa_type=Numeric)
    order_id: str = Field(sa_type=Text)
    client_order_id: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    first_seen_at: datetime = Field(sa_type=INSTANT)
    last_seen_at: datetime = Field(sa_type=INSTANT)
    ended_at: datetime | None = Field(None, sa_type=INSTANT)


class ReconciliationRow(SQLModel, table=True):
    """Since when an account's orders are reconciled (earlier fills are history), and when it was last done wholly."""

    __tablename__ = "reconciliations"

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    began_at: datetime = Field(sa_type=INSTANT)
    done_at: datetime = Field(sa_type=INSTANT)


class LedgerAdjustmentRow(SQLModel, table=True):
    """A coin that came or left without a fill, as the ledger has booked it: `lib.portfolio.adjustments.Adjustment`.

    `quantity` is base and `value_quote` what it was worth then, both negative when it left; `quantity_step` is the
    symbol's then. They never change, so that a rebuild gives the same positions for ever.
    """

    __tablename__ = "ledger_adjustments"
    __table_args__: ClassVar = (
        CheckConstraint("kind IN ('deposit', 'withdrawal', 'trade', 'other')", name="ledger_adjustments_kind"),
        CheckConstraint(
            "quantity <> 0 AND quantity > '-Infinity' AND quantity < 'Infinity'", name="ledger_adjustments_quantity"
        ),
        CheckConstraint("value_quote * quantity > 0", name="ledger_adjustments_value"),
        CheckConstraint("quantity_step >= 0 AND quantity_step < 'Infinity'", name="ledger_adjustments_step"),
        Index("ledger_adjustments_by_time", "account", "at"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    adjustment_id: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    value_quote: Decimal = Field(sa_type=Numeric)
    quantity_step: Decimal = Field(sa_type=Numeric)
    at: datetime = Field(sa_type=INSTANT)
    booked_at: datetime = Field(sa_type=INSTANT)
