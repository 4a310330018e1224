"""Each strategy's rule, by candles written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lib.errors import OperatorError
from lib.indicators.shelf import IndicatorShelf
from lib.strategy.breakout import Breakout
from lib.strategy.conditions import format_float, shift_candles
from lib.strategy.index_momentum import IndexMomentum, calc_index
from lib.strategy.mean_reversion import MeanReversion
from lib.strategy.trend_following import TrendFollowing
from tests.strategy.crooked import Crooked
from tests.strategy.worlds import make_candles

NAN = np.nan


def wave(level: float, bars: int) -> list[float]:
    """Closes that swing by one around a level, so that there is a range."""
    return [level + (1 if bar % 2 else -1) for bar in range(bars)]


def test_breakout_buys_the_first_close_above_the_channel_of_the_candles_before() -> None:
    closes = [*wave(100, 40), 110.0, 111.0]  # highs of the waves are 101
    decisions = Breakout(margin_atr=0.25).decide(IndicatorShelf(make_candles(np.array([closes]))))
    assert decisions.entries[0].nonzero()[0].tolist() == [40]
    assert decisions.explain(0, 40)[0].startswith("close (110) is above high of 20 candles before + 0.25 ATR (101.")


def test_breakout_is_not_stopped_by_its_own_high() -> None:
    closes = [*wave(100, 40), 102.0]
    candles = make_candles(np.array([closes]))
    candles.high[0, 40] = 150.0  # the candle went up to 150 and closed at 102, above everything before
    decisions = Breakout(margin_atr=0.0).decide(IndicatorShelf(candles))
    assert decisions.entries[0, 40]


def test_breakout_leaves_below_the_lows_of_the_candles_before() -> None:
    closes = [*wave(100, 40), 98.9]
    decisions = Breakout().decide(IndicatorShelf(make_candles(np.array([closes]))))
    assert decisions.exits[0].nonzero()[0].tolist() == [40]


def test_mean_reversion_buys_a_fall_out_of_the_band_and_sells_the_way_back() -> None:
    closes = [*wave(100, 40), 96.0, 82.0, 84.0, 90.0, 101.0]
    decisions = MeanReversion().decide(IndicatorShelf(make_candles(np.array([closes]))))
    assert decisions.entries[0].nonzero()[0].tolist() == [41]
    assert decisions.exits[0, 44]
    assert "RSI 14" in decisions.explain(0, 41)[0]


def test_trend_following_buys_when_all_three_agree_and_not_below_the_long_average() -> None:
    rising = np.linspace(100, 200, 260)
    dip = np.concatenate([rising, np.linspace(199, 180, 20), np.linspace(181, 215, 25)])
    up = TrendFollowing().decide(IndicatorShelf(make_candles(dip[None, :], spread=0.002)))
    entries = up.entries[0, 260:].nonzero()[0]
    assert len(entries) == 1
    assert 22 <= entries[0] <= 40  # after the turn
    falling = make_candles((300 - dip)[None, :] + 100, spread=0.002)
    assert not TrendFollowing().decide(IndicatorShelf(falling)).entries[0, 280:].any()


def test_the_index_is_rebuilt_from_returns() -> None:
    closes = np.array([[100.0, 110.0, 121.0], [10.0, 10.0, 12.0]])  # +10 %, 0 %; +10 %, +20 %
    np.testing.assert_allclose(calc_index(make_candles(closes)), [100, 105, 105 * 1.15])


def test_a_newly_listed_symbol_does_not_move_the_index() -> None:
    closes = np.array([[100.0, 110.0, 110.0], [NAN, 50_000.0, 50_000.0]])
    np.testing.assert_allclose(calc_index(make_candles(closes)), [100, 110, 110])


def test_a_missing_candle_does_not_move_the_index_and_its_move_is_not_lost() -> None:
    closes = np.array([[100.0, 100.0, 100.0, 100.0], [50.0, NAN, NAN, 55.0]])
    np.testing.assert_allclose(calc_index(make_candles(closes)), [100, 100, 100, 105])


def test_a_bad_tick_is_no_part_of_the_index() -> None:
    closes = np.array([[100.0, 110.0], [1.0, 5_000.0]])
    np.testing.assert_allclose(calc_index(make_candles(closes)), [100, 110])


def test_an_index_without_any_candle_stays_where_it_is() -> None:
    closes = np.array([[100.0, NAN, 110.0]])
    np.testing.assert_allclose(calc_index(make_candles(closes)), [100, 100, 110])


def test_index_momentum_buys_every_symbol_when_the_index_crosses_its_average() -> None:
    falling, rising = np.linspace(200, 150, 60), np.linspace(152, 190, 20)
    market = np.concatenate([falling, rising])
    closes = np.vstack([market, market * 3, np.full(80, 7.0) + 0.01 * np.arange(80)])
    decisions = IndexMomentum(period=20).decide(IndicatorShelf(make_candles(closes, spread=0.001)))
    (bars,) = decisions.entries[0].nonzero()
    assert len(bars) == 1
    assert decisions.entries[:, bars[0]].all()
    assert decisions.explain(1, bars[0])[0].startswith("market index (")
    assert decisions.score[0, bars[0]] == decisions.score[2, bars[0]] > 0


def test_the_candle_before_passes_over_missing_ones() -> None:
    candles = make_candles(np.array([[1.0, NAN, NAN, 4.0, 5.0], [NAN, 2.0, 3.0, NAN, 5.0]]))
    shifted = shift_candles(candles.close, candles, NAN)
    np.testing.assert_array_equal(shifted, [[NAN, 1.0, 1.0, 1.0, 4.0], [NAN, NAN, 2.0, 3.0, 3.0]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (64321.987, "64,322"),
        (0.0000123456789, "0.0000123457"),
        (30.0, "30"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (1234567.8, "1,234,568"),
    ],
)
def test_numbers_in_sentences_have_six_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_float(value) == text


def test_a_strategy_that_returns_other_shapes_is_refused_by_name() -> None:
    with pytest.raises(OperatorError, match="crooked"):
        Crooked().decide(IndicatorShelf(make_candles(np.array([wave(100, 50)]))))
