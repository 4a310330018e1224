"""What a series needs, judged from its record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.gaps import Gap, Span
from lib.market.needs import count_missing, find_wider_start, is_ahead, is_audit_due, is_behind
from lib.market.series import Series, SeriesState, SyncStatus

HOURLY = Series("BTC/USDT", "1h")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stored(
    newest_at: datetime | None, *, wanted_from: datetime | None = None, audited_at: datetime | None = None
) -> SeriesState:
    return SeriesState(SyncStatus(newest_at, newest_at, wanted_from, audited_at=audited_at))


@pytest.mark.parametrize(
    ("newest_at", "behind", "ahead"),
    [
        (None, True, False),
        (NOON - 2 * HOUR, True, False),
        (NOON - HOUR, False, False),
        (NOON, False, False),
        (NOON + HOUR, False, True),
    ],
    ids=["nothing stored", "one missing", "fresh", "the jitter of two clocks", "of another world"],
)
def test_a_series_is_behind_or_ahead_by_whole_candles(newest_at: datetime | None, behind: bool, ahead: bool) -> None:
    state = stored(newest_at)
    assert (is_behind(HOURLY, state, NOON), is_ahead(HOURLY, state, NOON)) == (behind, ahead)


def test_missing_counts_open_times_ahead_and_in_due_gaps() -> None:
    gap = Gap(Span(NOON - 30 * HOUR, NOON - 28 * HOUR), NOON)
    state = SeriesState(stored(NOON - 4 * HOUR).status, (gap,))
    assert count_missing(HOURLY, state, timedelta(days=2), NOON) == 3 + 2


def test_missing_of_a_new_series_is_its_whole_history() -> None:
    assert count_missing(HOURLY, SeriesState(), timedelta(days=2), NOON) == 48


@pytest.mark.parametrize(
    ("wanted_from", "start"),
    [
        (NOON - timedelta(days=3), None),
        (NOON - timedelta(days=2), None),
        (NOON - timedelta(days=1), NOON - timedelta(days=2)),
        (None, NOON - timedelta(days=2)),
    ],
    ids=["more than wanted", "as wanted", "less than wanted", "never said"],
)
def test_history_is_widened_only_backwards(wanted_from: datetime | None, start: datetime | None) -> None:
    state = stored(NOON, wanted_from=wanted_from)
    assert find_wider_start(HOURLY, state, timedelta(days=2), NOON) == start


@given(st.sampled_from(["BTC/USDT", "ETH/USDT", "SOL/USDT", "ADA/USDT"]), st.integers(1, 60))
def test_a_series_is_audited_once_a_day_whatever_the_interval_of_runs(symbol: str, minutes: int) -> None:
    series = Series(symbol, "5m")
    now, audited_at, audits = NOON, NOON, []
    while now < NOON + timedelta(days=10):
        if is_audit_due(series, stored(now, audited_at=audited_at), now):
            audited_at = now
            audits.append(now)
        now += timedelta(minutes=minutes)
    days = [audit.date() for audit in audits]
    assert len(set(days)) == len(days)
    assert 9 <= len(days) <= 10


def test_an_empty_series_has_nothing_to_audit() -> None:
    assert not is_audit_due(HOURLY, SeriesState(), NOON)
