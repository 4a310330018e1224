"""sync_market_data: what is fetched, what is stored, and what a person is told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from lib.errors import AllItemsFailed, BadAnswer, ExchangeUnavailable, RateLimited, SettingsError
from lib.market.gaps import GapState
from lib.market.run import SyncProgress
from lib.market.series import Series
from lib.results import Status
from tests.market.desks import Desk
from tests.market.exchanges import BTC, BTC_5M, ETH, NOON, SOL, list_candles

TWO_HOURS = timedelta(hours=2)
START = NOON.replace(second=0) - TWO_HOURS


def details(result: object) -> dict[str, tuple[Status, str]]:
    return {item.name: (item.status, item.detail) for item in result.items}  # type: ignore[attr-defined]


async def test_the_first_sync_stores_every_closed_candle_of_the_history_and_nothing_else(desk: Desk) -> None:
    result = await desk.sync()
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, NOON)
    assert result.status is Status.OK
    assert result.counts["candles"] == 24
    assert result.items[0].detail == "24 new candles"


async def test_the_status_says_what_is_stored(desk: Desk) -> None:
    await desk.sync()
    status = desk.status(BTC_5M)
    assert (status.oldest_at, status.newest_at) == (START, NOON.replace(second=0) - timedelta(minutes=5))
    assert (status.wanted_from, status.candle_count, status.synced_at) == (START, 24, NOON)
    assert (status.error, status.consecutive_failures) == (None, 0)


async def test_a_fresh_series_costs_no_request_and_writes_nothing(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.asked.clear()
    result = await desk.sync()
    assert (result.status, details(result)) == (Status.SKIPPED, {"BTC/USDT 5m": (Status.SKIPPED, "fresh")})
    assert (result.requests, desk.exchange.asked) == (0, [])
    assert desk.status(BTC_5M).synced_at == NOON


async def test_a_due_series_is_asked_for_from_its_newest_stored_candle_on(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.asked.clear()
    desk.clock.advance(minutes=5)
    result = await desk.sync()
    ((_, since, limit),) = desk.exchange.asked
    assert (since, limit) == (NOON.replace(second=0) - timedelta(minutes=5), 3)
    assert (result.counts["candles"], result.counts["revised"]) == (1, 0)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, START, desk.clock.now())


async def test_a_revised_newest_candle_is_updated_and_counted(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(minutes=5)
    newest = desk.status(BTC_5M).newest_at

    def revise(series: Series, since: object, page: object) -> object:
        return type(page)(tuple(c._replace(volume=7.25) if c.opened_at == newest else c for c in page.candles))  # type: ignore[attr-defined, call-arg]

    desk.exchange.bend = revise  # type: ignore[assignment]
    result = await desk.sync()
    assert (result.counts["candles"], result.counts["revised"]) == (1, 1)
    assert [candle.volume for candle in desk.candles(BTC_5M) if candle.opened_at == newest] == [7.25]
    assert result.items[0].detail == "1 revised"


async def test_a_long_history_comes_in_pages_of_a_thousand(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=9)})
    await desk.sync()
    assert [limit for _, _, limit in desk.exchange.asked] == [1000, 1000, 593]
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(days=9), NOON)


async def test_candles_count_as_closed_by_the_exchanges_clock_and_the_offset_is_reported(desk: Desk) -> None:
    desk.exchange.offset = timedelta(seconds=-10)
    result = await desk.sync()
    assert result.clock_offset_ms == -10_000
    assert desk.status(BTC_5M).newest_at == NOON.replace(second=0) - timedelta(minutes=10)


async def test_a_slow_answer_does_not_set_the_exchanges_clock_forward(desk: Desk) -> None:
    desk.exchange.answers_after = timedelta(seconds=20)
    assert (await desk.sync()).clock_offset_ms == 0


async def test_what_has_candles_already_is_brought_up_to_date_before_any_backfill(desk: Desk) -> None:
    await desk.sync(BTC)
    desk.change(history={"5m": timedelta(days=9)}, concurrency=1)
    desk.clock.advance(minutes=5)
    desk.exchange.asked.clear()
    await desk.sync(SOL, BTC)
    assert desk.exchange.asked[0][0].symbol == BTC


async def test_a_backfill_stops_when_its_time_is_up_and_the_next_run_goes_on(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=9)}, backfill_for=timedelta(0))
    result = await desk.sync()
    assert details(result) == {
        "BTC/USDT 5m": (Status.OK, "1,000 new candles, history goes on in the next run"),
    }
    desk.change(backfill_for=timedelta(minutes=1))
    desk.exchange.asked.clear()
    await desk.sync()
    assert len(desk.exchange.asked) == 2
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(days=9), NOON)


async def test_a_run_in_a_hurry_fetches_the_newest_candles_of_all_and_leaves_repairs_to_others(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=2)})
    await desk.sync(BTC, SOL)
    desk.execute("DELETE FROM candles WHERE opened_at < :at AND symbol = 'BTC/USDT'", at=NOON - timedelta(hours=1))
    desk.clock.advance(hours=24)  # so that the audit of each series is due
    desk.change(repair_for=timedelta(0), concurrency=1)
    desk.exchange.asked.clear()
    result = await desk.sync(BTC, SOL)
    assert [series.symbol for series, *_ in desk.exchange.asked] == [BTC, SOL]
    newest = NOON.replace(second=0) + timedelta(hours=24, minutes=-5)
    assert [desk.candles(Series(symbol, "5m"))[-1].opened_at for symbol in (BTC, SOL)] == [newest, newest]
    assert details(result)["BTC/USDT 5m"] == (Status.OK, "288 new candles, history goes on in the next run")
    desk.change(repair_for=None)
    repaired = await desk.sync(BTC, SOL)
    assert repaired.counts["candles"] == 565
    assert (await desk.sync(BTC, SOL)).status is Status.SKIPPED


async def test_a_run_in_a_hurry_still_fetches_the_first_history_where_nothing_is_stored(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=9)}, repair_for=timedelta(0))
    result = await desk.sync(BTC, SOL)
    assert result.counts["candles"] == 2 * 9 * 288
    desk.change(history={"5m": timedelta(days=30)})
    desk.exchange.asked.clear()
    result = await desk.sync(BTC, SOL)
    assert desk.exchange.asked == []
    assert {detail for _, detail in details(result).values()} == {"history goes on in the next run"}


async def test_when_more_history_is_wanted_the_older_part_is_fetched_too(desk: Desk) -> None:
    await desk.sync()
    desk.change(history={"5m": timedelta(hours=5)})
    result = await desk.sync()
    assert result.counts["candles"] == 36
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(hours=5), NOON)
    assert desk.gaps(BTC_5M) == []
    assert (await desk.sync()).status is Status.SKIPPED


async def test_when_less_history_is_wanted_nothing_happens(desk: Desk) -> None:
    await desk.sync()
    desk.change(history={"5m": timedelta(hours=1)})
    assert (await desk.sync()).status is Status.SKIPPED


async def test_a_symbol_that_was_listed_later_costs_two_requests_whatever_the_years_before(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=700)})
    listed_at = NOON.replace(second=0) - TWO_HOURS
    desk.exchange.listed_at[BTC] = listed_at
    result = await desk.sync()
    assert len(desk.exchange.asked) == 2
    (gap,) = desk.gaps(BTC_5M)
    assert gap.state is GapState.VERIFIED_ABSENT
    assert gap.span == (NOON.replace(second=0) - timedelta(days=700), listed_at)
    assert result.counts["verified absent"] == 1
    assert (await desk.sync()).status is Status.SKIPPED


async def test_a_symbol_without_any_closed_candle_yet_is_late_and_asked_again(desk: Desk) -> None:
    desk.exchange.listed_at[BTC] = NOON.replace(second=0)
    result = await desk.sync()
    assert details(result)["BTC/USDT 5m"] == (Status.SKIPPED, "late: the newest closed candle is not there yet")
    desk.clock.advance(minutes=5)
    assert (await desk.sync()).counts["candles"] == 1


async def test_a_late_candle_leaves_the_series_due_and_is_no_failure(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(minutes=5)
    desk.exchange.visible_after = timedelta(seconds=30)
    result = await desk.sync()
    assert details(result)["BTC/USDT 5m"] == (Status.SKIPPED, "late: the newest closed candle is not there yet")
    assert result.counts["late"] == 1
    desk.clock.advance(minutes=1)
    assert (await desk.sync()).counts["candles"] == 1
    assert desk.gaps(BTC_5M) == []


async def test_a_candle_that_is_late_for_an_hour_is_a_failure(desk: Desk) -> None:
    await desk.sync(BTC, ETH)
    desk.exchange.take_away(BTC_5M, NOON.replace(second=0), NOON + timedelta(days=1))
    desk.clock.advance(minutes=65)
    result = await desk.sync(BTC, ETH)
    assert result.status is Status.PARTIAL
    assert details(result)["BTC/USDT 5m"] == (
        Status.FAILED,
        "The exchange shows no candle that closed at 2026-03-02T12:05:00+00:00 or later.",
    )
    status = desk.status(BTC_5M)
    assert (status.consecutive_failures, (status.error or "")[:12]) == (1, "The exchange")


async def test_one_symbols_failure_stops_no_other_and_is_put_on_record(desk: Desk) -> None:
    desk.exchange.failing[ETH] = BadAnswer("ETH/USDT 5m: not JSON.")
    result = await desk.sync(BTC, ETH, SOL)
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["ETH/USDT 5m"]
    assert result.failed[0].detail == "ETH/USDT 5m: not JSON."
    assert len(desk.candles(Series(SOL, "5m"))) == 24
    status = desk.status(Series(ETH, "5m"))
    assert (status.error, status.consecutive_failures) == ("ETH/USDT 5m: not JSON.", 1)


async def test_an_error_nobody_foresaw_is_one_items_failure_too(desk: Desk) -> None:
    def break_eth(series: Series, since: object, page: object) -> object:
        if series.symbol == ETH:
            raise KeyError("kline")
        return page

    desk.exchange.bend = break_eth  # type: ignore[assignment]
    result = await desk.sync(BTC, ETH)
    assert result.failed[0].detail == "Unexpected KeyError: 'kline'. The log has the traceback."
    assert len(desk.candles(BTC_5M)) == 24


async def test_success_clears_the_record_of_failures(desk: Desk) -> None:
    desk.exchange.failing[ETH] = ExchangeUnavailable("timeout")
    await desk.sync(BTC, ETH)
    await desk.sync(BTC, ETH)
    assert desk.status(Series(ETH, "5m")).consecutive_failures == 2
    desk.exchange.failing.clear()
    await desk.sync(BTC, ETH)
    status = desk.status(Series(ETH, "5m"))
    assert (status.error, status.consecutive_failures) == (None, 0)


async def test_when_every_item_failed_the_task_fails_and_may_be_retried(desk: Desk) -> None:
    desk.exchange.failing["everything"] = ExchangeUnavailable("connection refused")
    with pytest.raises(AllItemsFailed) as caught:
        await desk.sync(BTC, ETH)
    assert caught.value.retryable
    assert desk.status(BTC_5M).error == "connection refused"


async def test_after_a_rate_limit_nothing_more_is_asked(desk: Desk) -> None:
    desk.change(concurrency=1)
    desk.exchange.failing["everything"] = RateLimited("429 until 12:01.", retry_at=NOON + timedelta(minutes=1))
    with pytest.raises(AllItemsFailed) as caught:
        await desk.sync(BTC, ETH, SOL)
    assert len(desk.exchange.asked) == 1
    assert caught.value.retryable
    assert sorted(caught.value.errors.values()) == ["429 until 12:01.", *["Not asked: 429 until 12:01."] * 2]


async def test_an_exchange_that_is_down_is_left_alone_after_twenty_failures(desk: Desk) -> None:
    desk.change(concurrency=1, history=dict.fromkeys(("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h"), TWO_HOURS))
    desk.exchange.failing["everything"] = ExchangeUnavailable("timeout")
    with pytest.raises(AllItemsFailed, match="all 24 items"):
        await desk.sync(BTC, ETH, SOL)
    assert len(desk.exchange.asked) == 20


async def test_without_the_exchanges_time_nothing_is_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> object:
        raise ExchangeUnavailable("timeout")

    desk.exchange.fetch_time = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(ExchangeUnavailable):
        await desk.sync()
    assert desk.exchange.asked == []


async def test_a_timeframe_without_a_history_is_refused_with_the_remedy(desk: Desk) -> None:
    with pytest.raises(SettingsError, match=r"Expected timeframes of 5m, was 15m\. Add it to FKS_HISTORY_DAYS\."):
        await desk.sync(timeframes=["15m"])


async def test_candles_newer_than_the_exchanges_time_are_told_and_not_taken_for_fresh(desk: Desk) -> None:
    await desk.sync()
    desk.clock.advance(hours=-1)
    with pytest.raises(AllItemsFailed, match="Use a database of its own for each exchange"):
        await desk.sync()
    assert len(desk.candles(BTC_5M)) == 24


async def test_progress_ends_with_everything_done(desk: Desk) -> None:
    desk.change(history={"5m": timedelta(days=9), "1h": timedelta(days=9)})
    seen: list[SyncProgress] = []
    await desk.sync(BTC, ETH, show=seen.append)
    assert seen[0] == SyncProgress(0, 4, 0, 2 * (9 * 288 + 9 * 24))
    assert seen[-1] == SyncProgress(4, 4, seen[0].candles_expected, seen[0].candles_expected)
    done = [progress.candles_done for progress in seen]
    assert done == sorted(done)


async def test_the_table_tells_how_complete_and_how_fresh_each_timeframe_is(desk: Desk) -> None:
    result = await desk.sync(BTC, ETH)
    (table,) = result.render_tables()
    assert re.split(r" *\| *", table.splitlines()[-1])[1:-1] == ["5m", "2", "0", "48", "0", "2026-03-02 11:55"]


async def test_without_symbols_there_is_nothing_to_do(desk: Desk) -> None:
    result = await desk.sync(symbols=[])
    assert (result.status, result.items) == (Status.SKIPPED, ())
