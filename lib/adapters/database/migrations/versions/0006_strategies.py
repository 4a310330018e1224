"""Tables of strategies, their parameters and their signals."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
STATES = "state IN ('active', 'pinned', 'disabled')"
PARAMETERS_KEY = ["strategy_parameters.strategy", "strategy_parameters.version"]


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _signal_key() -> list[sa.Column[Any]]:
    return [
        sa.Column("timeframe", sa.Text, primary_key=True),
        sa.Column("opened_at", INSTANT, primary_key=True),
        sa.Column("strategy", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
    ]


def upgrade() -> None:
    """Create the tables."""
    _create_strategies()
    _create_strategy_parameters()
    _create_strategy_changes()
    _create_signals()
    _create_signal_sizes()


def _create_strategies() -> None:
    op.create_table(
        "strategies",
        sa.Column("name", sa.Text, primary_key=True),
        *_text("state", "why"),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.CheckConstraint(STATES, name="strategies_state"),
        sa.CheckConstraint("revision >= 1", name="strategies_revision"),
    )


def _create_strategy_parameters() -> None:
    op.create_table(
        "strategy_parameters",
        sa.Column("strategy", sa.Text, sa.ForeignKey("strategies.name"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        *_text("state"),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("metrics", JSONB),
        *_text("why"),
        sa.Column("window_starts_at", INSTANT),
        sa.Column("window_ends_at", INSTANT),
        *_text("code_version"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('candidate', 'active', 'retired')", name="strategy_parameters_state"),
        sa.CheckConstraint("version >= 1", name="strategy_parameters_version"),
        sa.CheckConstraint(
            "(window_starts_at IS NULL) = (window_ends_at IS NULL) AND window_starts_at < window_ends_at",
            name="strategy_parameters_window",
        ),
    )
    op.create_index(
        "strategy_parameters_one_active",
        "strategy_parameters",
        ["strategy"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )


def _create_strategy_changes() -> None:
    op.create_table(
        "strategy_changes",
        sa.Column("strategy", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        *_text("state"),
        sa.Column("version", sa.Integer, nullable=False),
        *_text("why"),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(STATES, name="strategy_changes_state"),
        sa.ForeignKeyConstraint(["strategy", "version"], PARAMETERS_KEY, name="strategy_changes_parameters"),
    )


def _create_signals() -> None:
    op.create_table(
        "signals",
        *_signal_key(),
        *_text("action"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("price", sa.Numeric, nullable=False),
        sa.Column("stop_loss", sa.Numeric),
        sa.Column("take_profit", sa.Numeric),
        sa.Column("confidence", sa.Double),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("alerted_at", INSTANT),
        sa.CheckConstraint("action IN ('buy', 'hold')", name="signals_action"),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="signals_price"),
        sa.CheckConstraint(
            "action = 'hold' OR (stop_loss > 0 AND stop_loss < price AND take_profit > price "
            "AND take_profit < 'Infinity' AND confidence >= 0 AND confidence <= 1) IS TRUE",
            name="signals_levels",
        ),
        sa.ForeignKeyConstraint(["strategy", "version"], PARAMETERS_KEY, name="signals_parameters"),
    )


def _create_signal_sizes() -> None:
    op.create_table(
        "signal_sizes",
        *_signal_key(),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("quantity", sa.Numeric, nullable=False),
        *_text("verdict", "detail"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="signal_sizes_quantity"),
        sa.ForeignKeyConstraint(
            ["timeframe", "opened_at", "strategy", "symbol"],
            ["signals.timeframe", "signals.opened_at", "signals.strategy", "signals.symbol"],
            name="signal_sizes_signal",
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("signal_sizes", "signals", "strategy_changes", "strategy_parameters", "strategies"):
        op.drop_table(table)
