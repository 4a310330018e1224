"""Parity: yesterday's signals, recomputed from the stored candles, are those that were given."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.errors import FksError, RetryableError
from lib.market.matrix import CandleHistory
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.results import Item, calc_status, failed_item
from lib.strategy.deciding import News
from lib.strategy.evaluation import count_bars
from lib.strategy.parity_alerts import write_parity
from lib.strategy.parity_compare import Yesterday, compare_strategy
from lib.strategy.parity_report import (
    Comparison,
    Finding,
    ParityResult,
    build_differences,
    build_items,
    build_lines,
)
from lib.strategy.past import Past
from lib.strategy.registry import STRATEGIES
from lib.strategy.stores import SignalStore, StrategyStore
from lib.strategy.strategy import Strategy

TASK = "check_parity"
DAY = timedelta(days=1)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParityOptions:
    """What is compared.

    Attributes:
        timeframes: All that are kept; signals of each are compared.
        live: That of signal-generation; only here a signal that is not there was missed.
        strategy: Only this one; None means all.
    """

    timeframes: Sequence[str]
    live: str
    strategy: str | None = None


def check_parity(
    *,
    symbols: Sequence[str],
    history: CandleHistory,
    strategies: StrategyStore,
    signals: SignalStore,
    market: MarketFacts,
    news: News | None,
    clock: Clock,
    options: ParityOptions,
    code: Mapping[str, type[Strategy]] = STRATEGIES,
) -> ParityResult:
    """Recompute the signals of every candle that closed yesterday (UTC), and tell people once of each that differs.

    Each is recomputed with the parameters that it was given by, also when the strategy has others or is disabled now,
    from candles alone: stored indicators, which live signals may use, are part of what is checked. Levels may differ by
    one price step, the confidence by a millionth. Reasons are words, and are not compared.

    Args:
        symbols: The universe now; symbols with signals are looked at too.
        history: Candles.
        strategies: With their past.
        signals: What was given.
        market: The exchange's price steps.
        news: As signals are filtered by; None when news do not count.
        clock: Now.
        options: What is compared.
        code: The strategies there are, by name.

    Raises:
        AllItemsFailed: No strategy could be recomputed.
        DatabaseUnavailable: Trying again repeats nothing.
    """
    now = clock.now()
    past = Past(strategies.load_changes(), strategies.load_parameters(), code)
    found: list[Comparison] = []
    failed: dict[str, Item] = {}
    for timeframe in options.timeframes:
        yesterday = _load(timeframe, floor_to_timeframe(now, "1d"), symbols, history, signals, market, past, options)
        if yesterday is not None:
            found += _compare(yesterday, news, options, failed)
    told = [one for one in found if one.is_told]
    recorded = sum(strategies.tell(message) for message in write_parity(told, now))
    items = [*(one for one in build_items(found) if one.name not in failed), *failed.values()]
    return ParityResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={
            "signals compared": sum(one.stored is not None and one.again is not None for one in found),
            "equal": sum(one.finding is Finding.EQUAL for one in found),
            "differences": len(told),
            "BUYs never given": sum(one.finding is Finding.MISSED for one in found),
            "alerts": recorded,
        },
        items=tuple(items),
        started_at=now,
        finished_at=clock.now(),
        lines=build_lines(found),
        differences=build_differences(found),
    )


def _compare(
    yesterday: Yesterday, news: News | None, options: ParityOptions, failed: dict[str, Item]
) -> list[Comparison]:
    """Compare each strategy's signals; one that cannot be recomputed is put among the failed, and stops no other."""
    found: list[Comparison] = []
    is_live = yesterday.candles.timeframe == options.live
    for name in yesterday.past.names if options.strategy is None else (options.strategy,):
        try:
            found += compare_strategy(name, yesterday, news, is_live=is_live)
        except RetryableError:
            raise
        except Exception as error:  # counted as a failed item
            shown = None if isinstance(error, FksError) else error
            logger.warning("Signals of %s cannot be recomputed", name, exc_info=shown)
            failed[name] = failed_item(name, error)
    return found


def _load(
    timeframe: str,
    midnight: datetime,
    symbols: Sequence[str],
    history: CandleHistory,
    signals: SignalStore,
    market: MarketFacts,
    past: Past,
    options: ParityOptions,
) -> Yesterday | None:
    """Return what there is of the candles that closed in the day up to midnight; None where there is nothing to do."""
    width = width_of(timeframe)
    newest = floor_to_timeframe(midnight, timeframe) - width
    opened = [
        newest - back * width for back in range(max(DAY // width, 1)) if newest - back * width + width > midnight - DAY
    ]
    stored = {key: one for at in reversed(opened) for key, one in signals.load_signals(timeframe, at).items()}
    if not opened or (not stored and timeframe != options.live):
        return None
    universe = tuple(dict.fromkeys([*symbols, *(key.symbol for key in stored)]))
    bars = count_bars(_list_strategies(past))
    candles = history.load_matrix(universe, timeframe, opened[-1] - bars * width, newest + width)
    return Yesterday(opened[::-1], stored, candles, market.load_listings(universe), past)


def _list_strategies(past: Past) -> Iterable[Strategy]:
    """Return every strategy with all parameters that it ever had and that still fit."""
    for name, version in past.parameters:
        try:
            yield past.enroll(name, version).strategy
        except FksError:  # told where its signals are compared
            continue
