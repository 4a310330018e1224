"""The tables of strategies and signals: the migration makes what is declared."""

from __future__ import annotations

import pytest
from sqlalchemy import CheckConstraint, Engine, Table, inspect

from lib.adapters.database.tables.strategies import (
    SIGNAL_SIZES,
    SIGNALS,
    STRATEGIES,
    STRATEGY_CHANGES,
    STRATEGY_PARAMETERS,
)


@pytest.mark.parametrize(
    "table", [STRATEGIES, STRATEGY_PARAMETERS, STRATEGY_CHANGES, SIGNALS, SIGNAL_SIZES], ids=lambda table: table.name
)
def test_checks_and_keys_are_those_declared(engine: Engine, table: Table) -> None:
    made = inspect(engine)
    declared = {one.name for one in table.constraints if isinstance(one, CheckConstraint)}
    assert {check["name"] for check in made.get_check_constraints(table.name)} == declared
    assert len(made.get_foreign_keys(table.name)) == len(table.foreign_key_constraints)
    primary = [column.name for column in table.primary_key.columns]
    assert made.get_pk_constraint(table.name)["constrained_columns"] == primary
