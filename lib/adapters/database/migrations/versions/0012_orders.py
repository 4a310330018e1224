"""Tables of order intents, orders, attempts to send them, and their fills."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
UNFINISHED = "state IN ('new', 'attempted', 'unknown', 'open', 'partially_filled')"
OUTCOMES = "outcome IN ('pending', 'unknown', 'not_sent', 'refused', 'accepted', 'absent')"


def _key() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in ("account", "client_order_id")]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _of(table: str, name: str) -> sa.ForeignKeyConstraint:
    key = ("account", "client_order_id")
    return sa.ForeignKeyConstraint(key, [f"{table}.{column}" for column in key], name=name)


def _finite(table: str, name: str, least: str = "0") -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} > {least} AND {name} < 'Infinity'", name=f"{table}_{name}")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "order_intents",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("client_order_id", sa.Text, primary_key=True),
        *_texts("symbol", "side", "kind"),
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("quantity", "reference_price")],
        *[sa.Column(name, sa.Numeric) for name in ("limit_price", "stop_price")],
        *_texts("time_in_force", "why"),
        *[sa.Column(name, sa.Text) for name in ("plan", "approval")],
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="order_intents_side"),
        sa.CheckConstraint("kind IN ('market', 'limit', 'stop_loss_limit')", name="order_intents_kind"),
        sa.CheckConstraint("time_in_force IN ('gtc', 'ioc')", name="order_intents_time_in_force"),
        *[_finite("order_intents", name) for name in ("quantity", "reference_price", "limit_price", "stop_price")],
        sa.CheckConstraint("(kind = 'market') = (limit_price IS NULL)", name="order_intents_limit_of_kind"),
        sa.CheckConstraint("(kind = 'stop_loss_limit') = (stop_price IS NOT NULL)", name="order_intents_stop_of_kind"),
    )
    op.create_index("order_intents_by_time", "order_intents", ["account", "created_at"])
    op.create_index(
        "order_intents_by_plan", "order_intents", ["account", "plan"], postgresql_where=sa.text("plan IS NOT NULL")
    )
    op.create_table(
        "orders",
        *_key(),
        *_texts("state"),
        sa.Column("order_id", sa.Text),
        *_texts("reason", "refusal"),
        sa.Column("changed_at", INSTANT, nullable=False),
        _of("order_intents", "orders_intent"),
        sa.CheckConstraint(
            f"{UNFINISHED} OR state IN ('filled', 'cancelled', 'expired', 'rejected')", name="orders_state"
        ),
    )
    op.create_index("orders_unfinished", "orders", ["account"], postgresql_where=sa.text(UNFINISHED))
    op.create_table(
        "order_attempts",
        *_key(),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("attempted_at", INSTANT, nullable=False),
        *_texts("outcome", "detail"),
        _of("orders", "order_attempts_order"),
        sa.CheckConstraint("number > 0", name="order_attempts_number"),
        sa.CheckConstraint(OUTCOMES, name="order_attempts_outcome"),
    )
    op.create_table(
        "order_fills",
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("account", "symbol")],
        sa.Column("fill_id", sa.BigInteger, primary_key=True, autoincrement=False),
        *_texts("client_order_id", "order_id", "side"),
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("price", "quantity", "fee")],
        *_texts("fee_asset"),
        sa.Column("filled_at", INSTANT, nullable=False),
        _of("orders", "order_fills_order"),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="order_fills_side"),
        *[_finite("order_fills", name) for name in ("price", "quantity")],
        _finite("order_fills", "fee", "'-Infinity'"),
    )
    op.create_index("order_fills_by_order", "order_fills", ["account", "client_order_id"])


def downgrade() -> None:
    """Remove the tables."""
    for table in ("order_fills", "order_attempts", "orders", "order_intents"):
        op.drop_table(table)
