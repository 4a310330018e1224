"""The pictures of equity and drawdown: their sizes, and that they show what they are given."""

from __future__ import annotations

import struct
from datetime import timedelta
from math import nan

import pytest

from lib.errors import DataError
from lib.reporting.curve_charts import draw_drawdown, draw_equity, find_shifts
from lib.reporting.report import Curve
from tests.portfolio.samples import START


def curve(days: float, equity: float = 1000.0, points: int = 50) -> Curve:
    at = tuple(START + timedelta(days=days * place / points) for place in range(points))
    values = tuple(equity * (1 + 0.001 * (place % 7)) for place in range(points))
    growth = tuple(value / values[0] for value in values)
    return Curve(at, values, growth, at, (nan, *values[1:]), ((at[10], 500.0), (at[20], -300.0)))


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("days", [0.1, 1, 30, 700])
def test_every_span_is_drawn_for_a_telephone(days: float) -> None:
    assert size_of(draw_equity(curve(days), "Equity")) == (1080, 675)
    assert size_of(draw_drawdown(curve(days), "Drawdown")) == (1080, 675)


@pytest.mark.parametrize("equity", [1e-3, 1e9])
def test_small_and_large_accounts_are_drawn(equity: float) -> None:
    assert size_of(draw_equity(curve(3, equity), "Equity")) == (1080, 675)


def test_another_past_is_another_picture() -> None:
    assert draw_equity(curve(3), "Equity") != draw_equity(curve(3, 1001), "Equity")
    flat = Curve(curve(3).at, (1.0,) * 50, (1.0,) * 50)
    assert draw_drawdown(flat, "Drawdown") != draw_drawdown(curve(3), "Drawdown")


def test_an_account_that_lost_everything_is_drawn() -> None:
    at = curve(2).at[:3]
    assert draw_drawdown(Curve(at, (100.0, 50.0, 0.0), (1.0, 0.5, 0.0)), "Drawdown")


@pytest.mark.parametrize("points", [0, 1])
def test_one_balance_is_no_curve(points: int) -> None:
    short = Curve(curve(1).at[:points], (1.0,) * points, (1.0,) * points)
    with pytest.raises(DataError, match=f"two balances at least, was {points}"):
        draw_equity(short, "Equity")


def test_the_names_of_lines_that_end_together_stand_above_each_other() -> None:
    assert find_shifts([0, 10, 100]) == [0, 14, 0]
    assert find_shifts([50, 50, 50]) == [0, 24, 48]
    assert find_shifts([30, 0]) == [0, 0]
