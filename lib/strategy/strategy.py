"""What a strategy is: bounded parameters, and pure functions from candles with indicators to decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from lib.errors import OperatorError
from lib.market.matrix import FloatMatrix
from lib.strategy.conditions import BoolMatrix, Condition, find_beginnings, find_where_all, find_where_any

if TYPE_CHECKING:  # the shelf brings numba, which nobody needs to register a strategy
    from lib.indicators.shelf import IndicatorShelf


def bounded(default: float, low: float, high: float, step: float) -> Any:
    """Declare a parameter: its default, its bounds (inclusive), and the step between the values a search tries."""
    return Field(default, ge=low, le=high, json_schema_extra={"step": step})


@dataclass(frozen=True)
class Decisions:
    """What a strategy says of every symbol at every bar; every matrix has the shape (symbols, bars).

    What stands at a bar follows from that bar and those before it alone. A decision is made when the bar has closed; it
    can be acted upon from the open of the next one.

    Attributes:
        entries: Buy. Only where the entry begins: it did not hold at the candle before. Never where an exit holds, or
            anything needed is unknown.
        exits: Sell what is held; stands for as long as it holds.
        score: How strong an entry would be, 0 to 1. It orders signals; it is no probability. 0 where unknown.
        stop_distance: The stop loss belongs so far below the price at which is bought, in quote per base; NaN in the
            warm-up.
        target_distance: The take profit belongs so far above it.
        entry_conditions: What an entry needs, all of it.
        exit_conditions: What ends it, any of it.
    """

    entries: BoolMatrix
    exits: BoolMatrix
    score: FloatMatrix
    stop_distance: FloatMatrix
    target_distance: FloatMatrix
    entry_conditions: tuple[Condition, ...]
    exit_conditions: tuple[Condition, ...]

    def explain(self, row: int, bar: int) -> tuple[str, ...]:
        """Say with the numbers why this symbol is bought at this bar or not; what decided against it comes first."""
        entering = {one.describe(row, bar): one.holds_at(row, bar) for one in self.entry_conditions}
        if self.entries[row, bar]:
            return tuple(entering)
        against = [reason for reason, holds in entering.items() if not holds]
        leaving = [one.describe(row, bar) for one in self.exit_conditions if one.holds_at(row, bar)]
        against += [f"{reason}, which is an exit" for reason in leaving]
        distance = self.stop_distance[row, bar]
        if not distance > 0:
            against.append("the average true range is zero or not known yet, so there is no stop loss")
        if not against:
            against.append("the entry has begun at an earlier candle, or it is not known to begin at this one")
        return (*against, *(reason for reason, holds in entering.items() if holds))


class Strategy(BaseModel, ABC):
    """Base of all strategies. A subclass's fields are its parameters, its class variable `name` its key for ever.

    Everything is a pure function of the shelf: the same for live signals, backtests over a whole history and grids of
    parameters (the shelf keeps what was computed once).

    Attributes:
        name: As in tables and settings: "trend_following".
        reads_market: Whether what it says of one symbol depends on the others; then it waits for their candles.
        atr_period: Candles of the average true range that stop and target are measured in.
        stop_atr: Distance of the stop loss, in average true ranges.
        target_atr: Distance of the take profit, in average true ranges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    reads_market: ClassVar[bool] = False

    atr_period: int = bounded(14, 7, 28, step=7)
    stop_atr: float = bounded(2.0, 1.0, 4.0, step=0.5)
    target_atr: float = bounded(4.0, 2.0, 8.0, step=1.0)

    @property
    @abstractmethod
    def lookback(self) -> int:
        """How many candles before a bar decide about it; more change nothing (but a float's last digits)."""

    @abstractmethod
    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """Return the conditions of an entry; it begins where all of them begin to hold together."""

    @abstractmethod
    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """Return the conditions of an exit; one that holds is enough."""

    @abstractmethod
    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """Return how strong an entry would be at each bar; what is outside 0 to 1 is cut."""

    def decide(self, shelf: IndicatorShelf) -> Decisions:
        """Return the decisions for every symbol and bar of the shelf.

        Raises:
            OperatorError: The strategy's code returns matrices of another shape than the candles.
        """
        candles = shelf.candles
        entering, leaving = tuple(self.enter_when(shelf)), tuple(self.exit_when(shelf))
        score = self.calc_score(shelf)
        self._check_shapes(candles.close.shape, (*entering, *leaving), score)
        atr = shelf.atr(self.atr_period)
        stop_distance = self.stop_atr * atr
        exits = find_where_any(leaving, candles) & ~np.isnan(candles.close)
        begins = find_beginnings(*find_where_all(entering), candles)
        can_stop = (stop_distance > 0) & (stop_distance < candles.close)  # a flat series has no range to stop at
        return Decisions(
            entries=begins & can_stop & ~exits & ~np.isnan(score),
            exits=exits,
            score=np.clip(np.nan_to_num(score), 0.0, 1.0),
            stop_distance=stop_distance,
            target_distance=self.target_atr * atr,
            entry_conditions=entering,
            exit_conditions=leaving,
        )

    @classmethod
    def calc_search_space(cls) -> Mapping[str, tuple[Any, ...]]:
        """Return the values that a search tries, by parameter: from bound to bound by the step, or the choices."""
        return {name: _list_values(name, field) for name, field in cls.model_fields.items()}

    def _check_shapes(self, shape: tuple[int, ...], conditions: Sequence[Condition], score: FloatMatrix) -> None:
        lines = [line for condition in conditions for line in (condition.left, condition.right)]
        found = {line.values.shape for line in lines} | {score.shape}
        if found != {shape}:
            raise OperatorError(
                f"Strategy {self.name}: expected matrices of the shape {shape} (symbols, bars), was {sorted(found)}. "
                "Mend its code, or disable it."
            )


def _list_values(name: str, field: FieldInfo) -> tuple[Any, ...]:
    if choices := get_args(field.annotation):  # a Literal
        return choices
    limits = {
        key: limit for part in field.metadata for key in ("ge", "le") if (limit := getattr(part, key, None)) is not None
    }
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or len(limits) < 2:
        raise TypeError(f"Expected bounds and a step of parameter {name}. Declare it with `bounded`, or as a Literal.")
    low, high, step = limits["ge"], limits["le"], float(str(extra["step"]))
    count = round((high - low) / step) + 1
    kind = field.annotation if isinstance(field.annotation, type) else float
    return tuple(kind(round(low + number * step, 10)) for number in range(count))


def calc_strength(value: FloatMatrix) -> FloatMatrix:
    """Return value / (1 + value), which goes from 0 at zero to 1 without end; 0 below zero, NaN where unknown."""
    above = np.maximum(value, 0.0)
    return above / (1.0 + above)


def divide(amount: FloatMatrix, unit: FloatMatrix) -> FloatMatrix:
    """Return amount / unit; NaN where the unit is zero."""
    return np.divide(amount, unit, out=np.full_like(unit, np.nan), where=unit != 0)


def settle_ema(period: int) -> int:
    """Return after how many candles the start of an exponential average weighs less than 1e-10 of it."""
    return 12 * (period + 1)


def settle_wilder(period: int) -> int:
    """Return the same for Wilder's smoothing, as in RSI and ATR."""
    return 24 * period
