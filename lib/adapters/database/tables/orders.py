"""Tables of orders. Prices are quote per base, quantities base; amounts are NUMERIC, instants UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, Integer, Numeric, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)
UNFINISHED = "state IN ('new', 'attempted', 'unknown', 'open', 'partially_filled')"


class OrderIntentRow(SQLModel, table=True):
    """An order that was wanted; written once, before anything is sent, and never changed.

    `code_version` is of the code that wrote it; empty for orders of old.
    """

    __tablename__ = "order_intents"
    __table_args__: ClassVar = (
        CheckConstraint("side IN ('buy', 'sell')", name="order_intents_side"),
        CheckConstraint("kind IN ('market', 'limit', 'stop_loss_limit', 'limit_maker')", name="order_intents_kind"),
        CheckConstraint("time_in_force IN ('gtc', 'ioc')", name="order_intents_time_in_force"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_intents_quantity"),
        CheckConstraint("reference_price > 0 AND reference_price < 'Infinity'", name="order_intents_reference_price"),
        CheckConstraint("limit_price > 0 AND limit_price < 'Infinity'", name="order_intents_limit_price"),
        CheckConstraint("stop_price > 0 AND stop_price < 'Infinity'", name="order_intents_stop_price"),
        CheckConstraint("(kind = 'market') = (limit_price IS NULL)", name="order_intents_limit_of_kind"),
        CheckConstraint("(kind = 'stop_loss_limit') = (stop_price IS NOT NULL)", name="order_intents_stop_of_kind"),
        Index("order_intents_by_time", "account", "created_at"),
        Index("order_intents_by_plan", "account", "plan", postgresql_where="plan IS NOT NULL"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    client_order_id: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    reference_price: Decimal = Field(sa_type=Numeric)
    limit_price: Decimal | None = Field(None, sa_type=Numeric)
    stop_price: Decimal | None = Field(None, sa_type=Numeric)
    time_in_force: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    plan: str | None = Field(None, sa_type=Text)
    approval: str | None = Field(None, sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    code_version: str = Field("", sa_type=Text, sa_column_kwargs={"server_default": ""})


class OrderRow(SQLModel, table=True):
    """What has become of an intent. `order_id` is the exchange's; `refusal` the code of our own check."""

    __tablename__ = "orders"
    __table_args__: ClassVar = (
        ForeignKeyConstraint(
            ["account", "client_order_id"],
            ["order_intents.account", "order_intents.client_order_id"],
            name="orders_intent",
        ),
        CheckConstraint(
            f"{UNFINISHED} OR state IN ('filled', 'cancelled', 'expired', 'rejected')", name="orders_state"
        ),
        Index("orders_unfinished", "account", postgresql_where=UNFINISHED),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    client_order_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    order_id: str | None = Field(None, sa_type=Text)
    reason: str = Field(sa_type=Text)
    refusal: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=INSTANT)


class OrderAttemptRow(SQLModel, table=True):
    """One attempt to send an order; written before it is sent."""

    __tablename__ = "order_attempts"
    __table_args__: ClassVar = (
        ForeignKeyConstraint(
            ["account", "client_order_id"], ["orders.account", "orders.client_order_id"], name="order_attempts_order"
        ),
        CheckConstraint("number > 0", name="order_attempts_number"),
        CheckConstraint(
            "outcome IN ('pending', 'unknown', 'not_sent', 'refused', 'accepted', 'absent')",
            name="order_attempts_outcome",
        ),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    client_order_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=Integer)
    attempted_at: datetime = Field(sa_type=INSTANT)
    outcome: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)


class OrderFillRow(SQLModel, table=True):
    """One execution of an order of ours, as execution learned it; the ledger imports `fills` by itself.

    Both come from the exchange on different ways, so that reconciliation can compare them.
    """

    __tablename__ = "order_fills"
    __table_args__: ClassVar = (
        ForeignKeyConstraint(
            ["account", "client_order_id"], ["orders.account", "orders.client_order_id"], name="order_fills_order"
        ),
        CheckConstraint("side IN ('buy', 'sell')", name="order_fills_side"),
        CheckConstraint("price > 0 AND price < 'Infinity'", name="order_fills_price"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_fills_quantity"),
        CheckConstraint("fee > '-Infinity' AND fee < 'Infinity'", name="order_fills_fee"),
        Index("order_fills_by_order", "account", "client_order_id"),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    fill_id: int = Field(primary_key=True, sa_type=BigInteger)
    client_order_id: str = Field(sa_type=Text)
    order_id: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    price: Decimal = Field(sa_type=Numeric)
    quantity: Decimal = Field(sa_type=Numeric)
    fee: Decimal = Field(sa_type=Numeric)
    fee_asset: str = Field(sa_type=Text)
    filled_at: datetime = Field(sa_type=INSTANT)
