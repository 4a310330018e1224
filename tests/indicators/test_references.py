"""The kernels against TA-Lib and `ta`, on recorded candles and on random walks.

TA-Lib begins smoothing as we do, so that its values are ours from the first one on. `ta` begins otherwise: it is
compared after 500 candles, when that has faded; its indices of flat prices and its zeros for a warm-up are not ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import ta
import talib

from lib.indicators import kernels
from lib.indicators.names import COLUMNS
from lib.market.matrix import FloatMatrix
from tests.indicators.examples import real_candles, walk

RECORDED = (
    "hourly/BTC_USDT-1h.feather",
    "hourly/BNB_USDT-1h.feather",
    "hourly/BTC_USDT-1d.feather",
    "five_minute/DOGE_USDT_5m.csv",
    "five_minute/ADA_USDT_5m.csv",
)
Candles = tuple[FloatMatrix, FloatMatrix, FloatMatrix]


@pytest.fixture(params=[*RECORDED, "walk"])
def candles(request: pytest.FixtureRequest) -> Candles:
    """High, low and close, (1, bars)."""
    if request.param == "walk":
        return walk(1, 5000)
    high, low, close = real_candles(request.param)
    return high[np.newaxis], low[np.newaxis], close[np.newaxis]


def by_talib(high: FloatMatrix, low: FloatMatrix, close: FloatMatrix) -> dict[str, FloatMatrix]:
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    smas, emas = [talib.SMA(close, period) for period in (20, 50, 200)], [talib.EMA(close, p) for p in (12, 26)]
    rsi, atr = talib.RSI(close, 14), talib.ATR(high, low, close, 14)
    values = (rsi, *talib.MACD(close, 12, 26, 9), lower, middle, upper, atr, *smas, *emas)
    return dict(zip(COLUMNS, values, strict=True))


def by_ta(high: FloatMatrix, low: FloatMatrix, close: FloatMatrix) -> dict[str, FloatMatrix]:
    h, l, c = pd.Series(high), pd.Series(low), pd.Series(close)  # noqa: E741 - of a candle
    macd, bands = ta.trend.MACD(c, 26, 12, 9), ta.volatility.BollingerBands(c, 20, 2)
    values = (
        ta.momentum.rsi(c, 14),
        *(macd.macd(), macd.macd_signal(), macd.macd_diff()),
        *(bands.bollinger_lband(), bands.bollinger_mavg(), bands.bollinger_hband()),
        ta.volatility.average_true_range(h, l, c, 14),
        *(ta.trend.sma_indicator(c, period) for period in (20, 50, 200)),
        *(ta.trend.ema_indicator(c, period) for period in (12, 26)),
    )
    return {name: series.to_numpy() for name, series in zip(COLUMNS, values, strict=True)}


def tolerances(close: FloatMatrix) -> Iterator[tuple[str, float]]:
    """What rounding alone can do, by column: of a price, and of a difference of prices."""
    price = float(np.max(close))
    for name in COLUMNS:
        yield name, 1e-10 * (100.0 if name == "rsi_14" else price)


def test_every_value_that_talib_has_is_ours(candles: Candles) -> None:
    ours, theirs = kernels.standard(*candles), by_talib(*(matrix[0] for matrix in candles))
    for name, tolerance in tolerances(candles[2]):
        there = ~np.isnan(theirs[name])
        assert there.sum() > 1000
        np.testing.assert_allclose(ours[name][0, there], theirs[name][there], rtol=0, atol=tolerance, err_msg=name)
        if name != "macd":  # TA-Lib shows the line only where there is a signal
            np.testing.assert_array_equal(np.isnan(ours[name][0]), ~there, err_msg=name)


def test_ta_agrees_when_its_beginning_has_faded(candles: Candles) -> None:
    recent = tuple(matrix[:, :4000] for matrix in candles)  # its average true range is slow
    ours, theirs = kernels.standard(*recent), by_ta(*(matrix[0] for matrix in recent))
    for name, tolerance in tolerances(recent[2]):
        np.testing.assert_allclose(ours[name][0, 500:], theirs[name][500:], rtol=0, atol=tolerance, err_msg=name)


def test_other_periods_are_talibs_too() -> None:
    high, low, close = walk(1, 800, seed=7)
    h, l, c = high[0], low[0], close[0]  # noqa: E741 - of a candle
    upper, middle, lower = talib.BBANDS(c, 33, 1.5, 1.5)
    pairs = [
        (kernels.rsi(close, 7), talib.RSI(c, 7)),
        (kernels.atr(high, low, close, 21), talib.ATR(h, l, c, 21)),
        (kernels.ema(close, 55), talib.EMA(c, 55)),
        (kernels.sma(close, 3), talib.SMA(c, 3)),
        (kernels.highest(high, 55), talib.MAX(h, 55)),
        (kernels.lowest(low, 55), talib.MIN(l, 55)),
        *zip(kernels.bollinger(close, 33, 1.5), (lower, middle, upper), strict=True),
        *zip(kernels.macd(close, 5, 35, 5)[1:], talib.MACD(c, 5, 35, 5)[1:], strict=True),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-9)


def test_a_flat_series_is_neutral_where_the_references_take_a_side() -> None:
    flat = np.full(300, 5.0)
    assert talib.RSI(flat, 14)[-1] == 0.0
    assert ta.momentum.rsi(pd.Series(flat), 14).iloc[-1] == 100.0
    assert kernels.rsi(flat[np.newaxis], 14)[0, -1] == 50.0


def test_genuine_candles_without_volume_are_candles_like_others() -> None:
    high, low, close = real_candles("hourly/BTC_USDT-1h.feather")
    found = kernels.standard(high[np.newaxis], low[np.newaxis], close[np.newaxis])
    for name, values in found.items():
        assert np.all(np.isfinite(values[0, 199:])), name
