"""One candle's round: which signals are missing, what the strategies say, and which symbols cannot have one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.errors import FksError, RetryableError
from lib.market.symbols import SymbolStatus
from lib.market.timeframes import width_of
from lib.portfolio.stores import Listing
from lib.results import Item, Status, failed_item
from lib.strategy.evaluation import View, describe_stale, evaluate, filter_by_sentiment
from lib.strategy.quorum import find_obstacle
from lib.strategy.roster import Roster
from lib.strategy.stores import SentimentStore, Signal, SignalKey

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """One candle of one timeframe, for all symbols and strategies.

    Attributes:
        symbols: The universe.
        timeframe: "1h".
        opened_at: Of the candle that has closed last.
        now: When the run began.
        roster: Who has a say.
        listings: The exchange's filters, by symbol.
        load_view: Loads the candles, once, and only when something is missing.
    """

    symbols: Sequence[str]
    timeframe: str
    opened_at: datetime
    now: datetime
    roster: Roster
    listings: Mapping[str, Listing]
    load_view: Callable[[], View]

    @property
    def age(self) -> timedelta:
        """How long ago the candle closed."""
        return self.now - self.opened_at - width_of(self.timeframe)

    def select(self, signals: Mapping[SignalKey, Signal]) -> dict[SignalKey, Signal]:
        """Return the signals of these symbols by strategies that have a say now."""
        wanted = set(self.symbols)
        return {
            key: signal
            for key, signal in signals.items()
            if key.strategy in self.roster.enrolled and key.symbol in wanted
        }

    def find_missing(self, known: Collection[SignalKey]) -> dict[str, list[str]]:
        """Return the symbols that each strategy has not spoken about; those that do not trade are left out."""
        trading = self.find_trading()
        spoken = {(key.strategy, key.symbol) for key in known}
        return {name: [one for one in trading if (name, one) not in spoken] for name in self.roster.enrolled}

    def find_trading(self) -> list[str]:
        """Return the symbols that are not known to be halted or delisted."""
        return [symbol for symbol in self.symbols if self.find_halt(symbol) is None]

    def find_halt(self, symbol: str) -> str | None:
        """Return why nothing is said of a symbol that does not trade; None for one that does, or is not known."""
        listing = self.listings.get(symbol)
        return (
            None if listing is None or listing.status is SymbolStatus.TRADING else f"{listing.status} on the exchange"
        )


@dataclass(frozen=True)
class News:
    """What the news said, and the least sentiment (-1 to 1) with which a symbol is bought."""

    store: SentimentStore
    least: float


def decide_missing(
    a_round: Round, known: Collection[SignalKey], settle: timedelta, news: News | None
) -> tuple[list[Signal], list[Item]]:
    """Return the signals that are not known yet, an item for each symbol, and one for each strategy that failed.

    Args:
        a_round: The candle.
        known: The signals of it that are.
        settle: So long after its close the candle may be missing without that being a failure.
        news: None when they do not count.
    """
    missing = a_round.find_missing(known)
    stale: dict[str, Item] = {}
    if wanted := {symbol for symbols in missing.values() for symbol in symbols}:
        view = a_round.load_view()
        stale = {one: _describe_stale(a_round, view, one, settle) for one in wanted if not view.has_candle(one)}
    there = {name: [one for one in symbols if one not in stale] for name, symbols in missing.items()}
    waiting = _find_waiting(a_round, there, settle)
    signals, failed = _evaluate(a_round, {name: there[name] for name in there if name not in waiting})
    if news is not None:
        signals = filter_by_sentiment(signals, news.store, news.least)
    new = {signal.key.symbol for signal in signals}
    items = [stale.get(symbol) or _describe(a_round, symbol, symbol in new, known) for symbol in a_round.symbols]
    return signals, [*failed, *waiting.values(), *(item for item in items if item is not None)]


def _find_waiting(a_round: Round, missing: Mapping[str, Sequence[str]], settle: timedelta) -> dict[str, Item]:
    """Return the strategies that read the whole market while too little of it is there, each with its item."""
    waiting = {}
    is_settling = a_round.age <= settle
    for name, symbols in missing.items():
        if not symbols or not a_round.roster.enrolled[name].strategy.reads_market:
            continue
        obstacle = find_obstacle(a_round.load_view(), a_round.find_trading(), is_settling=is_settling)
        if obstacle is not None:
            status = Status.SKIPPED if is_settling else Status.PARTIAL
            waiting[name] = Item(name=name, status=status, detail=obstacle)
    return waiting


def _evaluate(a_round: Round, missing: Mapping[str, Sequence[str]]) -> tuple[list[Signal], list[Item]]:
    """Ask each strategy; one that fails does not stop another."""
    signals: list[Signal] = []
    failed = []
    for name, symbols in missing.items():
        if not symbols:
            continue
        try:
            enrolled = a_round.roster.enrolled[name]
            signals += evaluate(enrolled, a_round.load_view(), symbols, a_round.listings, a_round.now)
        except RetryableError:
            raise
        except Exception as error:  # counted as a failed item
            logger.warning("Strategy %s failed", name, exc_info=None if isinstance(error, FksError) else error)
            failed.append(failed_item(name, error))
    return signals, failed


def _describe_stale(a_round: Round, view: View, symbol: str, settle: timedelta) -> Item:
    """A symbol without any candle is one whose history is being fetched; where that cannot be, the sync fails."""
    is_expected = a_round.age <= settle or view.find_newest(symbol) is None
    status = Status.SKIPPED if is_expected else Status.FAILED
    return Item(name=symbol, status=status, detail=describe_stale(view, symbol, a_round.age))


def _describe(a_round: Round, symbol: str, is_new: bool, known: Collection[SignalKey]) -> Item | None:
    """Return the symbol's item; none when no strategy has spoken about it."""
    if is_new:
        return Item(name=symbol, status=Status.OK)
    if halt := a_round.find_halt(symbol):
        return Item(name=symbol, status=Status.SKIPPED, detail=halt)
    if any(key.symbol == symbol for key in known):
        detail = f"the signals of the candle of {a_round.opened_at:%H:%M} UTC are known already"
        return Item(name=symbol, status=Status.SKIPPED, detail=detail)
    return None
