"""Tables of paper accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "paper_transfers",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("transfer_id", sa.Text, primary_key=True),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric, nullable=False),
        sa.Column("transferred_at", INSTANT, nullable=False),
        sa.CheckConstraint("amount > '-Infinity' AND amount < 'Infinity'", name="paper_transfers_amount"),
    )
    op.create_table(
        "paper_orders",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("client_order_id", "symbol", "side")],
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("ordered_at", INSTANT, nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="paper_orders_side"),
        sa.CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="paper_orders_quantity"),
        sa.UniqueConstraint("account", "client_order_id", name="paper_orders_client_order_id"),
    )
    op.create_table(
        "paper_fills",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("fill_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("price", "quantity", "fee")],
        sa.Column("fee_asset", sa.Text, nullable=False),
        sa.Column("filled_at", INSTANT, nullable=False),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="paper_fills_price"),
        sa.CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="paper_fills_quantity"),
        sa.CheckConstraint("fee >= 0 AND fee < 'Infinity'", name="paper_fills_fee"),
        sa.ForeignKeyConstraint(
            ["account", "order_id"], ["paper_orders.account", "paper_orders.order_id"], name="paper_fills_order"
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("paper_fills", "paper_orders", "paper_transfers"):
        op.drop_table(table)
