"""The shelf: each indicator once, from what is stored where that is of the very candle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.indicators import kernels
from lib.indicators.shelf import IndicatorShelf
from lib.indicators.stored import StoredIndicators
from lib.market.matrix import CandleMatrix
from tests.indicators.examples import walk


@pytest.fixture
def candles() -> CandleMatrix:
    high, low, close = walk(2, 60)
    for matrix in (high, low, close):
        matrix[1, 30] = np.nan
    opened_at = np.datetime64("2026-03-02T00:00", "us") + np.arange(60) * np.timedelta64(1, "h")
    symbols = ("BTC/USDT", "ETH/USDT")
    return CandleMatrix(symbols, "1h", opened_at, close, high, low, close, np.ones_like(close))


def stored_for(candles: CandleMatrix, value: float) -> StoredIndicators:
    values = {name: np.full(candles.close.shape, value) for name in ("ema_12", "macd", "macd_signal", "macd_histogram")}
    return StoredIndicators(candles.symbols, candles.timeframe, candles.opened_at, candles.close.copy(), values)


def test_the_shelf_gives_what_the_kernels_compute(candles: CandleMatrix) -> None:
    shelf = IndicatorShelf(candles)
    high_low_close = candles.high, candles.low, candles.close
    np.testing.assert_array_equal(shelf.sma(20), kernels.sma(candles.close, 20))
    np.testing.assert_array_equal(shelf.ema(12), kernels.ema(candles.close, 12))
    np.testing.assert_array_equal(shelf.rsi(14), kernels.rsi(candles.close, 14))
    np.testing.assert_array_equal(shelf.atr(14), kernels.atr(*high_low_close, 14))
    np.testing.assert_array_equal(shelf.macd(12, 26, 9), kernels.macd(candles.close, 12, 26, 9))
    np.testing.assert_array_equal(shelf.bollinger(20, 2.0), kernels.bollinger(candles.close, 20, 2.0))
    np.testing.assert_array_equal(shelf.highest(20), kernels.highest(candles.high, 20))
    np.testing.assert_array_equal(shelf.lowest(20), kernels.lowest(candles.low, 20))
    assert np.all(shelf.bollinger().upper[:, 19] > shelf.bollinger().lower[:, 19])


def test_an_indicator_is_computed_once_and_cannot_be_written_to(candles: CandleMatrix) -> None:
    shelf = IndicatorShelf(candles)
    assert shelf.sma(20) is shelf.sma(20)
    assert shelf.sma(20) is not shelf.sma(21)
    assert shelf.bollinger(20, 2.0).upper is not shelf.bollinger(20, 3.0).upper
    assert shelf.macd(12, 26, 9).line is not shelf.macd(12, 26, 8).line
    with pytest.raises(ValueError, match="read-only"):
        shelf.rsi(14)[0, 0] = 1.0


def test_a_stored_row_of_the_very_candle_is_taken(candles: CandleMatrix) -> None:
    shelf = IndicatorShelf(candles, stored_for(candles, 7.0))
    there = ~np.isnan(candles.close)
    assert set(shelf.ema(12)[there]) == {7.0}
    assert set(shelf.macd().signal[there]) == {7.0}
    assert np.isnan(shelf.ema(12)[1, 30])


def test_other_periods_than_the_stored_ones_are_computed(candles: CandleMatrix) -> None:
    shelf = IndicatorShelf(candles, stored_for(candles, 7.0))
    np.testing.assert_array_equal(shelf.ema(13), kernels.ema(candles.close, 13))
    np.testing.assert_array_equal(shelf.sma(20), kernels.sma(candles.close, 20))
    np.testing.assert_array_equal(shelf.macd(12, 26, 8), kernels.macd(candles.close, 12, 26, 8))


def test_a_candle_without_a_row_or_changed_since_is_computed(candles: CandleMatrix) -> None:
    stored = stored_for(candles, 7.0)
    stored.close[0, 59] = np.nan
    stored.close[1, 59] *= 1.001
    found, computed = IndicatorShelf(candles, stored).ema(12), kernels.ema(candles.close, 12)
    np.testing.assert_array_equal(found[:, 59], computed[:, 59])
    assert set(found[:, 58]) == {7.0}


def test_rows_of_other_bars_are_refused(candles: CandleMatrix) -> None:
    stored = stored_for(candles, 7.0)
    for wrong in (
        replace(stored, symbols=("ETH/USDT", "BTC/USDT")),
        replace(stored, timeframe="4h"),
        replace(stored, opened_at=stored.opened_at + np.timedelta64(1, "h")),
    ):
        with pytest.raises(ValueError, match="Expected stored indicators"):
            IndicatorShelf(candles, wrong)
