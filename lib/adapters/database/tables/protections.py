"""Table of protective orders. Quantity is base, prices are quote per base; instants are UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, Table, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class OrderProtectionRow(SQLModel, table=True):
    """What is to rest on the exchange for a position: see `lib.execution.protection`. Its orders name it as their plan.

    `opened_by` is the position's opening fill, `note` why it protects less than was wanted, `refusal` why nothing was
    sent. It is settled once all of its orders have ended, their fills are in the ledger, and people know.
    """

    __tablename__ = "order_protections"
    __table_args__: ClassVar = (
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_protections_quantity"),
        CheckConstraint("stop_loss > 0 AND stop_loss < 'Infinity'", name="order_protections_stop_loss"),
        CheckConstraint("take_profit > stop_loss AND take_profit < 'Infinity'", name="order_protections_take_profit"),
        CheckConstraint("released_at IS NOT NULL OR release_why = ''", name="order_protections_released"),
        Index("order_protections_unsettled", "account", postgresql_where="settled_at IS NULL"),
        Index("order_protections_by_position", "account", "symbol", "opened_by"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    protection_id: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(sa_type=Text)
    opened_by: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    stop_loss: Decimal = Field(sa_type=Numeric)
    take_profit: Decimal | None = Field(None, sa_type=Numeric)
    note: str = Field(sa_type=Text)
    refusal: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    looked_at: datetime = Field(sa_type=INSTANT)
    released_at: datetime | None = Field(None, sa_type=INSTANT)
    release_why: str = Field(sa_type=Text)
    settled_at: datetime | None = Field(None, sa_type=INSTANT)


PROTECTIONS: Table = SQLModel.metadata.tables["order_protections"]
