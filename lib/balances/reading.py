"""Reading an account so that holdings, fills and cash flows belong together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from lib.balances.flows import CashFlow
from lib.errors import FksError, RetryableError
from lib.portfolio.accounts import Account
from lib.portfolio.adjustments import Opening
from lib.portfolio.bookkeeping import Booked
from lib.portfolio.fills import Balance, BookedFill
from lib.portfolio.imports import Fetched, fetch_new_fills
from lib.portfolio.quotes import PriceSource
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import Clock, ExchangeAccount

ATTEMPTS = 3
HISTORY = timedelta(days=90)  # of cash flows, at the first reading
OVERLAP = timedelta(days=30)  # read again each time: a flow may change its state for weeks
logger = logging.getLogger(__name__)


class TimedPrices(PriceSource, Protocol):
    """The part of `lib.ports.Exchange` that balances need."""

    async def fetch_time(self) -> datetime:
        """Return the exchange's clock."""
        ...


@dataclass(frozen=True)
class Reading:
    """What the exchange told of an account.

    Attributes:
        asked: The symbols whose fills were asked for, with the balances, before the last reading of those.
        booked: What importing those fills has changed, all attempts together; errors are those of the last.
        flows: Deposits and withdrawals.
        flows_error: Why those could not be read; `flows` is then empty.
        balances: As read last, by asset; those above zero.
        read_at: Our time of that.
        exchange_at: The exchange's time between both readings of the balances; None when it was not asked for.
        moving: Assets whose total changed between both readings, so that nobody knows which fills it contains.
    """

    asked: Fetched
    booked: Booked
    flows: Sequence[CashFlow]
    flows_error: Exception | None
    balances: Mapping[str, Balance]
    read_at: datetime
    exchange_at: datetime | None
    moving: frozenset[str]

    def to_opening(self) -> Opening | None:
        """Return where expected holdings begin, if this is where; None when anything moved meanwhile.

        What was told between both readings is in the balances, also where its clock is ahead of the exchange's.
        """
        if self.exchange_at is None or self.moving:
            return None
        told = [flow.at for flow in self.flows if flow.is_booked]
        told += [one.fill.filled_at for one in self.booked.fills]
        totals = {asset: balance.total for asset, balance in self.balances.items()}
        return Opening(max([self.exchange_at, *told]), totals)


async def read_account(
    account: Account,
    exchange_account: ExchangeAccount,
    *,
    exchange: TimedPrices,
    flows_asked_at: datetime | None,
    wants_time: bool,
    store: PortfolioStore,
    market: MarketFacts,
    clock: Clock,
    universe: Sequence[str],
    book: Callable[[Fetched], Booked],
) -> Reading:
    """Read balances, fills, cash flows, and the balances again; up to three times until both balances are the same.

    Then what came in between is in all of them, or in none. Each attempt books its fills, so that the next one asks
    only for what moved since.

    Args:
        account: Whose.
        exchange_account: Its private side.
        exchange: Its public side.
        flows_asked_at: When cash flows were last read; None when never.
        wants_time: Whether the exchange's time is wanted too.
        store: Where accounts, fills and positions are.
        market: Stored symbols and candles.
        clock: Ours.
        universe: The symbols kept fresh.
        book: Stores what an import has fetched.

    Raises:
        FksError: When the balances could not be read. Failures of fills and flows are part of the reading.
    """
    since = flows_asked_at - OVERLAP if flows_asked_at else clock.now() - HISTORY
    fills: list[BookedFill] = []
    for _ in range(ATTEMPTS):
        fetched = await fetch_new_fills(
            account, exchange_account, store=store, market=market, clock=clock, universe=universe
        )
        booked = book(fetched)
        fills += booked.fills
        flows, error = await _fetch_flows(exchange_account, since)
        exchange_at = await exchange.fetch_time() if wants_time else None
        balances = await exchange_account.fetch_balances()
        moving = _find_moving(fetched.balances, balances)
        if not moving:
            break
    booked = replace(booked, fills=fills)
    return Reading(fetched, booked, flows, error, balances, clock.now(), exchange_at, moving)


async def _fetch_flows(
    exchange_account: ExchangeAccount, since: datetime
) -> tuple[Sequence[CashFlow], Exception | None]:
    """Ask for cash flows; without them holdings are still to be valued."""
    try:
        return await exchange_account.fetch_cash_flows(since), None
    except Exception as error:
        trace = None if isinstance(error, FksError) else error
        logger.warning("The cash flows of %s were not read: %s", exchange_account.account, error, exc_info=trace)
        return (), error


def may_pass(error: Exception | None) -> bool:
    """Tell whether the error is one that passes by itself."""
    return isinstance(error, RetryableError)


def _find_moving(before: Mapping[str, Balance], after: Mapping[str, Balance]) -> frozenset[str]:
    totals = [{asset: balance.total for asset, balance in one.items()} for one in (before, after)]
    return frozenset(asset for asset in {*before, *after} if totals[0].get(asset, 0) != totals[1].get(asset, 0))
