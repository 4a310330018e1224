"""Snapshots: what an account was worth at an instant, and what it has earned since the day began."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class Snapshot:
    """What an account was worth; every amount is in its quote asset.

    Attributes:
        account: Whose.
        at: A full minute, UTC.
        cash_free: Of the quote asset, free for orders.
        cash_locked: Of the quote asset, locked in orders.
        positions_value: Open positions, as far as they are held, at their last price.
        other_value: Everything else that has a price.
        equity: The sum of the four.
        unexplained_value: What `equity` has more (negative: less) than the ledger explains: the differences, valued.
        unrealized_pnl: Of the open positions; a loss is negative.
        realized_pnl: Of everything ever sold; a loss is negative.
        day_flows: Deposits less withdrawals since the UTC day's first snapshot, at their value when booked.
        day_pnl: Profit since the UTC day's first snapshot, before which the day has none; a loss is negative. None
            where an asset had a price in only one of the two.
        unpriced: Assets, and symbols of positions, that have no price and so are in none of the values.
    """

    account: str
    at: datetime
    cash_free: Decimal
    cash_locked: Decimal
    positions_value: Decimal
    other_value: Decimal
    equity: Decimal
    unexplained_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    day_flows: Decimal = Decimal(0)
    day_pnl: Decimal | None = Decimal(0)
    unpriced: tuple[str, ...] = ()

    @property
    def explained_equity(self) -> Decimal:
        """The equity that trades, prices and cash flows account for; profit is a change of it less the cash flows."""
        return self.equity - self.unexplained_value


def calc_day_pnl(start: Snapshot, now: Snapshot, flows: Decimal, revalued: Collection[str]) -> Decimal | None:
    """Return the profit between two snapshots of a day; a loss is negative.

    From 1000 to 1650 with a deposit of 500 and an unexplained 100: 50.

    Args:
        start: The day's first.
        now: A later one.
        flows: Deposits less withdrawals in between.
        revalued: What had a price in only one of the two: then nobody knows, and it is None.
    """
    return None if revalued else now.explained_equity - start.explained_equity - flows
