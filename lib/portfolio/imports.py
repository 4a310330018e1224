"""Fetching what the exchange says happened to an account."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from lib.errors import BadAnswer, DataError, FksError
from lib.market.symbols import SymbolStatus
from lib.portfolio.accounts import Account
from lib.portfolio.fees import value_fees
from lib.portfolio.fills import Balance, BookedFill, Fill, find_flaw
from lib.portfolio.import_plan import find_changed, find_held, plan_import
from lib.portfolio.quotes import Quotes
from lib.portfolio.stores import ImportState, Listing, MarketFacts, PortfolioStore
from lib.ports import Clock, ExchangeAccount

SETTLED_AFTER = timedelta(days=1)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """What the exchange told about an account, before anything of it is stored.

    Attributes:
        reasons: Why each symbol was asked.
        balances: By asset; an asset that is gone is there with zero.
        fills: By symbol that answered soundly; the last day's fills come again.
        errors: By symbol that did not.
        listings: What is known of the symbols asked.
        unvalued: Stored fills whose fee has no value yet.
        unlisted: Assets held whose symbol the exchange is not known to list, so that it could not be asked.
    """

    reasons: Mapping[str, str]
    balances: Mapping[str, Balance]
    fills: Mapping[str, Sequence[Fill]]
    errors: Mapping[str, Exception]
    listings: Mapping[str, Listing]
    unvalued: tuple[BookedFill, ...]
    unlisted: tuple[str, ...]


async def fetch_new_fills(
    account: Account,
    exchange_account: ExchangeAccount,
    *,
    store: PortfolioStore,
    market: MarketFacts,
    clock: Clock,
    universe: Sequence[str],
) -> Fetched:
    """Ask for balances, then for the fills of the symbols that `plan_import` chooses, all at once.

    Balances come first: a fill that happens in between is then fetched too, and the next import sees the balance move.
    Each symbol is read from its newest fill that is a day old, because an exchange may show a fill late; what comes
    twice is stored once.

    Raises:
        FksError: When the balances could not be fetched. A symbol's failure is in `Fetched.errors` instead.
    """
    state = store.load_import_state(account.name)
    balances = _with_vanished(await exchange_account.fetch_balances(), state)
    reasons, listings = _plan(account, state, balances, market, universe, clock.now())
    resume_ids = store.load_resume_ids(account.name, tuple(reasons), clock.now() - SETTLED_AFTER)
    answers = await asyncio.gather(
        *(
            _fetch_symbol(account.name, symbol, resume_ids.get(symbol, -1) + 1, exchange_account, listings)
            for symbol in reasons
        ),
        return_exceptions=True,
    )
    fills: dict[str, Sequence[Fill]] = {}
    errors: dict[str, Exception] = {}
    for symbol, answer in zip(reasons, answers, strict=True):
        if isinstance(answer, Exception):
            errors[symbol] = answer
            trace = None if isinstance(answer, FksError) else answer
            logger.warning("The fills of %s were not imported: %s", symbol, answer, exc_info=trace)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            fills[symbol] = answer
    held = sorted(find_held(balances, account.quote_asset))
    unlisted = tuple(asset for asset in held if f"{asset}/{account.quote_asset}" not in listings)
    return Fetched(reasons, balances, fills, errors, listings, state.unvalued, unlisted)


def book_fills(fetched: Fetched, market: MarketFacts, quotes: Quotes) -> tuple[list[BookedFill], list[BookedFill]]:
    """Value the fees: of the fetched fills, and of the stored ones that wait for it (those that now have a value)."""
    fills = [fill for of_symbol in fetched.fills.values() for fill in of_symbol]
    waiting = [booked.fill for booked in fetched.unvalued]
    values = value_fees([*fills, *waiting], market, quotes)
    booked = [
        BookedFill(fill, *values[fill.key], fetched.listings[fill.symbol].quantity_step or Decimal(0)) for fill in fills
    ]
    revalued = [
        BookedFill(old.fill, *values[old.fill.key], old.quantity_step)
        for old in fetched.unvalued
        if values[old.fill.key][0] is not None
    ]
    return booked, revalued


def _with_vanished(balances: Mapping[str, Balance], state: ImportState) -> dict[str, Balance]:
    gone = {asset: Balance(asset, Decimal(0), Decimal(0)) for asset in state.seen if asset not in balances}
    return {**balances, **gone}


def _plan(
    account: Account,
    state: ImportState,
    balances: Mapping[str, Balance],
    market: MarketFacts,
    universe: Sequence[str],
    now: datetime,
) -> tuple[Mapping[str, str], Mapping[str, Listing]]:
    """Plan the import; a delisted symbol cannot be asked any more."""
    assets = find_changed(state, balances) | {*state.seen}
    listings = market.load_listings(
        {*universe, *state.open_symbols, *state.asked_at, *(f"{asset}/{account.quote_asset}" for asset in assets)}
    )
    reasons = plan_import(
        state,
        balances,
        universe=universe,
        listed=listings.keys(),
        quote_asset=account.quote_asset,
        now=now,
    )
    gone = {symbol for symbol, listing in listings.items() if listing.status is SymbolStatus.DELISTED}
    return {symbol: reason for symbol, reason in reasons.items() if symbol not in gone}, listings


async def _fetch_symbol(
    account: str, symbol: str, from_id: int, exchange_account: ExchangeAccount, listings: Mapping[str, Listing]
) -> Sequence[Fill]:
    if symbol not in listings:
        raise DataError(
            f"{symbol} is not known yet, so its fills cannot be booked. Run sync_market_data, or remove it from the "
            "universe if the exchange does not have it."
        )
    fills = await exchange_account.fetch_fills(symbol, from_id)
    for fill in fills:
        if flaw := find_flaw(fill, account, symbol):
            raise BadAnswer(f"Fill {fill.fill_id} of {symbol} cannot be: {flaw}. Nothing of {symbol} was imported.")
    return fills
