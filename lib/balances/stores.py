"""What balances keep and ask of the database.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.balances.breaks import Break, Judgement
from lib.balances.flows import ValuedFlow
from lib.balances.snapshots import Snapshot
from lib.notifications.messages import Message
from lib.portfolio.adjustments import Opening
from lib.portfolio.state import AssetPrice


class AccountRecords(Protocol):
    """One account's snapshots, flows and breaks, locked for one writer within one transaction."""

    def load_flows(self, ids: Collection[str]) -> Mapping[str, ValuedFlow]:
        """Return those of the flows that are stored, each with the one that takes it back, by id."""
        ...

    def load_uncounted(self, after: datetime) -> Sequence[ValuedFlow]:
        """Return the booked flows that no snapshot contains yet: those after that instant, and an operator's.

        A break is named by its full minute, which may be the one in which expected holdings begin.
        """
        ...

    def save_flows(self, flows: Sequence[ValuedFlow], now: datetime) -> None:
        """Store flows, in place of those with their ids."""
        ...

    def save_flows_asked(self, at: datetime) -> None:
        """Store that the exchange's flows were read."""
        ...

    def save_opening(self, opening: Opening, quote_asset: str) -> None:
        """Store where expected holdings begin, once for ever."""
        ...

    def load_changes(self, after: datetime) -> Mapping[str, Decimal]:
        """Return by asset what all fills and booked flows after that instant, and an operator's, have added.

        Negative: taken.
        """
        ...

    def load_breaks(self) -> Mapping[str, Break]:
        """Return the suspected and open breaks by asset."""
        ...

    def save_breaks(self, judgement: Judgement) -> None:
        """Store what a comparison made of them; a suspicion that vanished is forgotten."""
        ...

    def ask_fills_again(self, symbols: Collection[str]) -> None:
        """Let the next import ask for the fills of these symbols, as far as the exchange lists them."""
        ...

    def close_break(self, one: Break) -> None:
        """Store a break that was resolved or accepted."""
        ...

    def load_realized_pnl(self) -> Decimal:
        """Return what all positions, open and closed, have realized so far."""
        ...

    def load_day_start(self, at: datetime) -> Snapshot | None:
        """Return the first snapshot of the UTC day of `at`, if there is one before `at`."""
        ...

    def load_capital(self, after: datetime, until: datetime) -> Decimal:
        """Return the value of deposits less withdrawals that snapshots after `after` up to `until` first contain."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot in place of the one of its minute."""
        ...

    def save_prices(self, prices: Mapping[str, AssetPrice], quote_asset: str) -> None:
        """Store the last price of each asset."""
        ...

    def record(self, message: Message) -> bool:
        """Keep a message for delivery with this transaction; False when one with its key was recorded before."""
        ...


class BalanceStore(Protocol):
    """Snapshots, cash flows and breaks of accounts."""

    def load_opening(self, account: str) -> Opening | None:
        """Return where the account's expected holdings begin; None before the first comparison."""
        ...

    def load_unadjusted(self, account: str, quote_asset: str) -> Sequence[ValuedFlow]:
        """Return the counted cash flows of coins that the ledger has not booked, by time."""
        ...

    def load_flows_asked_at(self, account: str) -> datetime | None:
        """Return when the account's cash flows were last read from the exchange."""
        ...

    def load_prices(self, assets: Collection[str], quote_asset: str) -> Mapping[str, AssetPrice]:
        """Return the last price of each asset that ever had one."""
        ...

    def open_records(self, account: str) -> AbstractContextManager[AccountRecords]:
        """Begin a transaction as the account's only writer of these; it is committed unless an error leaves it."""
        ...

    def load_cash_flows(self, account: str, since: datetime, until: datetime) -> Sequence[ValuedFlow]:
        """Return the flows that snapshots with `since` <= at < `until` first contain, by time."""
        ...

    def load_active_breaks(self, account: str) -> Sequence[Break]:
        """Return the account's suspected and open breaks by asset."""
        ...
