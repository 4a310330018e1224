"""Bringing cash flows of coins into the ledger, so that a position is what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from lib.balances.flows import ValuedFlow
from lib.balances.stores import BalanceStore
from lib.market.symbols import SymbolStatus
from lib.portfolio.accounts import Account
from lib.portfolio.adjustments import Adjustment, AdjustmentKind, Opening
from lib.portfolio.bookkeeping import book_adjustments
from lib.portfolio.ledger import Position
from lib.portfolio.money import format_number
from lib.portfolio.stores import Listing, MarketFacts, PortfolioStore
from lib.ports import Clock
from lib.results import Item, Status


def begin_ledger(owner: Account, opening: Opening, portfolio: PortfolioStore, clock: Clock) -> None:
    """Cut positions down to what is held where expected holdings begin; to be called before the opening is stored.

    A process that is killed in between has changed nothing for good: the next fill that is imported late, or the next
    opening, rebuilds the positions.
    """
    with portfolio.open_books(owner.name) as books:
        book_adjustments(books, (), clock.now(), opening)


def adjust_ledger(
    owner: Account, *, balances: BalanceStore, portfolio: PortfolioStore, market: MarketFacts, clock: Clock
) -> list[Item]:
    """Book every counted cash flow of a coin that the ledger lacks, once; return an item for each.

    A coin without a listed market has no position, and is left alone until it has one.

    Args:
        owner: The account.
        balances: Where cash flows are.
        portfolio: Where the ledger is.
        market: Stored symbols.
        clock: Ours.

    Raises:
        DatabaseUnavailable: Trying again is safe.
    """
    flows = balances.load_unadjusted(owner.name, owner.quote_asset)
    opening = balances.load_opening(owner.name)
    if not flows or opening is None:
        return []
    symbols = {f"{one.flow.asset}/{owner.quote_asset}" for one in flows}
    listings = {
        symbol: listing
        for symbol, listing in market.load_listings(symbols).items()
        if listing.status is not SymbolStatus.DELISTED
    }
    wanted = _to_adjustments(flows, owner.quote_asset, listings, opening)
    if not wanted:
        return []
    with portfolio.open_books(owner.name) as books:
        before = {one.symbol: one.position for one in books.load_held()}
        booked = book_adjustments(books, wanted, clock.now())
        after = {one.symbol: one.position for one in books.load_held()}
    return [_tell(owner.name, one, before.get(one.symbol), after.get(one.symbol)) for one in booked]


def _to_adjustments(
    flows: Sequence[ValuedFlow], quote_asset: str, listings: dict[str, Listing], opening: Opening
) -> list[Adjustment]:
    """What an operator explains was found after the opening, whatever minute it bears."""
    made = []
    for one in flows:
        symbol = f"{one.flow.asset}/{quote_asset}"
        if symbol in listings and one.value_quote:
            made.append(
                Adjustment(
                    adjustment_id=one.flow.flow_id,
                    symbol=symbol,
                    kind=AdjustmentKind(one.flow.kind.value),
                    quantity=one.flow.amount,
                    value_quote=one.value_quote,
                    quantity_step=listings[symbol].quantity_step or Decimal(0),
                    at=max(one.flow.at, opening.at),
                )
            )
    return made


def _tell(account: str, one: Adjustment, before: Position | None, after: Position | None) -> Item:
    moved = f"{one.kind} of {format_number(abs(one.quantity))} {one.base}"
    was, now = (format_number(position.quantity) if position else "nothing" for position in (before, after))
    detail = f"{moved}: the position was {was} and is {now}" if was != now else f"{moved}: beside the position"
    if before is not None and after is None:
        detail += "; it is closed, and its stop loss with it"
    return Item(name=f"{account} {one.symbol} ledger", status=Status.OK, detail=detail)
