"""The standard set: what is stored of every candle."""

from __future__ import annotations

COLUMNS = (
    "rsi_14",
    "macd",
    "macd_signal",
    "macd_histogram",
    "bollinger_lower",
    "bollinger_middle",
    "bollinger_upper",
    "atr_14",
    "sma_20",
    "sma_50",
    "sma_200",
    "ema_12",
    "ema_26",
)
