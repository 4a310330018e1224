"""Searches of parameters in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.tables import strategies  # noqa: F401 - the tables that this one refers to
from lib.adapters.database.tables.searches import BACKTEST_RUNS
from lib.research.stores import SearchRecord

KEY = ("strategy", "window_ends_at", "scope")


@dataclass(frozen=True)
class DatabaseSearches:
    """A `SearchStore`."""

    engine: Engine

    def save_search(self, record: SearchRecord) -> None:
        """See `SearchStore`."""
        values = asdict(record)
        others = {name: value for name, value in values.items() if name not in KEY}
        statement = upsert(BACKTEST_RUNS).values(values).on_conflict_do_update(index_elements=KEY, set_=others)
        with database_errors(f"storing the search of {record.strategy}"), self.engine.begin() as connection:
            connection.execute(statement)

    def load_searches(self, scope: str, before: datetime, limit: int) -> Mapping[str, Sequence[SearchRecord]]:
        """See `SearchStore`."""
        table = BACKTEST_RUNS.c
        newest_first = func.row_number().over(partition_by=table.strategy, order_by=table.window_ends_at.desc())
        ranked = (
            select(BACKTEST_RUNS, newest_first.label("place"))
            .where(table.scope == scope, table.window_ends_at < before)
            .subquery()
        )
        query = select(ranked).where(ranked.c.place <= limit).order_by(ranked.c.strategy, ranked.c.place)
        found: defaultdict[str, list[SearchRecord]] = defaultdict(list)
        with database_errors("reading earlier searches"), self.engine.connect() as connection:
            for row in connection.execute(query):
                values = {name: value for name, value in row._mapping.items() if name != "place"}
                found[row.strategy].append(SearchRecord(**values))
        return dict(found)
