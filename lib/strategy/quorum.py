"""Whether enough of the market is there for a strategy that reads all of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lib.strategy.evaluation import View

LEAST_SHARE = Fraction(2, 3)  # of the symbols that trade: a dead one of three silences nobody
MOST_NAMED = 5


def find_obstacle(view: View, trading: Sequence[str], *, is_settling: bool) -> str | None:
    """Return why the market cannot be read at the candle that has just closed; None when it can.

    While candles settle, every symbol is waited for that had the candle before. One that stays away after that, or was
    behind already, is left out, so that it does not silence the strategy for ever; but below `LEAST_SHARE` a few
    symbols would pass for the market.

    Args:
        view: The candles.
        trading: The universe without symbols that are halted or delisted; one without any history counts too.
        is_settling: Whether a candle that is missing may still come.
    """
    absent = [symbol for symbol in trading if not view.has_candle(symbol)]
    there = f"{len(trading) - len(absent)} of {len(trading)} candles there"
    if is_settling and (late := [symbol for symbol in absent if view.is_late(symbol)]):
        return f"{there}; it reads the whole market, and waits for {_name(late)}"
    if is_enough(len(trading) - len(absent), len(trading)):
        return None
    return f"{there}, {_name(absent)} missing; it reads the whole market, and needs {LEAST_SHARE} of it"


def is_enough(there: int, trading: int) -> bool:
    """Whether so many of the symbols that trade are the market."""
    return there >= LEAST_SHARE * trading


def _name(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - MOST_NAMED} more" if len(symbols) > MOST_NAMED else ""
    return ", ".join(symbols[:MOST_NAMED]) + more
