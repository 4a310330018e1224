"""The picture of a BUY: drawn from whatever candles there are."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from lib.reporting.signal_chart import SignalPicture, draw_signal

BARS = 120


def make_picture(scale: float = 1.0) -> SignalPicture:
    close = scale * (100 + np.sin(np.arange(BARS) / 5))
    opened = np.concatenate([close[:1], close[:-1]])
    unknown_at_first = np.where(np.arange(BARS) < 50, np.nan, close)
    return SignalPicture(
        title="BUY SOL/USDT 1h: breakout",
        opened_at=np.datetime64("2026-03-01", "us") + np.arange(BARS) * np.timedelta64(3600, "s"),
        open=opened,
        high=np.maximum(opened, close) * 1.01,
        low=np.minimum(opened, close) * 0.99,
        close=close,
        lines={
            ("price", "SMA 50"): unknown_at_first,
            ("RSI", "RSI 14"): np.linspace(30, 70, BARS),
            ("RSI", "30"): np.full(BARS, 30.0),
        },
        stop_loss=96 * scale,
        take_profit=108 * scale,
    )


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height by the PNG's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def count_green(png: bytes) -> int:
    """Pixels in the colour of candles that did not fall."""
    red, green, blue = np.moveaxis(imread(BytesIO(png))[..., :3], -1, 0)
    return int(((green > 0.55) & (red < 0.3) & (blue < 0.5)).sum())


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e4])
def test_a_picture_fits_a_telephone_at_any_price(scale: float) -> None:
    png = draw_signal(make_picture(scale))
    assert size_of(png) == (1080, 1350)
    assert 20_000 < len(png) < 1_000_000


def test_missing_candles_and_unknown_lines_are_left_out() -> None:
    picture = make_picture()
    gaps = np.where(np.arange(BARS) % 7 == 3, np.nan, 1.0)
    broken = {name: getattr(picture, name) * gaps for name in ("open", "high", "low", "close")}
    lines = {**picture.lines, ("price", "nothing"): np.full(BARS, np.nan)}
    assert size_of(draw_signal(replace(picture, **broken, lines=lines))) == (1080, 1350)


def test_candles_without_any_movement_are_seen() -> None:
    still = np.full(BARS, 100.0)
    flat = replace(make_picture(), open=still, high=still, low=still, close=still, lines={})
    last_alone = np.where(np.arange(BARS) == BARS - 1, 100.0, np.nan)
    empty = replace(flat, open=last_alone, high=last_alone, low=last_alone, close=last_alone)
    assert count_green(draw_signal(flat)) > count_green(draw_signal(empty)) + 5 * BARS


def test_three_candles_and_no_line_are_enough() -> None:
    picture = make_picture()
    few = {name: getattr(picture, name)[-3:] for name in ("opened_at", "open", "high", "low", "close")}
    assert size_of(draw_signal(replace(picture, **few, lines={}))) == (1080, 1350)


def test_without_the_signals_own_candle_there_is_no_picture() -> None:
    picture = make_picture()
    missing = np.append(picture.close[:-1], np.nan)
    with pytest.raises(ValueError, match="candle of the signal"):
        draw_signal(replace(picture, close=missing))


def test_registering_strategies_brings_neither_numba_nor_matplotlib() -> None:
    code = (
        "import sys, lib.strategy.roster, lib.strategy.stores, lib.reporting.signal_chart, "
        "lib.adapters.database.strategies, lib.adapters.database.signals; "
        "print([name for name in ('numba', 'matplotlib', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
