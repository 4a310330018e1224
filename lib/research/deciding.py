"""Letting a strategy decide, without trusting it."""

from __future__ import annotations

from lib.errors import FksError, OperatorError, StrategyRefused
from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix
from lib.research.engine import check_decisions
from lib.strategy.strategy import Decisions, Strategy


def decide(strategy: Strategy, candles: CandleMatrix) -> Decisions:
    """Return what the strategy decides, checked.

    Raises:
        StrategyRefused: Its code raises, or gives what does not fit the candles.
    """
    try:
        decisions = strategy.decide(IndicatorShelf(candles))
    except OperatorError as error:
        raise StrategyRefused(str(error)) from error
    except FksError:
        raise
    except Exception as error:
        raise StrategyRefused(
            f"Strategy {strategy.name} raised {type(error).__name__}: {error}. Mend its code."
        ) from error
    check_decisions(candles, decisions)
    return decisions
