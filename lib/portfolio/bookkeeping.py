"""Writing fetched fills into an account's books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lib.errors import BadAnswer
from lib.portfolio.adjustments import Adjustment, Opening
from lib.portfolio.fills import BookedFill, Fill
from lib.portfolio.imports import Fetched, book_fills
from lib.portfolio.ledger import Ledger, Position, Unmatched, build_ledger
from lib.portfolio.quotes import Quotes
from lib.portfolio.stores import Books, MarketFacts


@dataclass(frozen=True)
class Booked:
    """What an import changed in the books.

    Attributes:
        fills: Fills that are new.
        closed: Positions that the new fills have closed.
        unmatched: Disposals among the new fills that no known fill had bought.
        errors: By symbol whose fills could not be fetched or contradict the stored ones.
        waiting: Fills, new or stored before, whose fee still has no value.
    """

    fills: Sequence[BookedFill] = ()
    closed: Sequence[Position] = ()
    unmatched: Sequence[Unmatched] = ()
    errors: Mapping[str, Exception] = field(default_factory=dict)
    waiting: Sequence[BookedFill] = ()


def book_import(books: Books, fetched: Fetched, market: MarketFacts, quotes: Quotes, now: datetime) -> Booked:
    """Add what is new, bring the positions up to it, and store what the next import starts from."""
    delivered, revalued = book_fills(fetched, market, quotes)
    stored = books.load_stored([booked.fill for booked in delivered])
    errors = {**fetched.errors, **_find_contradictions(delivered, stored)}
    fresh = [one for one in delivered if one.fill.key not in stored and one.fill.symbol not in errors]
    valued = {booked.fill.key for booked in revalued}
    waiting = [one for one in (*fetched.unvalued, *fresh) if one.fee_quote is None and one.fill.key not in valued]
    booked = Booked(fresh, errors=errors, waiting=waiting)
    if fresh or revalued:
        ledger = _bring_up(books, fresh, revalued, now)
        booked = replace(booked, closed=_find_closed(fresh, ledger), unmatched=_find_unmatched(fresh, ledger))
    books.save_import(fetched.balances.values(), {symbol: symbol not in errors for symbol in fetched.reasons}, now)
    return booked


def book_adjustments(
    books: Books, adjustments: Sequence[Adjustment], now: datetime, opening: Opening | None = None
) -> Sequence[Adjustment]:
    """Add the ledger entries that are new, and rebuild the positions if there are any; return those.

    A position that closes by one takes its stop loss with it.

    Args:
        books: The account's.
        adjustments: Some of which may be stored.
        now: UTC.
        opening: Where expected holdings are about to begin, before that is stored; the positions are rebuilt for it.
    """
    stored = {one.adjustment_id for one in books.load_adjustments()}
    fresh = [one for one in adjustments if one.adjustment_id not in stored]
    if fresh or opening is not None:
        books.add_adjustments(fresh, now)
        _rebuild(books, opening or books.load_opening())
    return fresh


def _rebuild(books: Books, opening: Opening | None) -> Ledger:
    ledger = build_ledger(books.load_fills(), adjustments=books.load_adjustments(), opening=opening)
    books.replace_ledger(ledger)
    return ledger


def _bring_up(books: Books, fresh: Sequence[BookedFill], revalued: Sequence[BookedFill], now: datetime) -> Ledger:
    """Extend the ledger by fills later than every stored entry; rebuild it from all entries when any is earlier."""
    newest_at = books.load_newest_at()
    is_later = not revalued and (newest_at is None or all(booked.fill.filled_at > newest_at for booked in fresh))
    books.add_fills(fresh, now)
    books.value_fees(revalued)
    if is_later:
        ledger = build_ledger(fresh, books.load_newest_positions())
        books.extend_ledger(ledger)
    else:
        ledger = _rebuild(books, books.load_opening())
    return ledger


def _find_contradictions(delivered: Sequence[BookedFill], stored: Mapping[str, Fill]) -> dict[str, Exception]:
    return {
        one.fill.symbol: BadAnswer(
            f"Fill {one.fill.fill_id} of {one.fill.symbol} is stored with other numbers: the exchange's history has "
            "begun anew, as when a test network is wiped. Nothing of it was imported. Name a new account in the "
            "settings for the new history."
        )
        for one in delivered
        if one.fill.key in stored and stored[one.fill.key] != one.fill
    }


def _find_closed(fresh: Sequence[BookedFill], ledger: Ledger) -> list[Position]:
    instants = {booked.fill.filled_at for booked in fresh}
    return [position for position in ledger.positions if position.closed_at in instants]


def _find_unmatched(fresh: Sequence[BookedFill], ledger: Ledger) -> list[Unmatched]:
    keys = {booked.fill.key for booked in fresh}
    return [unmatched for unmatched in ledger.unmatched if unmatched.fill_key in keys]
