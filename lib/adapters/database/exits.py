"""Exits in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

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

    def begin_anew(self, known: Exit, policy: ExitPolicy, *, note: str, now: datetime) -> bool:
        """See `ExitStore`."""
        anew = {"state": ExitState.WANTED.value, "policy": policy.value, "note": note, "changed_at": now}
        is_same = (EXITS.c.state == known.state.value) & (EXITS.c.attempts == known.attempts)
        after = {"after_run": known.run} if known.state is ExitState.STARTED else {}
        change = update(EXITS).where(EXITS.c.exit_id == known.exit_id, is_same).values(anew | after)
        with database_errors(f"noting that {known.name} begins anew"), self._engine.begin() as connection:
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
    """Add an exit in the transaction of its alarm, unless this limit of this position has an open one.

    An open one of the other limit is void from then on, since the price cannot be beyond both; so is one of an older
    position. The new exit names the run of that one: it is ended before the new one's begins.
    """
    is_of = (EXITS.c.account == held.account) & (EXITS.c.symbol == held.symbol)
    former = connection.execute(select(EXITS).where(is_of, IS_OPEN).with_for_update()).mappings().one_or_none()
    if former and (former["opened_by"], former["kind"]) == (held.position.opened_by, kind.value):
        return
    after_run = None
    if former:
        void = {"state": ExitState.VOID.value, "note": f"replaced by a newer {kind}", "changed_at": wanted_at}
        connection.execute(update(EXITS).where(EXITS.c.exit_id == former["exit_id"]).values(void))
        after_run = former["run"] if former["state"] == ExitState.STARTED.value else former["after_run"]
    row = {
        "account": held.account,
        "symbol": held.symbol,
        "opened_by": held.position.opened_by,
        "kind": kind.value,
        "policy": policy.value,
        "wanted_at": wanted_at,
        "state": ExitState.WANTED.value,
        "attempts": 0,
        "note": "",
        "changed_at": wanted_at,
        "after_run": after_run,
    }
    connection.execute(insert(EXITS).values(row))


def _to_exit(row: RowMapping) -> Exit:
    typed = {
        "kind": AlarmKind(row["kind"]),
        "policy": ExitPolicy(row["policy"]),
        "state": ExitState(row["state"]),
    }
    return Exit(**dict(row) | typed)
