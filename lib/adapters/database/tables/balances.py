"""Tables of balances: snapshots of an account's worth, money in and out, and differences to the ledger.

Every instant is UTC; every amount is NUMERIC without a limit. Amounts of value are in the account's quote asset.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import ARRAY, Boolean, CheckConstraint, DateTime, Index, Numeric, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class AssetPriceRow(SQLModel, table=True):
    """The last price of an asset in a quote asset; `priced_by` names the market or the two markets it comes from."""

    __tablename__ = "asset_prices"
    __table_args__: ClassVar = (CheckConstraint("price > 0 AND price < 'Infinity'", name="asset_prices_price"),)

    asset: str = Field(primary_key=True, sa_type=Text)
    quote_asset: str = Field(primary_key=True, sa_type=Text)
    price: Decimal = Field(sa_type=Numeric)
    priced_by: str = Field(sa_type=Text)
    price_at: datetime = Field(sa_type=INSTANT)


class BalanceSnapshotRow(SQLModel, table=True):
    """What an account was worth at a full minute; `lib.balances.snapshots.Snapshot` says what each amount is.

    `unpriced` are the assets and positions that had no price, so that they are in none of the values.
    """

    __tablename__ = "balance_history"
    __table_args__: ClassVar = (
        CheckConstraint("cash_free >= 0 AND cash_locked >= 0", name="balance_history_cash"),
        CheckConstraint("positions_value >= 0 AND other_value >= 0", name="balance_history_values"),
        CheckConstraint("equity >= 0 AND equity < 'Infinity'", name="balance_history_equity"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    at: datetime = Field(primary_key=True, sa_type=INSTANT)
    cash_free: Decimal = Field(sa_type=Numeric)
    cash_locked: Decimal = Field(sa_type=Numeric)
    positions_value: Decimal = Field(sa_type=Numeric)
    other_value: Decimal = Field(sa_type=Numeric)
    equity: Decimal = Field(sa_type=Numeric)
    unexplained_value: Decimal = Field(sa_type=Numeric)
    unrealized_pnl: Decimal = Field(sa_type=Numeric)
    realized_pnl: Decimal = Field(sa_type=Numeric)
    day_flows: Decimal = Field(sa_type=Numeric)
    day_pnl: Decimal | None = Field(None, sa_type=Numeric)
    unpriced: list[str] = Field(sa_type=ARRAY(Text))


class CashFlowRow(SQLModel, table=True):
    """One deposit, withdrawal, or other change of a holding that is no fill.

    `amount` is in `asset`, negative when it left. `value_quote` is what it was worth at `at` (null while no price is
    known) and `priced_by` says by which price. `is_booked`: the exchange's balance contains it. `counted_at`: the
    snapshot that contains it first; null until it is booked and has a value.
    """

    __tablename__ = "cash_flows"
    __table_args__: ClassVar = (
        CheckConstraint("kind IN ('deposit', 'withdrawal', 'trade', 'other')", name="cash_flows_kind"),
        CheckConstraint("source IN ('exchange', 'operator')", name="cash_flows_source"),
        CheckConstraint("amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'", name="cash_flows_amount"),
        CheckConstraint("counted_at IS NULL OR (is_booked AND value_quote IS NOT NULL)", name="cash_flows_counted"),
        Index("cash_flows_by_time", "account", "at"),
        Index("cash_flows_by_counting", "account", "counted_at"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    flow_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    asset: str = Field(sa_type=Text)
    amount: Decimal = Field(sa_type=Numeric)
    at: datetime = Field(sa_type=INSTANT)
    is_booked: bool = Field(sa_type=Boolean)
    value_quote: Decimal | None = Field(None, sa_type=Numeric)
    priced_by: str = Field(sa_type=Text)
    counted_at: datetime | None = Field(None, sa_type=INSTANT)
    note: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=INSTANT)


class CashFlowImportRow(SQLModel, table=True):
    """When an account's deposits and withdrawals were last read from the exchange."""

    __tablename__ = "cash_flow_imports"

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    asked_at: datetime = Field(sa_type=INSTANT)


class OpeningBalanceRow(SQLModel, table=True):
    """What an account held when it was first compared with its ledger: where expected holdings begin.

    `at` is the exchange's time, the same for all assets of an account; the quote asset is always there.
    """

    __tablename__ = "opening_balances"
    __table_args__: ClassVar = (
        CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="opening_balances_quantity"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    asset: str = Field(primary_key=True, sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    at: datetime = Field(sa_type=INSTANT)


class BreakRow(SQLModel, table=True):
    """A difference between what the exchange holds and what the ledger expects, in base units of `asset`.

    `suspected` until it was seen again after the settling time, then `open` and told; `resolved` when it is gone,
    `accepted` when an operator has classified it as a cash flow. `value_quote` is null where no price is known.
    """

    __tablename__ = "breaks"
    __table_args__: ClassVar = (
        CheckConstraint("state IN ('suspected', 'open', 'resolved', 'accepted')", name="breaks_state"),
        CheckConstraint("state IN ('suspected', 'accepted') OR opened_at IS NOT NULL", name="breaks_opened"),
        CheckConstraint("(state IN ('resolved', 'accepted')) = (closed_at IS NOT NULL)", name="breaks_closed"),
        CheckConstraint("difference = actual - expected", name="breaks_difference"),
        Index(
            "breaks_one_per_asset",
            "account",
            "asset",
            unique=True,
            postgresql_where="state IN ('suspected', 'open')",
        ),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    asset: str = Field(primary_key=True, sa_type=Text)
    first_seen_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    last_seen_at: datetime = Field(sa_type=INSTANT)
    opened_at: datetime | None = Field(None, sa_type=INSTANT)
    closed_at: datetime | None = Field(None, sa_type=INSTANT)
    state: str = Field(sa_type=Text)
    expected: Decimal = Field(sa_type=Numeric)
    actual: Decimal = Field(sa_type=Numeric)
    difference: Decimal = Field(sa_type=Numeric)
    value_quote: Decimal | None = Field(None, sa_type=Numeric)
    why: str = Field(sa_type=Text)
