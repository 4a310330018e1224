"""Signals and their sizes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, RowMapping, Table, func, select, update
from sqlalchemy.dialects.postgresql import insert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.tables.strategies import SIGNAL_SIZES, SIGNALS
from lib.notifications.messages import Message
from lib.strategy.sizing import Verdict
from lib.strategy.stores import Action, Signal, SignalKey, SignalSize


class DatabaseSignals:
    """The `SignalStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_signals(self, timeframe: str, opened_at: datetime) -> Mapping[SignalKey, Signal]:
        """See `SignalStore`."""
        query = select(SIGNALS).where(*_is_of(SIGNALS, timeframe, opened_at))
        with database_errors("reading signals"), self._engine.connect() as connection:
            return {(signal := _to_signal(row)).key: signal for row in connection.execute(query).mappings()}

    def save_signals(self, signals: Collection[Signal]) -> None:
        """See `SignalStore`."""
        self._add(SIGNALS, [_to_row(signal) | {"action": signal.action.value} for signal in signals])

    def load_sizes(self, timeframe: str, opened_at: datetime) -> Sequence[SignalSize]:
        """See `SignalStore`."""
        query = select(SIGNAL_SIZES).where(*_is_of(SIGNAL_SIZES, timeframe, opened_at))
        with database_errors("reading sizes of signals"), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(SIGNAL_SIZES.c.account)).mappings()
            return [SignalSize(**_split_key(row) | {"verdict": Verdict(row["verdict"])}) for row in rows]

    def save_sizes(self, sizes: Collection[SignalSize]) -> None:
        """See `SignalStore`."""
        self._add(SIGNAL_SIZES, [_to_row(size) | {"verdict": size.verdict.value} for size in sizes])

    def load_last_rounds(self, timeframe: str, since: datetime, before: datetime) -> Mapping[tuple[str, str], datetime]:
        """See `SignalStore`."""
        table = SIGNALS.c
        earlier = select(func.max(table.opened_at)).where(table.timeframe == timeframe, table.opened_at < since)
        first = func.coalesce(earlier.scalar_subquery(), since)
        is_then = table.timeframe == timeframe, table.opened_at >= first, table.opened_at < before
        newest = func.max(table.opened_at).label("newest")
        query = select(table.strategy, table.symbol, newest).where(*is_then).group_by(table.strategy, table.symbol)
        with database_errors("looking for the last signals"), self._engine.connect() as connection:
            return {(row.strategy, row.symbol): row.newest for row in connection.execute(query)}

    def load_untold(self, timeframe: str, since: datetime, before: datetime) -> Mapping[SignalKey, Signal]:
        """See `SignalStore`."""
        table = SIGNALS.c
        is_untold = table.alerted_at.is_(None), table.action == Action.BUY.value
        is_then = table.timeframe == timeframe, table.opened_at >= since, table.opened_at < before
        query = select(SIGNALS).where(*is_then, *is_untold).order_by(*SIGNALS.primary_key.columns)
        with database_errors("looking for signals that were not told"), self._engine.connect() as connection:
            return {(signal := _to_signal(row)).key: signal for row in connection.execute(query).mappings()}

    def tell(self, message: Message, keys: Collection[SignalKey], at: datetime) -> bool:
        """See `SignalStore`."""
        with database_errors("recording the message of signals"), self._engine.begin() as connection:
            is_new = record_message(connection, message)
            for key in keys:
                is_it = [SIGNALS.c[name] == value for name, value in key._asdict().items()]
                connection.execute(update(SIGNALS).where(*is_it, SIGNALS.c.alerted_at.is_(None)).values(alerted_at=at))
        return is_new

    def _add(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        with database_errors(f"storing {table.name.replace('_', ' ')}"), self._engine.begin() as connection:
            connection.execute(insert(table).on_conflict_do_nothing(), rows)


def _is_of(table: Table, timeframe: str, opened_at: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.timeframe == timeframe, table.c.opened_at == opened_at


def _to_row(record: Signal | SignalSize) -> dict[str, Any]:
    """Return the columns of a record: those of its key, and its own."""
    values = {name: value for name, value in vars(record).items() if name != "key"}
    return record.key._asdict() | values


def _split_key(row: RowMapping) -> dict[str, Any]:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    return {"key": SignalKey(*(values.pop(name) for name in SignalKey._fields)), **values}


def _to_signal(row: RowMapping) -> Signal:
    return Signal(**_split_key(row) | {"action": Action(row["action"]), "reasons": tuple(row["reasons"])})
