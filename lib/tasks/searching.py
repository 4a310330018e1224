"""The search of parameters: `run_backtest`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from lib.code_version import find_code_version
from lib.errors import FksError
from lib.market.matrix import CandleHistory
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.notifications.messages import Attachment
from lib.platform import Platform
from lib.ports import Clock
from lib.reporting.search_chapter import MEDIA_TYPE
from lib.reporting.search_page import Night, choose_examples, draw_chapters, name_scope, save_page
from lib.research import searching, validation
from lib.research.backtest import Backtest, backtest
from lib.research.cells import try_cell
from lib.research.look_ahead import Show
from lib.research.planning import Assignment, Stock, assign, longest_lookback
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan, choose_parameters
from lib.research.searching import Searched, SearchResult, Work
from lib.research.tally import Tally
from lib.results import Item, Status, extend, failed_item
from lib.settings import Settings
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StoredStrategy, StrategyState
from lib.tasks.research import SPARE, Request, Stores, make_rules, make_strategy

EXAMPLE = timedelta(days=90)  # of trades on prices: more could not be told apart
NIGHTS = 7  # that the page shows beside this one
logger = logging.getLogger(__name__)


async def run_backtest(
    platform: Platform, strategy: str | None, symbols: Sequence[str] | None, work: Work, show: Show
) -> tuple[SearchResult, tuple[Attachment, ...]]:
    """Search the parameters of strategies on all stored whole days, keep candidates, and write the night's page.

    Args:
        platform: The parts.
        strategy: Only this one; None means all of the code, disabled ones too.
        symbols: None means all that are kept.
        work: Works cells out.
        show: Told ``(done, total, what)``.

    Returns:
        What was found, and each strategy's curves as a picture.

    Raises:
        OperatorError: There is no such strategy.
        AllItemsFailed: None could be searched.
    """
    settings, clock = platform.settings, platform.clock
    stores = Stores(platform.analysis.history, platform.analysis.strategies, platform.market)
    plan = plan_of(settings)
    chosen, scope = tuple(symbols or settings.symbols), ",".join(symbols or ())

    def search_all() -> tuple[SearchResult, tuple[Attachment, ...]]:
        register_strategies(stores.strategies, clock.now())
        stored = validation.choose_strategies(stores.strategies.load_strategies(), strategy)
        rules = make_rules(stores, settings, chosen)
        stock = take_stock(chosen, stores, settings, floor_to_timeframe(clock.now(), "1d"))
        assignments, refused = _assign_all(stored, chosen, stock, rules, plan)
        result, done = searching.run_backtest(
            assignments=assignments,
            refused=refused,
            work=work,
            store=stores.strategies,
            records=platform.analysis.searches,
            scope=scope,
            plan=plan,
            clock=clock,
            show=show,
        )
        show(0, 1, "drawing the page")
        examples, flaws = _find_examples(done, stock, stores.history, rules)
        earlier = platform.analysis.searches.load_searches(scope, stock.ends_at, NIGHTS)
        night = Night(done, plan, result, stock.timeframe, examples, earlier, name_scope(strategy, symbols))
        return _publish(night, flaws, settings.home.expanduser().absolute() / "backtests")

    return await asyncio.to_thread(search_all)


def search_here(
    request: Request, stores: Stores, settings: Settings, clock: Clock, rules: TradingRules, show: Show
) -> Searched:
    """Search a strategy's parameters on a request's symbols and days, here and now; nothing is stored.

    The days are whole ones, up to the last that is over.

    Raises:
        StrategyRefused: As `lib.tasks.research.run_one`.
        DataError: Too few days, or no candles.
    """
    in_force = {one.name: one for one in stores.strategies.load_strategies()}.get(request.strategy)
    strategy = make_strategy(request.strategy, request.parameters, in_force.parameters if in_force else {})
    now, plan, timeframe = clock.now(), plan_of(settings), request.timeframe or settings.signal_timeframe
    end = floor_to_timeframe(now, "1d")
    begin = end - timedelta(days=request.days) - longest_lookback(strategy) * width_of(timeframe)
    symbols = tuple(dict.fromkeys(request.symbols))
    market = tuple(dict.fromkeys((*symbols, *settings.symbols)))
    stock = Stock(timeframe, market, stores.history.load_starts(market, timeframe, begin, end), begin, end)
    stored = in_force or StoredStrategy(request.strategy, StrategyState.DISABLED, "", now, 0, {})
    assignment = assign(stored, strategy, symbols, stock, rules, plan)
    tally = Tally(plan)
    for number, cell in enumerate(assignment.cells):
        show(number, len(assignment.cells), f"parameters of {cell.name}")
        tally.add(cell.symbol, try_cell(cell, stores.history))
    found = tally.judge(choose_parameters(strategy, plan.combinations, plan.seed))
    searched = tuple(cell.symbol for cell in assignment.cells)
    return Searched(stored, found, searched, assignment.left_out, assignment.starts_at, end)


def plan_of(settings: Settings) -> SearchPlan:
    """Return how much the settings want to be tried."""
    return SearchPlan(
        combinations=settings.search_combinations,
        seed=settings.search_seed,
        train_days=settings.search_train_days,
        test_days=settings.search_test_days,
    )


def take_stock(symbols: Sequence[str], stores: Stores, settings: Settings, end: datetime) -> Stock:
    """Return which candles there are up to the end of a day, of these symbols and of all that are kept."""
    timeframe = settings.signal_timeframe
    market = tuple(dict.fromkeys((*symbols, *settings.symbols)))
    begin = end - timedelta(days=settings.history_days[timeframe])
    starts = stores.history.load_starts(market, timeframe, begin, end)
    return Stock(timeframe, market, starts, begin, end)


def _assign_all(
    stored: Sequence[StoredStrategy],
    symbols: Sequence[str],
    stock: Stock,
    rules: TradingRules,
    plan: SearchPlan,
) -> tuple[list[Assignment], list[Item]]:
    assignments, refused = [], []
    for one in stored:
        try:
            strategy = make_strategy(one.name, {}, one.parameters)
            assignments.append(assign(one, strategy, symbols, stock, rules, plan))
        except FksError as error:  # counted as a failed item
            logger.warning("Strategy %s cannot be searched: %s", one.name, error)
            refused.append(failed_item(one.name, error))
    return assignments, refused


def _find_examples(
    done: Sequence[Searched], stock: Stock, history: CandleHistory, rules: TradingRules
) -> tuple[dict[str, tuple[Backtest, ...]], list[str]]:
    """Trade what is best of each strategy on the recent days of two symbols: where it did best, and where worst."""
    examples: dict[str, tuple[Backtest, ...]] = {}
    flaws = []
    for one in done:
        best = one.search.tried[one.search.best]
        start = stock.ends_at - EXAMPLE
        begin = start - int(SPARE * best.lookback + 1) * width_of(stock.timeframe)
        try:
            tested = []
            for symbol in choose_examples(one.search):
                universe = stock.market if best.reads_market else (symbol,)
                candles = history.load_matrix(universe, stock.timeframe, begin, stock.ends_at)
                tested.append(backtest(best, candles, [symbol], start, rules))
            examples[one.stored.name] = tuple(tested)
        except FksError as error:  # counted as a flaw of the page
            flaws.append(f"no trades of {one.stored.name} are shown: {error}")
    return examples, flaws


def _publish(night: Night, flaws: Sequence[str], folder: Path) -> tuple[SearchResult, tuple[Attachment, ...]]:
    """Write the page, and return the curves for artifacts; what it lacks makes the result partial, candidates stay."""
    chapters, not_drawn = draw_chapters(night)
    path, not_written = save_page(night, chapters, folder, find_code_version())
    items = [Item(name="page", status=Status.PARTIAL, detail=flaw) for flaw in (*flaws, *not_drawn, *not_written)]
    result = extend(night.result, items).model_copy(update={"path": str(path) if path else None})
    return result, tuple(
        Attachment(f"{one.line.strategy}.webp", MEDIA_TYPE, one.pictures[0].content) for one in chapters if one.pictures
    )
