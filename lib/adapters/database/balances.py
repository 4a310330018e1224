"""Snapshots, cash flows and breaks in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from lib.adapters.database.account_states import load_asset_prices
from lib.adapters.database.balance_records import DatabaseRecords, load_active
from lib.adapters.database.balance_rows import ASKED, FLOWS, to_flow
from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import ADJUSTMENTS, load_opening
from lib.balances.breaks import Break
from lib.balances.flows import ValuedFlow
from lib.portfolio.adjustments import Opening
from lib.portfolio.state import AssetPrice

BALANCES_LOCK = 0x424C  # "BL": the class of the advisory locks of accounts' balances


class DatabaseBalances:
    """The `BalanceStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_opening(self, account: str) -> Opening | None:
        """See `BalanceStore`."""
        with self._transaction(f"reading the opening balances of {account}") as connection:
            return load_opening(connection, account)

    def load_unadjusted(self, account: str, quote_asset: str) -> Sequence[ValuedFlow]:
        """See `BalanceStore`."""
        booked = select(ADJUSTMENTS.c.adjustment_id).where(
            ADJUSTMENTS.c.account == FLOWS.c.account, ADJUSTMENTS.c.adjustment_id == FLOWS.c.flow_id
        )
        wanted = (FLOWS.c.account == account) & FLOWS.c.counted_at.is_not(None) & (FLOWS.c.asset != quote_asset)
        with self._transaction(f"reading cash flows that the ledger of {account} lacks") as connection:
            rows = connection.execute(select(FLOWS).where(wanted, ~booked.exists()).order_by(FLOWS.c.at))
            return [to_flow(row) for row in rows]

    def load_flows_asked_at(self, account: str) -> datetime | None:
        """See `BalanceStore`."""
        with self._transaction(f"reading the cash flows of {account}") as connection:
            asked_at: datetime | None = connection.scalar(select(ASKED.c.asked_at).where(ASKED.c.account == account))
            return asked_at

    def load_prices(self, assets: Collection[str], quote_asset: str) -> Mapping[str, AssetPrice]:
        """See `BalanceStore`."""
        with self._transaction("reading prices of assets") as connection:
            return load_asset_prices(connection, assets, quote_asset)

    @contextmanager
    def open_records(self, account: str) -> Iterator[DatabaseRecords]:
        """See `BalanceStore`."""
        with self._transaction(f"storing the balances of {account}") as connection:
            connection.execute(select(func.pg_advisory_xact_lock(BALANCES_LOCK, func.hashtext(account))))
            yield DatabaseRecords(connection, account)

    def load_cash_flows(self, account: str, since: datetime, until: datetime) -> Sequence[ValuedFlow]:
        """See `BalanceStore`."""
        wanted = (FLOWS.c.account == account) & (FLOWS.c.counted_at >= since) & (FLOWS.c.counted_at < until)
        with self._transaction(f"reading the cash flows of {account}") as connection:
            rows = connection.execute(select(FLOWS).where(wanted).order_by(FLOWS.c.at, FLOWS.c.flow_id))
            return [to_flow(row) for row in rows]

    def load_active_breaks(self, account: str) -> Sequence[Break]:
        """See `BalanceStore`."""
        with self._transaction(f"reading the breaks of {account}") as connection:
            return load_active(connection, account)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with database_errors(doing), self._engine.begin() as connection:
            yield connection
