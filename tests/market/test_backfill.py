"""backfill_market_data: a window, completely."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lib.errors import SettingsError
from lib.market.gaps import GapState
from lib.results import Status
from tests.market.desks import Desk
from tests.market.exchanges import BTC_5M, NOON, list_candles

AT_NOON = NOON.replace(second=0)
HOUR = timedelta(hours=1)


async def test_a_window_before_the_history_is_fetched(desk: Desk) -> None:
    await desk.sync()
    result = await desk.backfill(BTC_5M, AT_NOON - 30 * HOUR, AT_NOON - 24 * HOUR)
    assert (result.task, result.counts["candles"]) == ("backfill_market_data", 72)
    assert desk.candles(BTC_5M) == [
        *list_candles(BTC_5M, AT_NOON - 30 * HOUR, AT_NOON - 24 * HOUR),
        *list_candles(BTC_5M, AT_NOON - 2 * HOUR, NOON),
    ]
    assert (await desk.sync()).status is Status.SKIPPED


async def test_the_same_window_again_asks_for_nothing(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.asked.clear()
    result = await desk.backfill(BTC_5M, AT_NOON - HOUR, AT_NOON)
    assert (result.requests, result.counts["candles"]) == (0, 0)


async def test_candles_that_somebody_deleted_come_back(desk: Desk) -> None:
    await desk.sync()
    desk.execute("DELETE FROM candles WHERE opened_at > :since", since=AT_NOON - HOUR)
    await desk.backfill(BTC_5M, AT_NOON - 2 * HOUR, AT_NOON)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, AT_NOON - 2 * HOUR, NOON)


async def test_a_series_that_was_never_synced_can_be_backfilled_and_synced_afterwards(desk: Desk) -> None:
    await desk.backfill(BTC_5M, AT_NOON - 90 * timedelta(minutes=1), AT_NOON - HOUR)
    assert len(desk.candles(BTC_5M)) == 6
    await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, AT_NOON - 2 * HOUR, NOON)
    assert desk.gaps(BTC_5M) == []


async def test_a_window_ahead_of_what_is_stored_leaves_no_hole_between(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(hours=10)
    await desk.backfill(BTC_5M, AT_NOON + 8 * HOUR, AT_NOON + 20 * HOUR)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, AT_NOON - 2 * HOUR, desk.clock.now())
    assert (await desk.sync()).status is Status.SKIPPED


async def test_what_is_verified_absent_is_asked_for_again_only_when_told_so(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - 2 * HOUR + timedelta(minutes=5), AT_NOON - HOUR)
    await desk.sync()
    desk.exchange.absent.clear()
    desk.exchange.asked.clear()
    await desk.backfill(BTC_5M, AT_NOON - 2 * HOUR, AT_NOON)
    assert desk.exchange.asked == []
    await desk.backfill(BTC_5M, AT_NOON - 2 * HOUR, AT_NOON, verified=True)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, AT_NOON - 2 * HOUR, NOON)
    assert desk.gaps(BTC_5M) == []


async def test_what_is_still_absent_is_verified_again(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - 2 * HOUR + timedelta(minutes=5), AT_NOON - HOUR)
    await desk.sync()
    (before,) = desk.gaps(BTC_5M)
    desk.clock.advance(minutes=1)
    await desk.backfill(BTC_5M, AT_NOON - 2 * HOUR, AT_NOON, verified=True)
    (after,) = desk.gaps(BTC_5M)
    assert (after.span, after.state, after.checked_at) == (before.span, GapState.VERIFIED_ABSENT, desk.clock.now())


async def test_an_open_gap_in_the_window_is_asked_for_whenever_it_was_last_checked(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(minutes=20), AT_NOON - timedelta(minutes=15))
    await desk.sync()
    desk.exchange.absent.clear()
    assert (await desk.backfill(BTC_5M, AT_NOON - HOUR, AT_NOON)).counts["candles"] == 1


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (AT_NOON - timedelta(minutes=13), AT_NOON - timedelta(minutes=9), 2),  # 11:45 and 11:50
        (AT_NOON - timedelta(minutes=10), AT_NOON - timedelta(minutes=5), 1),
        (AT_NOON - timedelta(minutes=10), AT_NOON + HOUR, 2),  # what is not closed yet is left out
        (AT_NOON, AT_NOON + HOUR, 0),
    ],
)
async def test_a_window_holds_the_candles_that_open_in_it(
    desk: Desk, start: datetime, end: datetime, count: int
) -> None:
    await desk.backfill(BTC_5M, start, end)
    assert len(desk.candles(BTC_5M)) == count


async def test_an_empty_window_is_refused(desk: Desk) -> None:
    with pytest.raises(SettingsError, match="Let it end after its start"):
        await desk.backfill(BTC_5M, NOON, NOON)
