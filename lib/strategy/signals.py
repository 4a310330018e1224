"""Generating signals: what every active strategy says of every symbol when a candle has closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from lib.indicators.stored import IndicatorHistory
from lib.market.matrix import CandleHistory
from lib.market.timeframes import calc_newest_closed
from lib.portfolio.state import StateStore
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.results import Item, Status, calc_status
from lib.strategy.deciding import News, Round, decide_missing
from lib.strategy.evaluation import load_view
from lib.strategy.missed import tell_undecided, tell_untold, to_items
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import load_roster
from lib.strategy.signal_report import SignalsResult, build_buy_lines, build_symbol_lines
from lib.strategy.sizing import SizingRules
from lib.strategy.stores import Action, SentimentStore, SignalStore, StrategyStore
from lib.strategy.strategy import Strategy
from lib.strategy.telling import size_buys, tell_buys

TASK = "generate_signals"


@dataclass(frozen=True)
class SignalOptions:
    """What an operator sets.

    Attributes:
        sizing: The limits of one trade.
        settle: How long after its close a candle may be missing without that being a failure.
        min_sentiment: Symbols with worse news (-1 to 1) are not bought; None: news do not count.
        every: How often runs come, as the schedule has it.
    """

    sizing: SizingRules = field(default_factory=SizingRules)
    settle: timedelta = timedelta(minutes=2)
    min_sentiment: float | None = None
    every: timedelta = timedelta(minutes=15)


def generate_signals(
    *,
    accounts: Sequence[str],
    symbols: Sequence[str],
    timeframe: str,
    history: CandleHistory,
    indicators: IndicatorHistory | None,
    strategies: StrategyStore,
    signals: SignalStore,
    states: StateStore,
    market: MarketFacts,
    sentiment: SentimentStore | None,
    clock: Clock,
    options: SignalOptions,
    code: Mapping[str, type[Strategy]] = STRATEGIES,
) -> SignalsResult:
    """Let every active strategy say BUY or HOLD of every symbol on the last closed candle, and tell people of the BUYs.

    * A signal is the same for all accounts; each account's quantity is worked out once for it. Both are stored and
      never change: another run on the same candle adds only what was missing (a candle that came late, an account
      whose balances were not known), and repeats nothing.
    * A symbol without that candle gets no signal, and its item says which candle is the newest. A halted or delisted
      one is passed over.
    * A strategy that is disabled says nothing. When none is active every symbol is HOLD, with a warning; there is no
      default.
    * An entry that began at an earlier candle that no run decided on, after an outage or because candles close more
      often than runs come, is told as missed: nobody should buy at its price.
    * One message per strategy, symbol and candle, with a line for each account and a chart. Whoever is killed between
      storing and telling tells it at the next run; once the next candle has closed, as missed.

    Args:
        accounts: Who is told a quantity; signals do not depend on them.
        symbols: The universe; the market index is made of all of it.
        timeframe: Of the candles, "1h".
        history: Candles.
        indicators: Stored ones, used where they belong to the candle; None computes all.
        strategies: Which are active, with which parameters.
        signals: Where signals, sizes and their messages are.
        states: What the accounts are worth.
        market: The exchange's filters.
        sentiment: What the news said; asked only with `options.min_sentiment`.
        clock: Now.
        options: The operator's.
        code: The strategies there are, by name.

    Raises:
        AllItemsFailed: No symbol has the candle, or every strategy failed.
        SettingsError: The timeframe is unknown.
        DatabaseUnavailable: Trying again repeats nothing.
    """
    now = clock.now()
    opened_at = calc_newest_closed(now, timeframe)
    roster = load_roster(strategies, now, code)
    enrolled = list(roster.enrolled.values())
    view = cache(lambda: load_view(history, indicators, symbols, timeframe, opened_at, enrolled))
    a_round = Round(symbols, timeframe, opened_at, now, roster, market.load_listings(symbols), view)
    news = News(sentiment, options.min_sentiment) if sentiment and options.min_sentiment is not None else None

    before = a_round.select(signals.load_signals(timeframe, opened_at))
    fresh, items = decide_missing(a_round, before, options.settle, news)
    missed = tell_undecided(a_round, fresh, options.every, signals)
    signals.save_signals(fresh)
    known = a_round.select(signals.load_signals(timeframe, opened_at)) if fresh else before
    buys = [signal for signal in known.values() if signal.action is Action.BUY]
    sized = size_buys(a_round, buys, accounts, signals=signals, states=states, rules=options.sizing)
    told = tell_buys(a_round, buys, sized, signals)
    missed += tell_untold(a_round, signals)

    unsized = (
        Item(name=name, status=Status.PARTIAL, detail=f"not sized: {why}") for name, why in sized.unsized.items()
    )
    reported = (*roster.items, *items, *unsized, *to_items(missed, now))
    return SignalsResult(
        task=TASK,
        status=calc_status(TASK, reported),
        counts={"new signals": len(fresh), "buys": len(buys), "alerts": told, "missed buys": len(missed)},
        items=(*reported, *roster.disabled),
        started_at=now,
        finished_at=clock.now(),
        buys=build_buy_lines(buys, sized.sizes, sized.unsized),
        symbols=build_symbol_lines(symbols, known, items, opened_at),
    )
