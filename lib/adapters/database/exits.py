"""Exits in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.tables.tickets import EXITS
from lib.errors import OperatorError
from lib.notifications.messages import Message
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.exits import Exit, ExitPolicy, ExitState
from lib.portfolio.stores import HeldPosition

IS_OPEN = EXITS.c.state.in_([state.value for state in ExitState if state.is_open])


class DatabaseExits:
    """The `ExitStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_open(self, accounts: Collection[str]) -> Sequence[Exit]:
        """See `ExitStore`."""
        query = select(EXITS).where(EXITS.c.account.in_(list(accounts)), IS_OPEN).order_by(EXITS.c.exit_id)
        with database_errors("looking for exits"), self._engine.connect() as connection:
            return [_to_exit(row) for row in connection.execute(query).mappings()]

    def load(self, exit_id: int) -> Exit:
        """See `ExitStore`."""
        with database_errors(f"reading exit {exit_id}"), self._engine.connect() as connection:
            row = connection.execute(select(EXITS).where(EXITS.c.exit_id == exit_id)).mappings().one_or_none()
        if row is None:
            raise OperatorError(f"There is no exit {exit_id}. Leave exit_id empty: only the stop-loss check gives it.")
        return _to_exit(row)

    def begin(self, wanted: Exit, run: str, now: datetime) -> bool:
        """See `ExitStore`."""
        started = {"state": ExitState.STARTED.value, "attempts": wanted.attempts + 1, "run": run, "changed_at": now}
        is_same = (EXITS.c.state == ExitState.WANTED.value) & (EXITS.c.attempts == wanted.attempts)
        change = update(EXITS).where(EXITS.c.exit_id == wanted.exit_id, is_same).values(started)
        with database_errors(f"noting the run of {wanted.name}"), self._engine.begin() as connection:
            return connection.execute(change).rowcount == 1

    def end(self, known: Exit, state: ExitState, *, note: str, now: datetime, message: Message | None = None) -> bool:
        """See `ExitStore`."""
        ended = {"state": state.value, "note": note, "changed_at": now}
        change = update(EXITS).where(EXITS.c.exit_id == known.exit_id, IS_OPEN).values(ended)
        with database_errors(f"noting what became of {known.name}"), self._engine.begin() as connection:
            done = connection.execute(change)
            if done.rowcount and message is not None:
                record_message(connection, message)
            return done.rowcount == 1


def want_exit(
    connection: Connection, held: HeldPosition, kind: AlarmKind, policy: ExitPolicy, wanted_at: datetime
) -> None:
    """Add an exit in the transaction of its alarm, unless the position has an open one."""
    row = {
        "account": held.account,
        "symbol": held.symbol,
        "kind": kind.value,
        "policy": policy.value,
        "wanted_at": wanted_at,
        "state": ExitState.WANTED.value,
        "attempts": 0,
        "note": "",
        "changed_at": wanted_at,
    }
    connection.execute(insert(EXITS).values(row).on_conflict_do_nothing())


def _to_exit(row: RowMapping) -> Exit:
    typed = {
        "kind": AlarmKind(row["kind"]),
        "policy": ExitPolicy(row["policy"]),
        "state": ExitState(row["state"]),
    }
    return Exit(**dict(row) | typed)
