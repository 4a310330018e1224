"""Trades of a backtest: where each began and ended, why, and what it earned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import CandleMatrix

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class ExitReason(IntEnum):
    """Why a position was sold."""

    SIGNAL = 0
    STOP = 1
    TARGET = 2
    END = 3


@dataclass(frozen=True)
class Trades:
    """Columns of the shape (trades,), in order of their exits.

    Attributes:
        row: Which symbol.
        entry_bar: At whose open was bought.
        exit_bar: In which was sold.
        reason: An `ExitReason`.
        entry_price: Paid per base, slippage included, fee not.
        exit_price: Received per base, slippage included, fee not.
        quantity: In base.
        fees: Of both sides, in quote.
        profit: After fees, in quote.
        stop_loss: As it stood, quote per base.
        take_profit: As it stood, quote per base.
    """

    row: Places
    entry_bar: Places
    exit_bar: Places
    reason: Places
    entry_price: Floats
    exit_price: Floats
    quantity: Floats
    fees: Floats
    profit: Floats
    stop_loss: Floats
    take_profit: Floats

    def __len__(self) -> int:
        return len(self.row)

    @property
    def return_ratio(self) -> Floats:
        """Profit as a share of what was paid, fee of the entry left out."""
        ratio: Floats = self.profit / (self.quantity * self.entry_price)
        return ratio


@dataclass(frozen=True)
class Trade:
    """One trade for people and tables; prices in quote per base, profit and fees in quote.

    Attributes:
        symbol: "BTC/USDT".
        entered_at: Open time of the candle at whose open was bought, UTC.
        exited_at: Open time of the candle in which was sold, UTC.
        reason: "signal", "stop", "target" or "end".
        entry_price: Slippage included.
        exit_price: Slippage included.
        quantity: In base.
        fees: Of both sides.
        profit: After fees.
        return_ratio: Profit as a share of what was paid.
    """

    symbol: str
    entered_at: datetime
    exited_at: datetime
    reason: str
    entry_price: float
    exit_price: float
    quantity: float
    fees: float
    profit: float
    return_ratio: float


def list_trades(trades: Trades, candles: CandleMatrix) -> list[Trade]:
    """Return the trades one by one, with instants in place of bars."""
    from lib.indicators.work import to_aware

    returns = trades.return_ratio
    return [
        Trade(
            symbol=candles.symbols[trades.row[number]],
            entered_at=to_aware(candles.opened_at[trades.entry_bar[number]]),
            exited_at=to_aware(candles.opened_at[trades.exit_bar[number]]),
            reason=ExitReason(trades.reason[number]).name.lower(),
            entry_price=float(trades.entry_price[number]),
            exit_price=float(trades.exit_price[number]),
            quantity=float(trades.quantity[number]),
            fees=float(trades.fees[number]),
            profit=float(trades.profit[number]),
            return_ratio=float(returns[number]),
        )
        for number in range(len(trades))
    ]
