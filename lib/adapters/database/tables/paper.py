"""Tables of paper accounts: what an exchange would keep of them. Amounts are NUMERIC, instants UTC.

What is held of an asset is the sum of its transfers, fills and fees; it is stored nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Numeric, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class PaperTransferRow(SQLModel, table=True):
    """Money that was brought into a paper account (above zero) or taken out."""

    __tablename__ = "paper_transfers"
    __table_args__: ClassVar = (
        CheckConstraint("amount > '-Infinity' AND amount < 'Infinity'", name="paper_transfers_amount"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    transfer_id: str = Field(primary_key=True, sa_type=Text)
    asset: str = Field(sa_type=Text)
    amount: Decimal = Field(sa_type=Numeric)
    transferred_at: datetime = Field(sa_type=INSTANT)


class PaperOrderRow(SQLModel, table=True):
    """A market order; `quantity` is base as ordered, what it got is in `paper_fills`."""

    __tablename__ = "paper_orders"
    __table_args__: ClassVar = (
        CheckConstraint("side IN ('buy', 'sell')", name="paper_orders_side"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="paper_orders_quantity"),
        UniqueConstraint("account", "client_order_id", name="paper_orders_client_order_id"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    order_id: int = Field(primary_key=True, sa_type=BigInteger)
    client_order_id: str = Field(sa_type=Text)
    symbol: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    ordered_at: datetime = Field(sa_type=INSTANT)


class PaperFillRow(SQLModel, table=True):
    """One level that an order took from the book; columns as in `fills`."""

    __tablename__ = "paper_fills"
    __table_args__: ClassVar = (
        CheckConstraint("price > 0 AND price < 'Infinity'", name="paper_fills_price"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="paper_fills_quantity"),
        CheckConstraint("fee >= 0 AND fee < 'Infinity'", name="paper_fills_fee"),
        ForeignKeyConstraint(
            ["account", "order_id"], ["paper_orders.account", "paper_orders.order_id"], name="paper_fills_order"
        ),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    fill_id: int = Field(primary_key=True, sa_type=BigInteger)
    order_id: int = Field(sa_type=BigInteger)
    side: str = Field(sa_type=Text)
    price: Decimal = Field(sa_type=Numeric)
    quantity: Decimal = Field(sa_type=Numeric)
    fee: Decimal = Field(sa_type=Numeric)
    fee_asset: str = Field(sa_type=Text)
    filled_at: datetime = Field(sa_type=INSTANT)
