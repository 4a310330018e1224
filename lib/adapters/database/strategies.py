"""Strategies and their parameters in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.tables.strategies import STRATEGIES, STRATEGY_CHANGES, STRATEGY_PARAMETERS
from lib.errors import OperatorError
from lib.notifications.messages import Message
from lib.strategy.stores import (
    Candidate,
    Registration,
    StoredCandidate,
    StoredStrategy,
    StrategyChange,
    StrategyState,
)

FIRST = 1  # version and revision of what was just registered
REGISTERED = "registered with its default parameters"
IS_ACTIVE = STRATEGY_PARAMETERS.c.state == "active"


class DatabaseStrategies:
    """The `StrategyStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, strategies: Collection[Registration], now: datetime) -> Sequence[str]:
        """See `StrategyStore`."""
        with self._transaction("registering strategies") as connection:
            known = set(connection.scalars(select(STRATEGIES.c.name)))
            return [one.name for one in strategies if one.name not in known and _register(connection, one, now)]

    def load_strategies(self) -> Sequence[StoredStrategy]:
        """See `StrategyStore`."""
        query = (
            select(STRATEGIES, STRATEGY_PARAMETERS.c.version, STRATEGY_PARAMETERS.c.parameters)
            .join(STRATEGY_PARAMETERS, (STRATEGY_PARAMETERS.c.strategy == STRATEGIES.c.name) & IS_ACTIVE)
            .order_by(STRATEGIES.c.name)
        )
        with self._transaction("reading strategies") as connection:
            return [
                StoredStrategy(row.name, StrategyState(row.state), row.why, row.changed_at, row.version, row.parameters)
                for row in connection.execute(query)
            ]

    def load_changes(self) -> Sequence[StrategyChange]:
        """See `StrategyStore`."""
        table = STRATEGY_CHANGES.c
        query = select(STRATEGY_CHANGES).order_by(table.strategy, table.revision)
        with self._transaction("reading changes of strategies") as connection:
            rows = connection.execute(query).mappings()
            return [StrategyChange(**{**row, "state": StrategyState(row["state"])}) for row in rows]

    def load_parameters(self) -> Mapping[tuple[str, int], Mapping[str, Any]]:
        """See `StrategyStore`."""
        with self._transaction("reading parameters of strategies") as connection:
            rows = connection.execute(select(STRATEGY_PARAMETERS))
            return {(row.strategy, row.version): row.parameters for row in rows}

    def change_state(self, name: str, state: StrategyState, why: str, now: datetime) -> bool:
        """See `StrategyStore`."""
        with self._transaction(f"changing strategy {name}") as connection:
            known = select(STRATEGIES.c.state).where(STRATEGIES.c.name == name).with_for_update()
            current = connection.scalar(known)
            if current is None:
                names = ", ".join(connection.scalars(select(STRATEGIES.c.name).order_by(STRATEGIES.c.name)))
                raise OperatorError(f"Expected one of the strategies {names or '(none is registered)'}, was {name!r}.")
            if current == state:
                return False
            _change_state(connection, name, state, why, now)
            return True

    def disable(self, strategy: StoredStrategy, why: str, message: Message, now: datetime) -> bool:
        """See `StrategyStore`."""
        with self._transaction(f"disabling strategy {strategy.name}") as connection:
            if not _is_unchanged(connection, strategy):
                return False
            _change_state(connection, strategy.name, StrategyState.DISABLED, why, now)
            record_message(connection, message)
            return True

    def load_candidates(self) -> Mapping[str, StoredCandidate]:
        """See `StrategyStore`."""
        with self._transaction("reading candidates") as connection:
            rows = connection.execute(select(STRATEGY_PARAMETERS).where(STRATEGY_PARAMETERS.c.state == "candidate"))
            return {
                row.strategy: StoredCandidate(row.version, row.parameters, row.metrics or {}, row.code_version)
                for row in rows
            }

    def promote(
        self, strategy: StoredStrategy, candidate: StoredCandidate, why: str, message: Message, now: datetime
    ) -> bool:
        """See `StrategyStore`."""
        table = STRATEGY_PARAMETERS.c
        is_of = table.strategy == strategy.name
        with self._transaction(f"promoting a candidate of {strategy.name}") as connection:
            if not _is_unchanged(connection, strategy):
                return False
            waits = select(table.version).where(is_of, table.state == "candidate").with_for_update()
            if connection.scalar(waits) != candidate.version:
                return False
            changed = update(STRATEGY_PARAMETERS)
            connection.execute(changed.where(is_of, IS_ACTIVE).values(state="retired"))
            connection.execute(changed.where(is_of, table.version == candidate.version).values(state="active"))
            _change_state(connection, strategy.name, StrategyState.ACTIVE, why, now)
            record_message(connection, message)
            return True

    def save_candidate(self, candidate: Candidate, now: datetime) -> int:
        """See `StrategyStore`."""
        table = STRATEGY_PARAMETERS.c
        row = {**vars(candidate), "parameters": dict(candidate.parameters), "metrics": dict(candidate.metrics)}
        is_of = table.strategy == candidate.strategy
        with self._transaction(f"storing a candidate of {candidate.strategy}") as connection:
            name = select(STRATEGIES.c.name).where(STRATEGIES.c.name == candidate.strategy)
            connection.execute(name.with_for_update())  # one search at a time takes the next version
            same = [table[key] == row[key] for key in ("parameters", "window_ends_at", "code_version")]
            found = select(table.version).where(is_of, table.state == "candidate", *same)
            if (version := connection.scalar(found)) is not None:
                return int(version)
            earlier = update(STRATEGY_PARAMETERS).where(is_of, table.state == "candidate")
            connection.execute(earlier.values(state="retired"))
            newest: int = connection.execute(select(func.max(table.version)).where(is_of)).scalar_one()
            values = row | {"version": newest + 1, "state": "candidate", "created_at": now}
            connection.execute(insert(STRATEGY_PARAMETERS).values(values))
            return newest + 1

    def tell(self, message: Message) -> bool:
        """See `StrategyStore`."""
        with self._transaction("recording the message of a strategy") as connection:
            return record_message(connection, message)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with database_errors(doing), self._engine.begin() as connection:
            yield connection


def _register(connection: Connection, strategy: Registration, now: datetime) -> bool:
    """Store one strategy; False when another process just did."""
    done = connection.execute(
        upsert(STRATEGIES)
        .values(name=strategy.name, state=StrategyState.ACTIVE.value, why=REGISTERED, changed_at=now, revision=FIRST)
        .on_conflict_do_nothing()
    )
    if not done.rowcount:
        return False
    connection.execute(
        insert(STRATEGY_PARAMETERS).values(
            strategy=strategy.name,
            version=FIRST,
            state="active",
            parameters=dict(strategy.parameters),
            why="defaults of the code",
            code_version=strategy.code_version,
            created_at=now,
        )
    )
    _keep_change(connection, strategy.name, FIRST, REGISTERED, now)
    return True


def _is_unchanged(connection: Connection, strategy: StoredStrategy) -> bool:
    """Lock a strategy, and tell whether it is active with the parameters that were read."""
    stands = select(STRATEGIES.c.state).where(STRATEGIES.c.name == strategy.name).with_for_update()
    version = select(STRATEGY_PARAMETERS.c.version).where(STRATEGY_PARAMETERS.c.strategy == strategy.name, IS_ACTIVE)
    stored = connection.scalar(stands), connection.scalar(version)
    return stored == (StrategyState.ACTIVE.value, strategy.version)


def _change_state(connection: Connection, name: str, state: StrategyState, why: str, now: datetime) -> None:
    """Set the state of a strategy that is locked, and keep the change."""
    revision = connection.execute(
        update(STRATEGIES)
        .where(STRATEGIES.c.name == name)
        .values(state=state.value, why=why, changed_at=now, revision=STRATEGIES.c.revision + 1)
        .returning(STRATEGIES.c.revision)
    ).scalar_one()
    _keep_change(connection, name, revision, why, now)


def _keep_change(connection: Connection, name: str, revision: int, why: str, now: datetime) -> None:
    """Write down what the strategy is now."""
    state = select(STRATEGIES.c.state).where(STRATEGIES.c.name == name).scalar_subquery()
    version = (
        select(STRATEGY_PARAMETERS.c.version).where(STRATEGY_PARAMETERS.c.strategy == name, IS_ACTIVE).scalar_subquery()
    )
    connection.execute(
        insert(STRATEGY_CHANGES).values(
            strategy=name, revision=revision, state=state, version=version, why=why, changed_at=now
        )
    )
