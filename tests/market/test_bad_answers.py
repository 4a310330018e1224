"""Answers that cannot be true: nothing of them is stored, nothing loops, and the text says what was wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from lib.errors import AllItemsFailed
from lib.market.series import Series
from lib.ports import CandlePage
from tests.market.desks import Desk
from tests.market.exchanges import BTC_5M, NOON, list_candles, make_candle

AT_NOON = NOON.replace(second=0)
START = AT_NOON - timedelta(hours=2)
FIVE = timedelta(minutes=5)


def give(*opens: datetime) -> CandlePage:
    return CandlePage(tuple(make_candle(BTC_5M, at) for at in opens))


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (give(START - FIVE, START), r"asked from 2026-03-02T10:00:00\+00:00, was given 2026-03-02T09:55:00"),
        (give(START, AT_NOON + 3 * FIVE), "candle 2026-03-02T12:15:00.* is from the future; it is 2026-03-02T12:00:02"),
        (give(START + FIVE, START), "out of order, 2026-03-02T10:00:00.* after 2026-03-02T10:05:00"),
        (give(START, START), "out of order, 2026-03-02T10:00:00.* after 2026-03-02T10:00:00"),
        (give(*[START + number * FIVE for number in range(26)]), "expected at most 25 candles, were 26"),
    ],
    ids=["older than asked", "from the future", "falling", "twice the same", "more than asked"],
)
async def test_an_answer_to_another_question_is_refused_whole(desk: Desk, page: CandlePage, told: str) -> None:
    desk.exchange.bend = lambda series, since, _: page
    with pytest.raises(AllItemsFailed, match=told):
        await desk.sync()
    assert desk.candles(BTC_5M) == []
    assert len(desk.exchange.asked) == 1


async def test_an_exchange_that_repeats_its_first_page_does_not_keep_us_for_ever(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=9)})
    first: list[CandlePage] = []

    def repeat(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        first.append(page)
        return first[0]

    desk.exchange.bend = repeat
    with pytest.raises(AllItemsFailed, match="asked from"):
        await desk.sync()
    assert len(desk.exchange.asked) == 2
    assert len(desk.candles(BTC_5M)) == 1000


async def test_an_exchange_without_an_end_to_its_pages_of_one_candle_still_ends(desk: Desk) -> None:
    desk.exchange.bend = lambda series, since, page: replace(page, candles=page.candles[:1])
    await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, NOON)
    assert len(desk.exchange.asked) == 24


async def test_an_empty_answer_is_late_and_asked_once(desk: Desk) -> None:
    desk.exchange.bend = lambda series, since, page: CandlePage(())
    result = await desk.sync()
    assert result.items[0].detail == "late: the newest closed candle is not there yet"
    assert len(desk.exchange.asked) == 1


async def test_candles_whose_time_cannot_be_read_are_told_and_what_they_left_missing_is_asked_again(desk: Desk) -> None:
    asked = []

    def garble(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        asked.append(since)
        if len(asked) > 1:
            return page
        return CandlePage((*page.candles[:4], *page.candles[6:]), ((None, "open time 'x' is no number"),))

    desk.exchange.bend = garble
    result = await desk.sync()
    assert result.items[0].detail == "Impossible candles were not stored: open time 'x' is no number."
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, NOON)
    assert asked == [START, START + 4 * FIVE]


async def test_an_impossible_candle_at_an_impossible_time_moves_nothing(desk: Desk) -> None:
    times = (START + timedelta(minutes=3), AT_NOON + timedelta(days=9), START - timedelta(days=9))
    desk.exchange.bend = lambda series, since, page: CandlePage(page.candles[:-4], tuple((at, "bad") for at in times))
    result = await desk.sync()
    assert desk.gaps(BTC_5M) == []
    assert desk.status(BTC_5M).newest_at == AT_NOON - 4 * FIVE
    assert result.counts["late"] == 1


async def test_a_running_candle_that_closes_while_the_answer_travels_is_not_taken_for_closed(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(minutes=9, seconds=57)  # 12:09:59

    def travel(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        (*closed, running) = page.candles
        desk.clock.advance(seconds=2)
        return CandlePage((*closed, running._replace(volume=0.125)))

    desk.exchange.bend = travel
    result = await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, desk.clock.now())
    assert (result.counts["candles"], result.counts["revised"]) == (2, 0)


async def test_a_value_the_database_refuses_fails_its_own_series_only(desk: Desk) -> None:
    def poison(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        if series.symbol != "ETH/USDT":
            return page
        return replace(page, candles=(page.candles[0]._replace(low=1e9), *page.candles[1:]))

    desk.exchange.bend = poison
    result = await desk.sync("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert [item.name for item in result.failed] == ["ETH/USDT 5m"]
    assert "candles_range_encloses" in result.failed[0].detail
    assert len(desk.candles(Series("SOL/USDT", "5m"))) == 24
    assert desk.candles(Series("ETH/USDT", "5m")) == []
