"""What wiring calls: the exchange of a venue, and an account there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.budget import BudgetLedger, WeightBudget
from lib.adapters.exchange.client import Venue, host_of, is_like_binance, make_client
from lib.adapters.exchange.generic import GenericExchange
from lib.adapters.exchange.link import Link
from lib.errors import SettingsError
from lib.ports import Clock

Sleep = Callable[[float], Awaitable[None]]


def make_exchange(
    venue: Venue,
    *,
    ledger: BudgetLedger,
    clock: Clock,
    known_symbols: Callable[[], Iterable[str]] = tuple,
    sleep: Sleep = asyncio.sleep,
) -> BinanceExchange | GenericExchange:
    """Return the public side of a venue; nothing is connected yet. Use it in one event loop, and close it there.

    Args:
        venue: Where.
        ledger: The budget that all processes share (`lib.adapters.database.budget.BudgetStore`).
        clock: Ours; the exchange's offset from it is measured.
        known_symbols: See `BinanceExchange`.
        sleep: How to wait for weight; tests drive their clock with it.

    Raises:
        SettingsError: Names the setting of the venue that is wrong.
    """
    link = _make_link(venue, "", "", ledger, clock, sleep)
    if is_like_binance(link.client):
        return BinanceExchange(link, known_symbols)
    return GenericExchange(link)


def make_account(
    venue: Venue,
    account: str,
    key: str,
    secret: str,
    *,
    ledger: BudgetLedger,
    clock: Clock,
    sleep: Sleep = asyncio.sleep,
) -> BinanceAccount:
    """Return the private side of `account` at a Binance-like venue.

    Raises:
        SettingsError: Another exchange: elsewhere the ids of fills neither are numbers nor rise, so they could not be
            imported once each.
    """
    link = _make_link(venue, key, secret, ledger, clock, sleep)
    if not is_like_binance(link.client):
        raise SettingsError(
            f"A live account at {venue.name} is not supported, only at Binance. "
            f"Set FKS_ACCOUNTS__{account.upper()}__KIND=paper and remove its keys."
        )
    return BinanceAccount(link, account)


def _make_link(venue: Venue, key: str, secret: str, ledger: BudgetLedger, clock: Clock, sleep: Sleep) -> Link:
    client = make_client(venue, key, secret)
    budget = WeightBudget(
        ledger,
        host_of(client),
        limit=venue.weight_per_minute,
        max_wait=timedelta(seconds=venue.max_wait_seconds),
        clock=clock,
        sleep=sleep,
    )
    return Link(client, venue, budget, clock)
