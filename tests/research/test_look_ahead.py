"""Strategies that know the future are found and refused, however they know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from lib.errors import OperatorError
from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import FloatMatrix
from lib.research.deciding import decide
from lib.research.look_ahead import check_no_look_ahead, choose_ends
from lib.strategy.breakout import Breakout
from lib.strategy.conditions import Condition, Line, level, price_line
from lib.strategy.registry import STRATEGIES
from lib.strategy.strategy import Strategy
from tests.strategy.worlds import make_walk


class Honest(Strategy):
    """Above its average; the others break one thing of it."""

    name: ClassVar[str] = "honest"

    @property
    def lookback(self) -> int:
        return 300

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        return (Condition(price_line(shelf.candles), "above", Line("SMA 20", shelf.sma(20))),)

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        return (Condition(price_line(shelf.candles), "below", Line("SMA 20", shelf.sma(20))),)

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        return np.full_like(shelf.candles.close, 0.5)


class Prophet(Honest):
    """It knows the next close."""

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        close = shelf.candles.close
        following = np.concatenate([close[:, 1:], close[:, -1:]], axis=1)
        return (Condition(Line("next close", following), "above", price_line(shelf.candles)),)


class Leaver(Honest):
    """It leaves what is going to fall."""

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        close = shelf.candles.close
        following = np.concatenate([close[:, 5:], np.repeat(close[:, -1:], 5, axis=1)], axis=1)
        return (Condition(Line("close in five hours", following), "below", price_line(shelf.candles)),)


class Normaliser(Honest):
    """It measures the price by the mean of all prices, later ones too."""

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        close = shelf.candles.close
        line = Line("price by the mean of all", close / np.nanmean(close, axis=1, keepdims=True))
        return (Condition(line, "above", level(1, line)),)


class Flatterer(Honest):
    """Only its score knows."""

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        close = shelf.candles.close
        return (close[:, -1:] > close).astype(np.float64)


class Raiser(Honest):
    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        raise KeyError("ema_9")


class Crooked(Honest):
    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        return np.zeros((1, 3))


class Unknowing(Honest):
    """Its indicators are not known anywhere."""

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        line = Line("nothing", np.full_like(shelf.candles.close, np.nan))
        return (Condition(line, "above", level(0, line)),)


def check(strategy: Strategy) -> None:
    candles = make_walk(2, 1000, gaps=0.02)
    check_no_look_ahead(strategy, candles, decide(strategy, candles))


@pytest.mark.parametrize("strategy", [*STRATEGIES.values(), Honest])
def test_honest_strategies_pass(strategy: type[Strategy]) -> None:
    check(strategy())


@pytest.mark.parametrize(
    ("strategy", "what"),
    [
        (Prophet, "next close"),
        (Leaver, "close in five hours"),
        (Normaliser, "price by the mean of all"),
        (Flatterer, "score"),
    ],
)
def test_knowledge_of_the_future_is_refused_with_place_and_name(strategy: type[Strategy], what: str) -> None:
    with pytest.raises(
        OperatorError, match=rf"looks ahead: at the candle of .* of S\d/USDT its .*({what}|entries|exits)"
    ):
        check(strategy())


def test_a_strategy_that_raises_is_named_with_its_error() -> None:
    with pytest.raises(OperatorError, match=r"Strategy honest raised KeyError: 'ema_9'\. Mend its code\."):
        check(Raiser())


def test_matrices_of_another_shape_are_refused() -> None:
    with pytest.raises(OperatorError, match=r"expected matrices of the shape \(2, 1000\)"):
        check(Crooked())


def test_indicators_that_are_never_known_give_no_entry() -> None:
    candles = make_walk(2, 1000)
    assert not decide(Unknowing(), candles).entries.any()
    check(Unknowing())


def test_prefixes_end_with_decisions_and_evenly_between() -> None:
    decisions = decide(Breakout(), make_walk(1, 1000))
    ends = choose_ends(decisions, 100)
    entries, exits = (np.flatnonzero(places[0]) + 1 for places in (decisions.entries, decisions.exits))
    assert len(np.intersect1d(ends, entries)) >= 4
    assert len(np.intersect1d(ends, exits)) >= 3
    assert 100 < min(ends) < max(ends) < 1000
