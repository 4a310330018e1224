"""The backtest of decisions on candles: what the account would have become, trade by trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.errors import DataError, StrategyRefused
from lib.market.matrix import CandleMatrix
from lib.research import kernels
from lib.research.rules import Sizing, TradingRules
from lib.research.trades import Floats, Trades
from lib.research.windows import DECIDED
from lib.strategy.strategy import Decisions


@dataclass(frozen=True)
class Simulation:
    """What became of the account.

    Attributes:
        equity: Cash and what is held, at each close, in quote, shape (bars,).
        held_value: What is held, of it.
        trades: In order of their exits.
        too_small: Entries that were not made, as they were worth less than the minimum or no cash was left.
        ran_away: Entries that were not made, as the open was at or beyond their stop or target.
    """

    equity: Floats
    held_value: Floats
    trades: Trades
    too_small: int
    ran_away: int


def simulate(candles: CandleMatrix, decisions: Decisions, rules: TradingRules) -> Simulation:
    """Trade the decisions, all symbols from one cash account; the order of events is that of `lib.research.kernels`.

    The same input gives the same answer, to the bit.

    Raises:
        StrategyRefused: The decisions do not belong to the candles, or cannot be traded.
        DataError: There is no candle, or one that is only half there.
    """
    check_candles(candles)
    check_decisions(candles, decisions)
    most = int(decisions.entries.sum())
    symbols, bars = candles.close.shape
    market = kernels.Market(
        opens=to_plain(candles.open),
        highs=to_plain(candles.high),
        lows=to_plain(candles.low),
        closes=to_plain(candles.close),
        entries=np.require(decisions.entries, np.bool_, ["C", "W"]),
        exits=np.require(decisions.exits, np.bool_, ["C", "W"]),
        score=to_plain(decisions.score),
        stop_distance=to_plain(decisions.stop_distance),
        target_distance=to_plain(decisions.target_distance),
    )
    book = kernels.Book(
        equity=np.zeros(bars),
        held_value=np.zeros(bars),
        places=np.zeros((most, 4), np.int64),
        records=np.zeros((most, 7)),
        counts=np.zeros(4, np.int64),
        marks=np.zeros((symbols, 3), np.int64),
        positions=np.zeros((symbols, 6)),
    )
    kernels.trade_portfolio(market, float(rules.cash), to_numbers(rules, symbols), book)
    sold = int(book.counts[kernels.SOLD])
    return Simulation(
        equity=book.equity,
        held_value=book.held_value,
        trades=Trades(*book.places[:sold].T.copy(), *book.records[:sold].T.copy()),
        too_small=int(book.counts[kernels.TOO_SMALL]),
        ran_away=int(book.counts[kernels.RAN_AWAY]),
    )


def to_numbers(rules: TradingRules, symbols: int) -> kernels.Numbers:
    """Return the rules as kernels take them: floats, as whole numbers would be compiled for anew."""
    return kernels.Numbers(
        fee=float(rules.fee_ratio),
        slippage=float(rules.slippage_ratio),
        risk=float(rules.risk_per_trade_ratio),
        reserve=float(rules.cash_reserve_ratio),
        largest=float(rules.max_position_ratio),
        min_notional=float(rules.min_notional),
        share=1.0 / symbols if rules.sizing is Sizing.FULL else 0.0,
    )


def to_plain(matrix: Floats) -> Floats:
    """Return it in the one memory layout that kernels are compiled for."""
    return np.require(matrix, np.float64, ["C", "W"])


def check_candles(candles: CandleMatrix) -> None:
    """Refuse candles that nobody could have traded at.

    Raises:
        DataError: There is none at all, or one that is only half there or impossible.
    """
    lower, upper = np.minimum(candles.open, candles.close), np.maximum(candles.open, candles.close)
    if ((candles.low > 0) & (candles.low <= lower) & (upper <= candles.high) & (candles.high < np.inf)).all():
        return  # nearly always, and in a third of the time
    parts = np.stack([candles.open, candles.high, candles.low, candles.close])
    there = np.isfinite(parts) & (parts > 0)
    if not there.any():
        raise DataError(f"Expected {candles.timeframe} candles of {_name(candles.symbols)}, was none.")
    half = there.any(axis=0) & ~there.all(axis=0)
    beyond = (parts[2] > np.minimum(parts[0], parts[3])) | (parts[1] < np.maximum(parts[0], parts[3]))
    if (bad := np.argwhere(half | (beyond & there.all(axis=0)))).size:
        row, bar = bad[0]
        raise DataError(
            f"The {candles.timeframe} candle of {candles.symbols[row]} of {candles.opened_at[bar]} is impossible: "
            f"open, high, low, close {parts[:, row, bar].tolist()}. Fetch it again with backfill_market_data."
        )


def check_decisions(candles: CandleMatrix, decisions: Decisions) -> None:
    """Refuse decisions that do not fit the candles, or that cannot be traded.

    Raises:
        StrategyRefused: A matrix of another shape or kind, an entry without a candle, or without stop and target.
    """
    shape = candles.close.shape
    for name in DECIDED:
        matrix = getattr(decisions, name)
        if not isinstance(matrix, np.ndarray) or matrix.shape != shape:
            was = getattr(matrix, "shape", type(matrix).__name__)
            raise StrategyRefused(
                f"The strategy's {name}: expected the shape {shape} (symbols, bars), was {was}. Mend it."
            )
    if decisions.entries.dtype != np.bool_ or decisions.exits.dtype != np.bool_:
        raise StrategyRefused("The strategy's entries and exits: expected true or false, was something else. Mend it.")
    rows, bars = np.unravel_index(np.flatnonzero(decisions.entries), shape)
    values = (candles.close, decisions.stop_distance, decisions.target_distance, decisions.score)
    close, stop, target, score = (matrix[rows, bars] for matrix in values)
    fits = np.isfinite(close) & (stop > 0) & (stop < close) & (target > 0) & np.isfinite(target) & np.isfinite(score)
    if (bad := np.flatnonzero(~fits)).size:
        place = bad[0]
        where = f"{candles.symbols[rows[place]]} at {candles.opened_at[bars[place]]}"
        raise StrategyRefused(
            f"The strategy enters {where} with stop distance {stop[place]}, target distance {target[place]} and score "
            f"{score[place]} at a close of {close[place]}. Expected a candle, a stop above zero and a target. Mend it."
        )


def _name(symbols: Sequence[str]) -> str:
    return ", ".join(symbols)
