"""Tables of single orders that were proposed, and of exits that a crossed limit wants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
IS_OPEN = "state IN ('wanted', 'started')"


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _finite(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} > 0 AND {name} < 'Infinity'", name=f"order_tickets_{name}")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "position_exits",
        sa.Column("exit_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), nullable=False),
        *_texts("symbol", "kind", "policy"),
        sa.Column("wanted_at", INSTANT, nullable=False),
        *_texts("state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("run", sa.Text),
        *_texts("note"),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('stop_loss', 'take_profit')", name="position_exits_kind"),
        sa.CheckConstraint("policy IN ('approve', 'exit')", name="position_exits_policy"),
        sa.CheckConstraint(f"{IS_OPEN} OR state IN ('done', 'rejected', 'void')", name="position_exits_state"),
        sa.CheckConstraint("attempts >= 0", name="position_exits_attempts"),
        sa.CheckConstraint("state <> 'started' OR run IS NOT NULL", name="position_exits_started_by"),
    )
    op.create_index(
        "position_exits_one_open",
        "position_exits",
        ["account", "symbol"],
        unique=True,
        postgresql_where=sa.text(IS_OPEN),
    )
    op.create_table(
        "order_tickets",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("client_order_id", sa.Text, primary_key=True),
        *_texts("symbol", "side"),
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("quantity", "reference_price")],
        *_texts("why"),
        sa.Column("created_at", INSTANT, nullable=False),
        *_texts("code_version"),
        *[sa.Column(name, sa.Numeric) for name in ("stop_loss", "take_profit")],
        sa.Column("signal_timeframe", sa.Text),
        sa.Column("signal_opened_at", INSTANT),
        sa.Column("signal_strategy", sa.Text),
        sa.Column("exit_id", sa.BigInteger, sa.ForeignKey("position_exits.exit_id")),
        *[sa.Column(name, sa.Text) for name in ("decision", "decided_by")],
        sa.Column("decided_at", INSTANT),
        sa.Column("note", sa.Text),
        sa.Column("max_slippage_pct", sa.Numeric),
        sa.Column("settled_at", INSTANT),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="order_tickets_side"),
        *[_finite(name) for name in ("quantity", "reference_price", "stop_loss", "take_profit")],
        sa.CheckConstraint("stop_loss < take_profit", name="order_tickets_stop_below_target"),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name="order_tickets_decision"),
        sa.CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name="order_tickets_decided",
        ),
        sa.CheckConstraint("max_slippage_pct > 0 AND max_slippage_pct < 100", name="order_tickets_slippage"),
        sa.CheckConstraint(
            "num_nulls(signal_timeframe, signal_opened_at, signal_strategy) IN (0, 3)", name="order_tickets_signal"
        ),
    )
    op.create_index(
        "order_tickets_by_signal",
        "order_tickets",
        ["account", "symbol", "signal_opened_at"],
        postgresql_where=sa.text("signal_opened_at IS NOT NULL"),
    )
    op.create_index(
        "order_tickets_unsettled", "order_tickets", ["account"], postgresql_where=sa.text("settled_at IS NULL")
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("order_tickets")
    op.drop_table("position_exits")
