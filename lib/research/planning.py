"""Which symbols and which days a search takes, and the cells that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.errors import DataError
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.research.cells import Cell
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan
from lib.strategy.registry import calc_code_version
from lib.strategy.stores import StoredStrategy
from lib.strategy.strategy import Strategy

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Stock:
    """The candles that there are.

    Attributes:
        timeframe: Of them.
        market: All symbols, those that are searched on among them.
        starts: The first candle of each symbol that has any, from `begins_at` on, UTC.
        begins_at: Candles before are not asked for.
        ends_at: Of the day after the last whole one.
    """

    timeframe: str
    market: tuple[str, ...]
    starts: Mapping[str, datetime]
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Assignment:
    """The search of one strategy.

    Attributes:
        stored: The strategy as it stands.
        strategy: With the parameters in force.
        starts_at: Of the first day.
        ends_at: Of the day after the last.
        cells: One a symbol.
        left_out: Symbols with too short a history.
    """

    stored: StoredStrategy
    strategy: Strategy
    starts_at: datetime
    ends_at: datetime
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]


def assign(
    stored: StoredStrategy,
    strategy: Strategy,
    symbols: Sequence[str],
    stock: Stock,
    rules: TradingRules,
    plan: SearchPlan,
) -> Assignment:
    """Search one strategy on the whole UTC days for which every symbol that counts has candles.

    A symbol whose history begins within the newest training and test window is left out.

    Raises:
        DataError: No symbol has enough days.
    """
    width = width_of(stock.timeframe)
    lookback = timedelta(days=-(-longest_lookback(strategy) * width // DAY))
    latest = stock.ends_at - plan.least_days * DAY - lookback
    starts = {symbol: at for symbol in symbols if (at := stock.starts.get(symbol)) is not None and at <= latest}
    if not starts:
        raise DataError(
            f"No symbol has {plan.least_days} days of {stock.timeframe} candles and {lookback.days} before them, so "
            f"{stored.name} cannot be searched. Raise FKS_HISTORY_DAYS, or wait for the history."
        )
    starts_at = floor_to_timeframe(max(starts.values()) + lookback + DAY - width, "1d")

    def cell_of(symbol: str) -> Cell:
        return Cell(
            strategy=stored.name,
            parameters=strategy.model_dump(mode="json"),
            code_version=calc_code_version(type(strategy)),
            symbol=symbol,
            universe=stock.market if strategy.reads_market else (symbol,),
            timeframe=stock.timeframe,
            begins_at=stock.begins_at,
            starts_at=starts_at,
            ends_at=stock.ends_at,
            rules=rules,
            combinations=plan.combinations,
            seed=plan.seed,
        )

    return Assignment(
        stored=stored,
        strategy=strategy,
        starts_at=starts_at,
        ends_at=stock.ends_at,
        cells=tuple(cell_of(symbol) for symbol in starts),
        left_out=tuple(symbol for symbol in symbols if symbol not in starts),
    )


def longest_lookback(strategy: Strategy) -> int:
    """Return how many candles any parameters of the search space look back at most."""
    space = strategy.calc_search_space()
    return type(strategy).model_validate({name: values[-1] for name, values in space.items()}).lookback
