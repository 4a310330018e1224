"""Instants and numbers cross exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.timeframes import WIDTHS, calc_newest_closed, floor_to_timeframe
from lib.units import floor_to_step, from_milliseconds, to_decimal, to_milliseconds


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_survive_the_round_trip(milliseconds: int) -> None:
    assert to_milliseconds(from_milliseconds(milliseconds)) == milliseconds


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        to_milliseconds(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_crosses_to_the_decimal_that_reads_back_as_itself(value: float) -> None:
    assert float(to_decimal(value)) == value


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity"])
def test_what_is_not_finite_does_not_cross(value: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_decimal(value)


@given(st.decimals(0, 10**9, places=8), st.sampled_from(["0.00001", "0.01", "1", "5"]))
def test_flooring_never_rises_and_loses_less_than_a_step(value: Decimal, step: str) -> None:
    floored = floor_to_step(value, Decimal(step))
    assert 0 <= value - floored < Decimal(step)
    assert floored % Decimal(step) == 0


@given(st.sampled_from(sorted(WIDTHS)), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_the_newest_closed_candle_is_closed_and_the_next_one_is_not(timeframe: str, naive: datetime) -> None:
    now, width = naive.replace(tzinfo=UTC), WIDTHS[timeframe]
    opened_at = calc_newest_closed(now, timeframe)
    assert opened_at + width <= now < opened_at + 2 * width


def test_a_candle_is_closed_from_its_close_instant_on() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert calc_newest_closed(noon + timedelta(minutes=5), "5m") == noon
    assert calc_newest_closed(noon + timedelta(minutes=5) - timedelta(milliseconds=1), "5m") == noon - timedelta(
        minutes=5
    )
    assert floor_to_timeframe(noon + timedelta(minutes=59), "1h") == noon
