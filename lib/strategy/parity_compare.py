"""A strategy's signals of one day beside their recomputation: what differs, and what explains it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from lib.indicators.shelf import IndicatorShelf
from lib.indicators.work import to_numpy
from lib.market.matrix import CandleMatrix
from lib.market.timeframes import width_of
from lib.portfolio.money import format_number
from lib.portfolio.stores import Listing
from lib.strategy.deciding import News
from lib.strategy.evaluation import filter_by_sentiment, read_signal
from lib.strategy.parity_report import Comparison, Difference, Finding
from lib.strategy.past import RACE, Past
from lib.strategy.roster import Enrolled
from lib.strategy.sizing import choose_step
from lib.strategy.stores import Action, Signal, SignalKey
from lib.units import to_decimal

CONFIDENCE_TOLERANCE = 1e-6  # smoothing that began at another candle differs by some 1e-10
Signals = Mapping[SignalKey, Signal]


@dataclass(frozen=True)
class Yesterday:
    """The signals of a timeframe's candles that closed yesterday, and what they are recomputed from.

    Attributes:
        opened: Open times of the candles.
        stored: What was given, of all strategies.
        candles: As stored now, with as many before as the strategies look back.
        listings: The exchange's price steps.
        past: Strategies as they were.
    """

    opened: Sequence[datetime]
    stored: Signals
    candles: CandleMatrix
    listings: Mapping[str, Listing]
    past: Past

    def find_bar(self, opened_at: datetime) -> int:
        """Return the bar of a candle."""
        return int(np.searchsorted(self.candles.opened_at, to_numpy(opened_at)))

    def find_close(self, symbol: str, opened_at: datetime) -> float:
        """Return the close as it is stored now; NaN where there is none."""
        return float(self.candles.close[self.candles.row_of(symbol), self.find_bar(opened_at)])

    def list_there(self, opened_at: datetime) -> list[str]:
        """Return the symbols that have the candle now."""
        bar = self.find_bar(opened_at)
        return [name for row, name in enumerate(self.candles.symbols) if np.isfinite(self.candles.close[row, bar])]


def compare_strategy(name: str, yesterday: Yesterday, news: News | None, *, is_live: bool) -> list[Comparison]:
    """Compare all signals of a strategy, each with its own version of the parameters, and find those that are missing.

    Raises:
        StrategyRefused: Its code cannot be used any more.
    """
    given = {key: signal for key, signal in yesterday.stored.items() if key.strategy == name}
    wanted: dict[int, list[SignalKey]] = {}
    for key, signal in given.items():
        wanted.setdefault(signal.version, []).append(key)
    for key, version in _list_missing(name, yesterday, given) if is_live else ():
        wanted.setdefault(version, []).append(key)
    again: dict[SignalKey, Signal] = {}
    for version, keys in wanted.items():
        again |= recompute(yesterday.past.enroll(name, version), keys, yesterday, news)
    return [_judge(key, given.get(key), again.get(key), yesterday) for keys in wanted.values() for key in keys]


def _list_missing(name: str, yesterday: Yesterday, given: Signals) -> Iterable[tuple[SignalKey, int]]:
    """Return what the strategy, as it was when each candle closed, should have given and has not, with its version."""
    width = width_of(yesterday.candles.timeframe)
    for opened_at in yesterday.opened:
        closed_at = opened_at + width
        version = yesterday.past.find_version(name, closed_at)
        if version is None or yesterday.past.find_version(name, closed_at + RACE) is None:
            continue
        for symbol in yesterday.list_there(opened_at):
            key = SignalKey(yesterday.candles.timeframe, opened_at, name, symbol)
            if key not in given:
                yield key, version


def recompute(
    enrolled: Enrolled, keys: Iterable[SignalKey], yesterday: Yesterday, news: News | None
) -> dict[SignalKey, Signal]:
    """Return what the strategy says of these candles as they are stored now; nothing of those that are not there."""
    candles = yesterday.candles
    decisions = enrolled.strategy.decide(IndicatorShelf(candles))
    rounds: dict[datetime, list[Signal]] = {}
    for key in keys:
        if not np.isfinite(yesterday.find_close(key.symbol, key.opened_at)):
            continue
        bar, listing = yesterday.find_bar(key.opened_at), yesterday.listings.get(key.symbol)
        said = read_signal(enrolled, decisions, candles, key.symbol, bar, listing, key.opened_at)
        rounds.setdefault(key.opened_at, []).append(said)
    said_at = (filter_by_sentiment(one, news.store, news.least) if news else one for one in rounds.values())
    return {signal.key: signal for one in said_at for signal in one}


def _judge(key: SignalKey, stored: Signal | None, again: Signal | None, yesterday: Yesterday) -> Comparison:
    if stored is None:
        return _judge_missing(key, again, yesterday)
    if again is None:
        return Comparison(key, Finding.UNKNOWN, stored, None, why="its candle is not stored any more")
    listing = yesterday.listings.get(key.symbol)
    differences = find_differences(stored, again, choose_step(stored.price, listing.price_step if listing else None))
    past = yesterday.past
    if not past.may_have_used(key.strategy, stored.version, stored.created_at):
        version = past.find_version(key.strategy, stored.created_at)
        was = "none: it was disabled" if version is None else str(version)
        differences.append(Difference("parameters in force", str(stored.version), was))
        return Comparison(key, Finding.DIFFERENT, stored, again, tuple(differences))
    if not differences:
        return Comparison(key, Finding.EQUAL, stored, again)
    finding, why = _explain(stored, yesterday)
    return Comparison(key, finding, stored, again, tuple(differences), why)


def _judge_missing(key: SignalKey, again: Signal | None, yesterday: Yesterday) -> Comparison:
    is_buy = again is not None and again.action is Action.BUY
    if any(one.opened_at == key.opened_at for one in yesterday.stored):
        why = "a run decided on this candle without it: its candle came later, it was halted, or the strategy failed"
    else:
        why = "no run decided on this candle: signal-generation did not run between its close and the next one's"
    return Comparison(key, Finding.MISSED if is_buy else Finding.SILENT, None, again, why=why)


def find_differences(stored: Signal, again: Signal, step: Decimal) -> list[Difference]:
    """Return the fields in which two signals differ, with by how much; levels may be one price step apart."""
    found = []
    if stored.action is not again.action:
        found.append(Difference("action", stored.action.upper(), again.action.upper()))
    for name, least in (("price", Decimal(0)), ("stop_loss", step), ("take_profit", step)):
        before, after = getattr(stored, name), getattr(again, name)
        if before is not None and after is not None and abs(after - before) > least:
            found.append(_describe(name.replace("_", " "), before, after))
    sure, now = stored.confidence, again.confidence
    if sure is not None and now is not None and not abs(now - sure) <= CONFIDENCE_TOLERANCE:
        found.append(_describe("confidence", to_decimal(round(sure, 6)), to_decimal(round(now, 6))))
    return found


def _describe(field: str, before: Decimal, after: Decimal) -> Difference:
    share = f", {100 * (after - before) / before:+.2f} %" if before else ""
    return Difference(field, format_number(before), format_number(after), f"{after - before:+f}{share}")


def _explain(stored: Signal, yesterday: Yesterday) -> tuple[Finding, str]:
    """Return what explains a difference: a candle that was corrected since, or symbols that were not there yet."""
    key = stored.key
    is_market = yesterday.past.code[key.strategy].reads_market
    for symbol, opened_at, then in _list_corrected(yesterday):
        if opened_at <= key.opened_at and (symbol == key.symbol or is_market):
            now = format_number(to_decimal(yesterday.find_close(symbol, opened_at)))
            which = f"the candle of {symbol} of {opened_at:%H:%M} UTC was corrected after its signal"
            return Finding.CORRECTED, f"{which}: it closed at {format_number(then)} then, and closes at {now} now"
    if is_market:
        knew = {
            one.symbol
            for one, signal in yesterday.stored.items()
            if one.strategy == key.strategy
            and one.opened_at == key.opened_at
            and signal.created_at <= stored.created_at
        }
        if late := [symbol for symbol in yesterday.list_there(key.opened_at) if symbol not in knew]:
            return (
                Finding.LATE,
                f"it was decided without {', '.join(late[:5])}, whose candle came later or was not asked",
            )
    return Finding.DIFFERENT, ""


def _list_corrected(yesterday: Yesterday) -> Iterable[tuple[str, datetime, Decimal]]:
    """Return symbols and candles whose close is no longer what signals were given at, and that close."""
    for key, signal in sorted(yesterday.stored.items()):
        close = yesterday.find_close(key.symbol, key.opened_at)
        if np.isfinite(close) and to_decimal(close) != signal.price:
            yield key.symbol, key.opened_at, signal.price
