"""Gaps: how they are found, filled, and given up for good."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lib.errors import AllItemsFailed
from lib.market.gaps import GapState, Span
from lib.market.series import Series
from lib.ports import CandlePage
from lib.results import Status
from tests.market.desks import Desk
from tests.market.exchanges import BTC, BTC_5M, NOON, corrupt, list_candles, make_candle

AT_NOON = NOON.replace(second=0)
FIVE = timedelta(minutes=5)
START = AT_NOON - timedelta(hours=2)


def spans(desk: Desk, state: GapState) -> list[Span]:
    return [gap.span for gap in desk.gaps(BTC_5M) if gap.state is state]


async def test_a_hole_older_than_an_hour_is_verified_absent_by_a_second_answer(desk: Desk) -> None:
    hole = Span(AT_NOON - timedelta(minutes=90), AT_NOON - timedelta(minutes=75))
    desk.exchange.take_away(BTC_5M, *hole)
    result = await desk.sync()
    assert spans(desk, GapState.VERIFIED_ABSENT) == [hole]
    assert (result.counts["gaps found"], result.counts["verified absent"]) == (1, 1)
    assert [(since, limit) for _, since, limit in desk.exchange.asked][1:] == [(hole.start, 4)]


async def test_what_is_verified_absent_is_never_asked_for_again(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(minutes=90), AT_NOON - timedelta(minutes=75))
    await desk.sync()
    desk.exchange.asked.clear()
    for _ in range(3):
        desk.clock.advance(minutes=5)
        await desk.sync()
    assert len(desk.exchange.asked) == 3
    assert {limit for _, _, limit in desk.exchange.asked} == {3}


async def test_a_young_hole_stays_open_and_is_asked_for_ever_less_often_until_it_is_settled(desk: Desk) -> None:
    hole = Span(AT_NOON - timedelta(minutes=20), AT_NOON - timedelta(minutes=15))
    desk.exchange.take_away(BTC_5M, *hole)
    await desk.sync()
    assert spans(desk, GapState.OPEN) == [hole]
    asked_after = []
    for minutes in range(5, 120, 5):
        desk.clock.advance(minutes=5)
        desk.exchange.asked.clear()
        await desk.sync()
        if any(since == hole.start for _, since, _ in desk.exchange.asked):
            asked_after.append(minutes)
    assert asked_after == [5, 10, 20, 40, 80]
    assert spans(desk, GapState.VERIFIED_ABSENT) == [hole]


async def test_a_hole_that_the_exchange_fills_late_is_filled_here(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(minutes=20), AT_NOON - timedelta(minutes=10))
    await desk.sync()
    desk.exchange.absent.clear()
    desk.clock.advance(minutes=5)
    result = await desk.sync()
    assert result.counts["candles"] == 3
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, desk.clock.now())
    assert desk.gaps(BTC_5M) == []


async def test_a_hole_that_is_half_filled_leaves_its_rest(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(minutes=30), AT_NOON - timedelta(minutes=10))
    await desk.sync()
    desk.exchange.absent -= {(BTC_5M, AT_NOON - timedelta(minutes=25)), (BTC_5M, AT_NOON - timedelta(minutes=20))}
    desk.clock.advance(minutes=5)
    await desk.sync()
    assert spans(desk, GapState.OPEN) == [
        Span(AT_NOON - timedelta(minutes=30), AT_NOON - timedelta(minutes=25)),
        Span(AT_NOON - timedelta(minutes=15), AT_NOON - timedelta(minutes=10)),
    ]


async def test_holes_of_one_page_are_confirmed_by_one_request(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=3)})
    for hours in (70, 50, 30, 10):
        desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(hours=hours), AT_NOON - timedelta(hours=hours - 1))
    await desk.sync()
    assert len(spans(desk, GapState.VERIFIED_ABSENT)) == 4
    assert len(desk.exchange.asked) == 2


async def test_one_answer_that_lacks_candles_it_has_does_no_harm(desk: Desk) -> None:
    calls = []

    def glitch(series: Series, since: object, page: CandlePage) -> CandlePage:
        calls.append(since)
        return CandlePage(page.candles[:3] + page.candles[15:]) if len(calls) == 1 else page

    desk.exchange.bend = glitch
    result = await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, NOON)
    assert (result.counts["gaps found"], result.counts["verified absent"]) == (1, 0)


async def test_an_answer_that_ends_before_the_hole_proves_nothing(desk: Desk) -> None:
    hole = Span(AT_NOON - timedelta(minutes=90), AT_NOON - timedelta(minutes=75))
    desk.exchange.take_away(BTC_5M, *hole)
    desk.exchange.bend = lambda _, since, page: CandlePage(()) if since == hole.start else page
    await desk.sync()
    (gap,) = desk.gaps(BTC_5M)
    assert (gap.state, gap.reason) == (GapState.OPEN, "the exchange's answer ended before it")
    assert len(desk.exchange.asked) == 2
    desk.exchange.bend = None
    desk.clock.advance(minutes=5)
    await desk.sync()
    assert spans(desk, GapState.VERIFIED_ABSENT) == [hole]


async def test_an_impossible_candle_is_told_and_the_rest_of_the_page_is_stored(desk: Desk) -> None:
    bad = AT_NOON - timedelta(minutes=60)
    desk.exchange.bend = lambda series, since, page: corrupt(page, bad)
    result = await desk.sync()
    (item,) = result.items
    assert result.status is Status.PARTIAL
    assert (item.status, item.detail) == (
        Status.PARTIAL,
        "Impossible candles were not stored: "
        "2026-03-02T11:00:00+00:00: low 5 and high 3 do not enclose open and close.",
    )
    assert result.counts["impossible"] == 1
    assert desk.status(BTC_5M).error == item.detail
    assert len(desk.candles(BTC_5M)) == 23
    (gap,) = desk.gaps(BTC_5M)
    assert (gap.span, gap.state) == (Span(bad, bad + FIVE), GapState.OPEN)
    assert gap.reason == "low 5 and high 3 do not enclose open and close"


async def test_an_impossible_candle_is_asked_for_once_more_at_once(desk: Desk) -> None:
    bad = AT_NOON - timedelta(minutes=60)
    seen = []

    def once(series: Series, since: object, page: CandlePage) -> CandlePage:
        seen.append(since)
        return corrupt(page, bad) if len(seen) == 1 else page

    desk.exchange.bend = once
    await desk.sync()
    assert desk.gaps(BTC_5M) == []


async def test_an_impossible_candle_never_becomes_verified_absent(desk: Desk) -> None:
    bad = AT_NOON - timedelta(minutes=60)
    desk.exchange.bend = lambda series, since, page: corrupt(page, bad)
    await desk.sync()
    for _ in range(12):
        desk.clock.advance(hours=1)
        desk.exchange.asked.clear()
        await desk.sync(BTC)
    assert spans(desk, GapState.OPEN) == [Span(bad, bad + FIVE)]
    desk.exchange.bend = None
    desk.clock.advance(days=1)
    await desk.sync(BTC)
    assert make_candle(BTC_5M, bad) in desk.candles(BTC_5M)
    assert desk.gaps(BTC_5M) == []


async def test_when_the_newest_candle_is_impossible_the_series_stays_due(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(minutes=5)
    desk.exchange.bend = lambda series, since, page: corrupt(page, AT_NOON)
    with pytest.raises(AllItemsFailed, match="Impossible candles were not stored: 2026-03-02T12:00:00"):
        await desk.sync()
    assert desk.status(BTC_5M).newest_at == AT_NOON - FIVE
    desk.exchange.bend = None
    result = await desk.sync()
    assert (result.status, result.counts["candles"]) == (Status.OK, 1)
    assert desk.gaps(BTC_5M) == []
    assert desk.status(BTC_5M).error is None


async def test_the_daily_audit_finds_candles_that_somebody_deleted(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=3)})
    await desk.sync()
    desk.execute(
        "DELETE FROM candles WHERE opened_at BETWEEN :start AND :end",
        start=AT_NOON - timedelta(hours=30),
        end=AT_NOON - timedelta(hours=29),
    )
    desk.clock.advance(hours=12)
    await desk.sync()  # the next UTC day; its time of the day may still be to come
    desk.clock.advance(hours=24)
    await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(days=3), desk.clock.now())
    assert desk.gaps(BTC_5M) == []
    assert desk.status(BTC_5M).candle_count == len(desk.candles(BTC_5M))


async def test_the_audit_happens_once_a_day(desk: Desk) -> None:
    await desk.sync()
    audits = set()
    for _ in range(4 * 24):
        desk.clock.advance(minutes=60)
        await desk.sync()
        audits.add(desk.status(BTC_5M).audited_at)
    assert len({audit.date() for audit in audits if audit}) == len(audits) == 5


async def test_the_audit_finds_a_series_that_was_emptied_and_the_next_run_fetches_it(desk: Desk) -> None:
    await desk.sync()
    desk.execute("DELETE FROM candles")
    desk.clock.advance(days=1)
    await desk.sync()
    assert desk.status(BTC_5M).oldest_at is not None
    desk.execute("DELETE FROM candles")
    desk.clock.advance(days=1, minutes=-10)
    await desk.sync()
    await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, desk.clock.now())


async def test_an_audit_does_not_ask_again_for_what_is_verified_absent(desk: Desk) -> None:
    desk.exchange.take_away(BTC_5M, AT_NOON - timedelta(minutes=90), AT_NOON - timedelta(minutes=75))
    await desk.sync()
    before = desk.gaps(BTC_5M)
    desk.clock.advance(days=2)
    await desk.sync()
    assert desk.gaps(BTC_5M) == before


async def test_what_is_in_the_archive_is_not_asked_for_by_the_audit_nor_by_a_person(desk: Desk) -> None:
    await desk.sync()
    archived = Span(START, START + timedelta(minutes=30))
    desk.execute("DELETE FROM candles WHERE opened_at < :end", end=archived.end)
    desk.execute(
        "INSERT INTO candle_gaps VALUES (:symbol, '5m', :start, :end, 'archived', 'in the archive', 0, now(), NULL)",
        symbol=BTC,
        **archived._asdict(),
    )
    desk.clock.advance(days=1)
    desk.exchange.asked.clear()
    result = await desk.sync()  # with its daily audit
    assert (result.status, result.counts["gaps found"]) == (Status.OK, 0)
    assert min(since for _, since, _ in desk.exchange.asked) > archived.end

    desk.exchange.asked.clear()
    filled = await desk.backfill(BTC_5M, START, AT_NOON, verified=True)
    assert desk.exchange.asked == []
    assert [item.detail for item in filled.items] == ["6 in the archive (restore-archive brings them back)"]
    assert spans(desk, GapState.ARCHIVED) == [archived]
