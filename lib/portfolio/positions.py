"""Bringing positions up to date: new fills, the ledger, and current prices."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lib.errors import FksError
from lib.notifications.outbox import Outbox
from lib.portfolio.bookkeeping import Booked, book_import
from lib.portfolio.failed_imports import tell_of_failed_imports
from lib.portfolio.imports import Fetched, fetch_new_fills
from lib.portfolio.position_report import (
    FILLS,
    PositionsUpdate,
    describe_import,
    describe_uncovered,
    describe_unlisted,
    line_of,
    lines_of_closed,
)
from lib.portfolio.pricing import price_positions
from lib.portfolio.quotes import Quotes
from lib.portfolio.stores import HeldPosition, MarketFacts, PortfolioStore
from lib.ports import Clock, ExchangeAccount
from lib.results import Item, calc_status, failed_item

TASK = "update_positions"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What an account's exchange answered to a run.

    Attributes:
        account: Its name.
        fetched: None when even its balances could not be fetched.
        items: Why not.
        started_at: UTC.
    """

    account: str
    fetched: Fetched | None
    items: tuple[Item, ...]
    started_at: datetime


async def ask_account(
    *,
    account: str,
    exchange_account: ExchangeAccount,
    store: PortfolioStore,
    market: MarketFacts,
    clock: Clock,
    universe: Sequence[str],
) -> Answer:
    """Fetch an account's balances and new fills, before anything of it is stored.

    One request for balances (Binance: weight 20), compared with those seen at the last import; then fills (20 a symbol)
    only of symbols whose holding changed, of all when only cash or a fee asset moved, of those never asked or that
    failed, and of those not asked for an hour (at most fifty a run, oldest first). `import_plan.plan_import` has the
    exact rule. This is how a sale by hand on the exchange closes a position: its asset's total has changed.

    Args:
        account: Name of a registered account.
        exchange_account: For balances and fills.
        store: Where accounts, fills and positions are.
        market: Stored symbols and candles.
        clock: Now.
        universe: The symbols kept fresh.

    Raises:
        OperatorError: When the account is not registered.
        DatabaseUnavailable: Trying again is safe.
    """
    started_at = clock.now()
    owner = store.load_account(account)
    try:
        fetched = await fetch_new_fills(
            owner, exchange_account, store=store, market=market, clock=clock, universe=universe
        )
    except Exception as error:  # counted as a failed item: the positions are still to be priced
        trace = None if isinstance(error, FksError) else error
        logger.warning("The fills of %s could not be imported: %s", account, error, exc_info=trace)
        return Answer(account, None, (failed_item(f"{account}{FILLS}", error),), started_at)
    return Answer(account, fetched, (), started_at)


def update_positions(
    answer: Answer, quotes: Quotes, *, store: PortfolioStore, market: MarketFacts, outbox: Outbox, clock: Clock
) -> PositionsUpdate:
    """Store new fills, rebuild the positions from all fills, and price the open ones.

    Fills, positions, prices, the balances seen and the symbols that failed are stored in one transaction, by one writer
    an account: a process killed before its end asks again, and one that runs twice adds nothing. A symbol that is
    halted or delisted gets no new price, so that its price grows stale where everyone sees it; so does one whose price
    cannot be believed.

    Args:
        answer: What the account's exchange answered.
        quotes: All prices, asked for after every account has answered: the stop-loss check right after finds them
            fresh, however slow an account was.
        store: Where accounts, fills and positions are.
        market: Stored symbols and candles.
        outbox: Where messages about failed imports are recorded, also when nothing worked.
        clock: Now.

    Raises:
        AllItemsFailed: When nothing could be imported and nothing priced.
        DatabaseUnavailable: Nothing was stored; trying again is safe.
    """
    account, fetched = answer.account, answer.fetched
    booked, held, priced = _store(account, store, market, fetched, quotes, clock)
    items = list(answer.items)
    if fetched is not None:
        items += describe_import(account, tuple(fetched.reasons), booked)
        items += describe_unlisted(account, fetched.unlisted)
        items += describe_uncovered(held, booked)
    items += priced
    tell_of_failed_imports(account, items, store, outbox, clock.now())
    return PositionsUpdate(
        task=TASK,
        status=calc_status(TASK, items),
        counts={
            "new fills": len(booked.fills),
            "positions": len(held),
            "closed": len(booked.closed),
            "unmatched": len(booked.unmatched),
        },
        items=tuple(items),
        started_at=answer.started_at,
        finished_at=clock.now(),
        positions=tuple(line_of(one) for one in held),
        closed=lines_of_closed(account, booked.closed),
    )


def _store(
    account: str, store: PortfolioStore, market: MarketFacts, fetched: Fetched | None, quotes: Quotes, clock: Clock
) -> tuple[Booked, Sequence[HeldPosition], list[Item]]:
    """Write everything of this run, in one transaction."""
    with store.open_books(account) as books:
        booked = book_import(books, fetched, market, quotes, clock.now()) if fetched else Booked()
        held = books.load_held()
        listings = market.load_listings({one.symbol for one in held})
        valuations, priced = price_positions(held, quotes, listings, clock.now())
        books.save_valuations(valuations)
        return booked, books.load_held(), priced
