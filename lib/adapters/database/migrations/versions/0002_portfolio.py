"""Tables of the portfolio: accounts, what was imported of them, fills, positions and what people were told."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _of_account(*names: str) -> list[sa.Column[str]]:
    return [sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True), *_key(*names)]


def _needed(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _create_accounts()
    _create_fills()
    _create_positions()
    _create_alarms()


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        *_key("name"),
        *_needed(sa.Text(), "kind", "exchange", "quote_asset"),
        *_needed(INSTANT, "created_at"),
        sa.CheckConstraint("kind IN ('live', 'paper')", name="accounts_kind"),
    )
    op.create_table(
        "account_balances",
        *_of_account("asset"),
        *_needed(sa.Numeric(), "free", "locked"),
        *_needed(INSTANT, "seen_at", "changed_at"),
        sa.CheckConstraint("free >= 0 AND locked >= 0 AND free + locked < 'Infinity'", name="account_balances_amounts"),
    )
    op.create_table("fill_imports", *_of_account("symbol"), sa.Column("asked_at", INSTANT))


def _create_fills() -> None:
    op.create_table(
        "fills",
        *_of_account("symbol"),
        sa.Column("fill_id", sa.BigInteger, primary_key=True),
        *_needed(sa.Text(), "order_id", "side"),
        *_needed(sa.Numeric(), "price", "quantity", "fee"),
        *_needed(sa.Text(), "fee_asset"),
        sa.Column("fee_quote", sa.Numeric),
        *_needed(sa.Text(), "fee_priced_by"),
        *_needed(sa.Numeric(), "quantity_step"),
        *_needed(INSTANT, "filled_at", "imported_at"),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="fills_side"),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="fills_price"),
        sa.CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="fills_quantity"),
        sa.CheckConstraint("fee > '-Infinity' AND fee < 'Infinity'", name="fills_fee"),
        sa.CheckConstraint("fee_quote > '-Infinity' AND fee_quote < 'Infinity'", name="fills_fee_quote"),
        sa.CheckConstraint("quantity_step >= 0 AND quantity_step < 'Infinity'", name="fills_quantity_step"),
    )
    op.create_index("fills_by_time", "fills", ["account", "filled_at"])
    op.create_index("fills_without_fee_value", "fills", ["account"], postgresql_where=sa.text("fee_quote IS NULL"))
    op.create_table(
        "unmatched_disposals",
        *_of_account("symbol", "fill_key"),
        *_needed(sa.Numeric(), "quantity", "proceeds_quote"),
        *_needed(INSTANT, "disposed_at"),
        sa.CheckConstraint("quantity > 0", name="unmatched_disposals_quantity"),
    )


def _create_positions() -> None:
    op.create_table(
        "positions",
        *_of_account("symbol", "opened_by"),
        *_needed(INSTANT, "opened_at"),
        sa.Column("closed_at", INSTANT),
        *_needed(
            sa.Numeric(), "quantity", "cost_quote", "average_cost", "realized_pnl_quote", "fees_quote", "quantity_step"
        ),
        sa.Column("price", sa.Numeric),
        sa.Column("price_at", INSTANT),
        *[sa.Column(name, sa.Numeric) for name in ("unrealized_pnl_quote", "unrealized_pnl_pct")],
        *[sa.Column(name, sa.Numeric) for name in ("stop_loss", "take_profit")],
        sa.CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="positions_quantity"),
        sa.CheckConstraint("closed_at IS NOT NULL OR quantity > 0", name="positions_open_ones_hold_something"),
        sa.CheckConstraint("closed_at >= opened_at", name="positions_close_after_they_open"),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="positions_price"),
        sa.CheckConstraint("(price IS NULL) = (price_at IS NULL)", name="positions_price_has_its_time"),
        sa.CheckConstraint("stop_loss > 0 AND stop_loss < 'Infinity'", name="positions_stop_loss"),
        sa.CheckConstraint("take_profit > 0 AND take_profit < 'Infinity'", name="positions_take_profit"),
        sa.CheckConstraint("stop_loss < take_profit", name="positions_stop_below_target"),
    )
    op.create_index(
        "positions_one_open_per_symbol",
        "positions",
        ["account", "symbol"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("positions_by_closing", "positions", ["account", "closed_at"])


def _create_alarms() -> None:
    op.create_table(
        "position_alarms",
        *_key("account", "symbol", "opened_by", "kind"),
        *[sa.Column(name, INSTANT) for name in ("raised_at", "alerted_at")],
        *_needed(sa.Integer(), "alerts"),
        sa.CheckConstraint("kind IN ('stop_loss', 'take_profit', 'stale_price')", name="position_alarms_kind"),
        sa.CheckConstraint("alerts >= 0", name="position_alarms_alerts"),
        sa.ForeignKeyConstraint(
            ["account", "symbol", "opened_by"],
            ["positions.account", "positions.symbol", "positions.opened_by"],
            name="position_alarms_position",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in (
        "position_alarms",
        "positions",
        "unmatched_disposals",
        "fills",
        "fill_imports",
        "account_balances",
        "accounts",
    ):
        op.drop_table(table)
