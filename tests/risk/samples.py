"""Accounts to test with, written as a person would note them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from lib.market.matrix import CandleMatrix
from lib.portfolio.state import AccountState
from tests.portfolio.samples import ACCOUNT, START


def hold(cash: str = "0", *, pnl: str = "0", other: str = "", unpriced: str = "", **values: str) -> AccountState:
    """``hold("2000", SOL="8000", other="BTC=500")``: 2 000 USDT, a position of 8 000 in SOL, and BTC beside it."""
    return AccountState(
        account=ACCOUNT,
        quote_asset="USDT",
        at=START,
        cash_free=Decimal(cash),
        cash_locked=Decimal(0),
        market_values={f"{base}/USDT": Decimal(value) for base, value in values.items()},
        other_values={asset: Decimal(value) for asset, value in (one.split("=") for one in other.split())},
        unrealized_pnl=Decimal(pnl),
        unpriced=tuple(unpriced.split()),
    )


def daily(**closes: Sequence[float]) -> CandleMatrix:
    """Daily closes by base asset, all ending at the same day; NaN where no candle is stored."""
    close = np.array(list(closes.values()), dtype=np.float64)
    days = np.datetime64("2024-10-03", "us") - np.arange(close.shape[1])[::-1] * np.timedelta64(1, "D")
    symbols = tuple(f"{base}/USDT" for base in closes)
    return CandleMatrix(symbols, "1d", days, close, close, close, close, np.ones_like(close))


def walk(returns: Sequence[float], start: float = 100.0) -> list[float]:
    """Closes that have these daily returns."""
    return [start, *(start * np.cumprod(1 + np.array(returns)))]


def random_returns(days: int, seed: int) -> list[float]:
    """Daily returns of a volatile asset."""
    return list(np.random.default_rng(seed).normal(0, 0.04, days).clip(-0.5, 0.5))
