"""Tables of the portfolio. Every instant is UTC; every amount is NUMERIC without a limit, so no digit is lost.

Natural keys, so that importing twice is importing once. PostgreSQL sorts NaN above infinity: ``< 'Infinity'`` refuses
both. What the ledger works out from fills (`positions`, `unmatched_disposals`) can be rebuilt from `fills` at any time.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, Integer, Numeric, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class AccountRow(SQLModel, table=True):
    """One account. Kind, exchange and quote asset never change: its ledger would mix two of them."""

    __tablename__ = "accounts"
    __table_args__: ClassVar = (CheckConstraint("kind IN ('live', 'paper')", name="accounts_kind"),)

    name: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    exchange: str = Field(sa_type=Text)
    quote_asset: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)


class AccountBalanceRow(SQLModel, table=True):
    """What the account held of an asset when its fills were last imported; `changed_at`: when the total last moved.

    Written only together with the fills that explain it, or with the failure to import them (`fill_imports`), so a
    difference to the exchange means fills to fetch.
    """

    __tablename__ = "account_balances"
    __table_args__: ClassVar = (
        CheckConstraint("free >= 0 AND locked >= 0 AND free + locked < 'Infinity'", name="account_balances_amounts"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    asset: str = Field(primary_key=True, sa_type=Text)
    free: Decimal = Field(sa_type=Numeric)
    locked: Decimal = Field(sa_type=Numeric)
    seen_at: datetime = Field(sa_type=INSTANT)
    changed_at: datetime = Field(sa_type=INSTANT)


class FillImportRow(SQLModel, table=True):
    """When a symbol's fills were last imported; null when that failed, so that the next import asks again.

    `failing_since`: the first failure since they were last imported.
    """

    __tablename__ = "fill_imports"

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    symbol: str = Field(primary_key=True, sa_type=Text)
    asked_at: datetime | None = Field(None, sa_type=INSTANT)
    failing_since: datetime | None = Field(None, sa_type=INSTANT)


class FillRow(SQLModel, table=True):
    """One execution, as the exchange told it. Price is quote per base, quantity base, `fee` in `fee_asset`.

    `fee_quote` is the fee's value when it was filled (null while no price is known), `fee_priced_by` says by which
    price; `quantity_step` is the symbol's step at import. They are kept so that a rebuild always gives the same.
    """

    __tablename__ = "fills"
    __table_args__: ClassVar = (
        CheckConstraint("side IN ('buy', 'sell')", name="fills_side"),
        CheckConstraint("price > 0 AND price < 'Infinity'", name="fills_price"),
        CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="fills_quantity"),
        CheckConstraint("fee > '-Infinity' AND fee < 'Infinity'", name="fills_fee"),
        CheckConstraint("fee_quote > '-Infinity' AND fee_quote < 'Infinity'", name="fills_fee_quote"),
        CheckConstraint("quantity_step >= 0 AND quantity_step < 'Infinity'", name="fills_quantity_step"),
        Index("fills_by_time", "account", "filled_at"),
        Index("fills_without_fee_value", "account", postgresql_where="fee_quote IS NULL"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    symbol: str = Field(primary_key=True, sa_type=Text)
    fill_id: int = Field(primary_key=True, sa_type=BigInteger)
    order_id: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    price: Decimal = Field(sa_type=Numeric)
    quantity: Decimal = Field(sa_type=Numeric)
    fee: Decimal = Field(sa_type=Numeric)
    fee_asset: str = Field(sa_type=Text)
    fee_quote: Decimal | None = Field(None, sa_type=Numeric)
    fee_priced_by: str = Field(sa_type=Text)
    quantity_step: Decimal = Field(sa_type=Numeric)
    filled_at: datetime = Field(sa_type=INSTANT)
    imported_at: datetime = Field(sa_type=INSTANT)


class UnmatchedDisposalRow(SQLModel, table=True):
    """Something that left by a sale or a fee though no known fill had bought it (it was deposited)."""

    __tablename__ = "unmatched_disposals"
    __table_args__: ClassVar = (CheckConstraint("quantity > 0", name="unmatched_disposals_quantity"),)

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    symbol: str = Field(primary_key=True, sa_type=Text)
    fill_key: str = Field(primary_key=True, sa_type=Text)
    quantity: Decimal = Field(sa_type=Numeric)
    proceeds_quote: Decimal = Field(sa_type=Numeric)
    disposed_at: datetime = Field(sa_type=INSTANT)


class PositionRow(SQLModel, table=True):
    """One holding of a symbol from its opening fill (`opened_by`) until it is sold out.

    Quantity is base, every other amount quote; a loss is negative; `unrealized_pnl_pct` is percent of the cost. On a
    closed position, quantity and cost are dust that the next one takes over; `quantity_step` is the symbol's at the
    last fill. `price_at` is when the exchange said `price`.
    """

    __tablename__ = "positions"
    __table_args__: ClassVar = (
        CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="positions_quantity"),
        CheckConstraint("closed_at IS NOT NULL OR quantity > 0", name="positions_open_ones_hold_something"),
        CheckConstraint("closed_at >= opened_at", name="positions_close_after_they_open"),
        CheckConstraint("price > 0 AND price < 'Infinity'", name="positions_price"),
        CheckConstraint("(price IS NULL) = (price_at IS NULL)", name="positions_price_has_its_time"),
        CheckConstraint("stop_loss > 0 AND stop_loss < 'Infinity'", name="positions_stop_loss"),
        CheckConstraint("take_profit > 0 AND take_profit < 'Infinity'", name="positions_take_profit"),
        CheckConstraint("stop_loss < take_profit", name="positions_stop_below_target"),
        Index("positions_one_open_per_symbol", "account", "symbol", unique=True, postgresql_where="closed_at IS NULL"),
        Index("positions_by_closing", "account", "closed_at"),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    symbol: str = Field(primary_key=True, sa_type=Text)
    opened_by: str = Field(primary_key=True, sa_type=Text)
    opened_at: datetime = Field(sa_type=INSTANT)
    closed_at: datetime | None = Field(None, sa_type=INSTANT)
    quantity: Decimal = Field(sa_type=Numeric)
    cost_quote: Decimal = Field(sa_type=Numeric)
    average_cost: Decimal = Field(sa_type=Numeric)
    realized_pnl_quote: Decimal = Field(sa_type=Numeric)
    fees_quote: Decimal = Field(sa_type=Numeric)
    quantity_step: Decimal = Field(sa_type=Numeric)
    price: Decimal | None = Field(None, sa_type=Numeric)
    price_at: datetime | None = Field(None, sa_type=INSTANT)
    unrealized_pnl_quote: Decimal | None = Field(None, sa_type=Numeric)
    unrealized_pnl_pct: Decimal | None = Field(None, sa_type=Numeric)
    stop_loss: Decimal | None = Field(None, sa_type=Numeric)
    take_profit: Decimal | None = Field(None, sa_type=Numeric)


class PositionAlarmRow(SQLModel, table=True):
    """What people were told about a position: since when it holds, when they were last told, how often.

    `raised_at` is null when the alarm is armed again.
    """

    __tablename__ = "position_alarms"
    __table_args__: ClassVar = (
        CheckConstraint("kind IN ('stop_loss', 'take_profit', 'stale_price')", name="position_alarms_kind"),
        CheckConstraint("alerts >= 0", name="position_alarms_alerts"),
        ForeignKeyConstraint(
            ["account", "symbol", "opened_by"],
            ["positions.account", "positions.symbol", "positions.opened_by"],
            name="position_alarms_position",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    opened_by: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    raised_at: datetime | None = Field(None, sa_type=INSTANT)
    alerted_at: datetime | None = Field(None, sa_type=INSTANT)
    alerts: int = Field(sa_type=Integer)
