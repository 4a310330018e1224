"""Tables of single orders that were proposed, and of exits that a crossed limit wants. Instants are UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
)
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)
IS_OPEN = "state IN ('wanted', 'started')"


class PositionExitRow(SQLModel, table=True):
    """A crossing that an account's policy acts on: see `lib.portfolio.exits`.

    `opened_by` is the position's opening fill; empty where that is not known. `run` is the newest closing run;
    `after_run` is one that has to be over before the next begins.
    """

    __tablename__ = "position_exits"
    __table_args__: ClassVar = (
        CheckConstraint("kind IN ('stop_loss', 'take_profit')", name="position_exits_kind"),
        CheckConstraint("policy IN ('approve', 'exit')", name="position_exits_policy"),
        CheckConstraint(f"{IS_OPEN} OR state IN ('done', 'rejected', 'void')", name="position_exits_state"),
        CheckConstraint("attempts >= 0", name="position_exits_attempts"),
        CheckConstraint("state <> 'started' OR run IS NOT NULL", name="position_exits_started_by"),
        Index("position_exits_one_open", "account", "symbol", unique=True, postgresql_where=IS_OPEN),
    )

    exit_id: int | None = Field(None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    account: str = Field(sa_type=Text, foreign_key="accounts.name")
    symbol: str = Field(sa_type=Text)
    opened_by: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    policy: str = Field(sa_type=Text)
    wanted_at: datetime = Field(sa_type=INSTANT)
    state: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=Integer)
    run: str | None = Field(None, sa_type=Text)
    note: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=INSTANT)
    after_run: str | None = Field(None, sa_type=Text)


class OrderTicketRow(SQLModel, table=True):
    """An order that was proposed, its approval, and whether everything about it is done (`settled_at`).

    Quantity is base, prices are quote per base, `max_slippage_pct` is percent. What was proposed never changes.
    """

    __tablename__ = "order_tickets"
    __table_args__: ClassVar = (
        CheckConstraint("side IN ('buy', 'sell')", name="order_tickets_side"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_tickets_quantity"),
        CheckConstraint("reference_price > 0 AND reference_price < 'Infinity'", name="order_tickets_reference_price"),
        CheckConstraint("stop_loss > 0 AND stop_loss < 'Infinity'", name="order_tickets_stop_loss"),
        CheckConstraint("take_profit > 0 AND take_profit < 'Infinity'", name="order_tickets_take_profit"),
        CheckConstraint("stop_loss < take_profit", name="order_tickets_stop_below_target"),
        CheckConstraint("decision IN ('approved', 'rejected')", name="order_tickets_decision"),
        CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name="order_tickets_decided",
        ),
        CheckConstraint("max_slippage_pct > 0 AND max_slippage_pct < 100", name="order_tickets_slippage"),
        CheckConstraint(
            "num_nulls(signal_timeframe, signal_opened_at, signal_strategy) IN (0, 3)", name="order_tickets_signal"
        ),
        Index(
            "order_tickets_by_signal",
            "account",
            "symbol",
            "signal_opened_at",
            postgresql_where="signal_opened_at IS NOT NULL",
        ),
        Index("order_tickets_unsettled", "account", postgresql_where="settled_at IS NULL"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    client_order_id: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    reference_price: Decimal = Field(sa_type=Numeric)
    why: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    code_version: str = Field(sa_type=Text)
    stop_loss: Decimal | None = Field(None, sa_type=Numeric)
    take_profit: Decimal | None = Field(None, sa_type=Numeric)
    signal_timeframe: str | None = Field(None, sa_type=Text)
    signal_opened_at: datetime | None = Field(None, sa_type=INSTANT)
    signal_strategy: str | None = Field(None, sa_type=Text)
    exit_id: int | None = Field(None, sa_type=BigInteger, foreign_key="position_exits.exit_id")
    opened_by: str | None = Field(None, sa_type=Text)
    decision: str | None = Field(None, sa_type=Text)
    decided_by: str | None = Field(None, sa_type=Text)
    decided_at: datetime | None = Field(None, sa_type=INSTANT)
    note: str | None = Field(None, sa_type=Text)
    max_slippage_pct: Decimal | None = Field(None, sa_type=Numeric)
    settled_at: datetime | None = Field(None, sa_type=INSTANT)


EXITS: Table = SQLModel.metadata.tables["position_exits"]
TICKETS: Table = SQLModel.metadata.tables["order_tickets"]
