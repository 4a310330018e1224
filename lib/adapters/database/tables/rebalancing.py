"""Tables of rebalance plans. Every instant is UTC; quantities are base, other amounts in the account's quote asset."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import (
    ARRAY,
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
STATES = "state IN ('proposed', 'approved', 'rejected', 'running', 'done', 'failed', 'expired')"
IS_OPEN = "state IN ('proposed', 'approved', 'running')"
LEG_STATES = "state IN ('planned', 'skipped', 'excluded', 'done', 'failed')"


class RebalancePlanRow(SQLModel, table=True):
    """One plan: see `lib.allocation.stores.StoredPlan`. What was planned never changes, but for `priced_at`.

    `plan_hash` is of its trades. An account has one open plan at most. `note` says why it is in its state.
    """

    __tablename__ = "rebalance_plans"
    __table_args__: ClassVar = (
        CheckConstraint(STATES, name="rebalance_plans_state"),
        CheckConstraint("plan_hash ~ '^[0-9a-f]{64}$'", name="rebalance_plans_hash"),
        CheckConstraint("equity > 0 AND equity < 'Infinity'", name="rebalance_plans_equity"),
        CheckConstraint("reserve_quote >= 0 AND reserve_quote < 'Infinity'", name="rebalance_plans_reserve"),
        Index("rebalance_plans_one_open", "account", unique=True, postgresql_where=IS_OPEN),
        Index("rebalance_plans_by_time", "account", "created_at"),
    )

    plan_id: int | None = Field(None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    account: str = Field(sa_type=Text, foreign_key="accounts.name")
    quote_asset: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    priced_at: datetime = Field(sa_type=INSTANT)
    state: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=INSTANT)
    note: str = Field(sa_type=Text)
    plan_hash: str = Field(sa_type=Text)
    equity: Decimal = Field(sa_type=Numeric)
    reserve_quote: Decimal = Field(sa_type=Numeric)
    code_version: str = Field(sa_type=Text)
    reasons: list[str] = Field(sa_type=ARRAY(Text))


class RebalanceLegRow(SQLModel, table=True):
    """One leg of a plan, also a skipped one (`skipped`: the code, `reason`: for people).

    `wanted_quote` is what the target asked for, `held` the base that the account had then. `reference_price` is quote
    per base, null only where nothing priced it.
    """

    __tablename__ = "rebalance_legs"
    __table_args__: ClassVar = (
        CheckConstraint(LEG_STATES, name="rebalance_legs_state"),
        CheckConstraint("side IN ('buy', 'sell')", name="rebalance_legs_side"),
        CheckConstraint("number >= 1", name="rebalance_legs_number"),
        CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="rebalance_legs_quantity"),
        CheckConstraint("reference_price > 0 AND reference_price < 'Infinity'", name="rebalance_legs_price"),
        CheckConstraint("(reference_price IS NULL) = (priced_at IS NULL)", name="rebalance_legs_price_has_its_time"),
        CheckConstraint("(skipped IS NOT NULL) = (state = 'skipped')", name="rebalance_legs_skipped"),
        CheckConstraint(
            "skipped IS NOT NULL OR (quantity > 0 AND reference_price IS NOT NULL)", name="rebalance_legs_trade"
        ),
    )

    plan_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="rebalance_plans.plan_id")
    number: int = Field(primary_key=True, sa_type=Integer)
    symbol: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    wanted_quote: Decimal = Field(sa_type=Numeric)
    quantity: Decimal = Field(sa_type=Numeric)
    reference_price: Decimal | None = Field(None, sa_type=Numeric)
    priced_at: datetime | None = Field(None, sa_type=INSTANT)
    notional: Decimal = Field(sa_type=Numeric)
    fee_quote: Decimal = Field(sa_type=Numeric)
    held: Decimal | None = Field(None, sa_type=Numeric)
    state: str = Field(sa_type=Text)
    skipped: str | None = Field(None, sa_type=Text)
    reason: str = Field(sa_type=Text)


class ApprovalRow(SQLModel, table=True):
    """The decision on a plan, once and for ever. `max_slippage_pct` is percent; null: the settings' limit."""

    __tablename__ = "approvals"
    __table_args__: ClassVar = (
        CheckConstraint("decision IN ('approved', 'rejected')", name="approvals_decision"),
        CheckConstraint("who <> ''", name="approvals_who"),
        CheckConstraint("max_slippage_pct >= 0 AND max_slippage_pct < 100", name="approvals_slippage"),
    )

    plan_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="rebalance_plans.plan_id")
    decision: str = Field(sa_type=Text)
    who: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=INSTANT)
    note: str = Field(sa_type=Text)
    excluded: list[str] = Field(sa_type=ARRAY(Text))
    max_slippage_pct: Decimal | None = Field(None, sa_type=Numeric)


class RebalanceRunRow(SQLModel, table=True):
    """A flow run that works on a plan: started anew, it goes on with that one.

    `answer_by` is set when it asked a person; after that, no answer is a rejection. `traded_at` is when it began to
    trade: of two runs of a plan, the other one did not carry it out.
    """

    __tablename__ = "rebalance_runs"
    __table_args__: ClassVar = (Index("rebalance_runs_by_plan", "plan_id"),)

    run: str = Field(primary_key=True, sa_type=Text)
    plan_id: int = Field(sa_type=BigInteger, foreign_key="rebalance_plans.plan_id")
    began_at: datetime = Field(sa_type=INSTANT)
    answer_by: datetime | None = Field(None, sa_type=INSTANT)
    traded_at: datetime | None = Field(None, sa_type=INSTANT)


PLANS: Table = SQLModel.metadata.tables["rebalance_plans"]
LEGS: Table = SQLModel.metadata.tables["rebalance_legs"]
APPROVALS: Table = SQLModel.metadata.tables["approvals"]
RUNS: Table = SQLModel.metadata.tables["rebalance_runs"]
