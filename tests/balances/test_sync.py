"""What an account is worth, and what of it is profit."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.balances.sync import sync_account_balance
from lib.errors import AllItemsFailed, CredentialsRefused, ExchangeUnavailable, OperatorError
from lib.results import Status, combine
from tests.balances.conftest import MORNING, UNIVERSE, Desk


async def test_the_first_snapshot_of_an_account_with_cash_and_a_position(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    desk.exchange.price(SOL="90")
    result = await desk.sync(seconds=30)
    assert result.status is Status.OK
    (row,) = desk.snapshots()
    assert row.at == MORNING
    assert (row.cash_free, row.cash_locked, row.positions_value, row.other_value) == (Decimal("9799.8"), 0, 180, 0)
    assert row.equity == Decimal("9979.8")
    assert (row.unrealized_pnl, row.realized_pnl) == (Decimal("-20.2"), 0)
    assert (row.day_flows, row.day_pnl, row.unexplained_value, row.unpriced) == (0, 0, 0, [])
    (line,) = result.balances
    assert (line.equity, line.day_pnl) == (Decimal("9979.8"), Decimal(0))


async def test_profit_of_the_day_is_the_change_since_its_first_snapshot(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "10", "100", "1 USDT")
    desk.exchange.price(SOL="104.5")
    await desk.sync(minutes=10)
    assert desk.last().equity == Decimal(10_000) - 1001 + 1045
    assert desk.last().day_pnl == 44
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("sell", "10", "95", "0.95 USDT")
    await desk.sync(minutes=10)
    assert desk.last().equity == Decimal("9948.05")
    assert desk.last().realized_pnl == Decimal("-51.95")  # 950 - 0.95 - 1001
    assert desk.last().day_pnl == Decimal("-51.95")


async def test_a_deposit_in_the_middle_of_the_day_is_no_profit(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=7)
    desk.move("USDT", "500")
    desk.exchange.price(SOL="101")
    result = await desk.sync(minutes=8)
    assert (desk.last().equity, desk.last().day_flows, desk.last().day_pnl) == (10_510, 500, 10)
    assert [(line.kind, line.amount, line.value_quote) for line in result.flows] == [
        ("deposit", Decimal(500), Decimal(500))
    ]
    assert result.breaks == ()
    desk.clock.pass_time(minutes=7)
    desk.move("USDT", "-1500", 2)
    await desk.sync(minutes=8)
    assert (desk.last().equity, desk.last().day_flows, desk.last().day_pnl) == (9_010, -1_000, 10)


async def test_a_deposited_coin_counts_at_its_price_of_that_time(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("BTC", "0.1")
    desk.query(
        "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume)"
        " VALUES ('BTC/USDT', '5m', :at, 49000, 49000, 48000, 48000, 1)",
        at=desk.clock.now() - timedelta(minutes=5),
    )
    await desk.sync(minutes=10)
    (flow,) = desk.query("SELECT * FROM cash_flows")
    assert (flow.value_quote, flow.priced_by) == (4_800, "candle 5m closed 2026-03-02 09:05 UTC")
    assert flow.counted_at == MORNING + timedelta(minutes=15)
    assert (desk.last().equity, desk.last().other_value) == (15_000, 5_000)
    assert (desk.last().day_flows, desk.last().day_pnl) == (4_800, 200)


async def test_a_withdrawn_coin_of_a_position_takes_its_value_and_no_loss(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    desk.exchange.price(SOL="110")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-4")
    result = await desk.sync(minutes=10)
    assert (desk.last().equity, desk.last().positions_value) == (9_660, 660)
    assert (desk.last().unrealized_pnl, desk.last().day_flows, desk.last().day_pnl) == (60, -440, 0)
    assert result.breaks == ()
    (item,) = [item for item in result.items if item.name == "demo SOL/USDT ledger"]
    assert item.detail == "withdrawal of 4 SOL: the position was 10 and is 6"


async def test_a_new_day_begins_with_its_first_snapshot(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.exchange.price(SOL="120")
    await desk.sync(hours=14, minutes=59)  # 23:59
    assert desk.last().day_pnl == 200
    desk.exchange.price(SOL="130")
    await desk.sync(minutes=1)
    assert (desk.last().at, desk.last().day_pnl) == (MORNING + timedelta(hours=15), 0)
    desk.exchange.price(SOL="125")
    await desk.sync(minutes=15)
    assert desk.last().day_pnl == -50


async def test_the_first_snapshot_after_days_without_any_begins_its_day(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(days=2)
    desk.move("USDT", "700")
    desk.exchange.price(SOL="150")
    result = await desk.sync(days=1, hours=3)
    assert (desk.last().equity, desk.last().day_pnl, desk.last().day_flows) == (11_200, 0, 0)
    assert result.breaks == ()
    await desk.sync(minutes=15)
    assert desk.last().day_pnl == 0


async def test_a_rerun_in_the_same_minute_replaces_its_snapshot(desk: Desk) -> None:
    await desk.sync()
    await desk.sync(minutes=15)
    desk.clock.pass_time(seconds=20)
    desk.move("USDT", "5")
    await desk.sync(seconds=10)
    await desk.sync(seconds=10)
    assert [(row.equity, row.day_flows, row.day_pnl) for row in desk.snapshots()] == [(10_000, 0, 0), (10_005, 5, 0)]
    assert desk.query("SELECT count(*) FROM cash_flows")[0][0] == 1


async def test_an_account_that_holds_nothing_is_worth_nothing(desk: Desk) -> None:
    desk.exchange.totals.clear()
    result = await desk.sync()
    assert (desk.last().equity, desk.last().day_pnl, result.assets) == (0, 0, ())
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "100")
    await desk.sync(minutes=10)
    assert (desk.last().equity, desk.last().day_pnl) == (100, 0)


async def test_assets_are_priced_by_their_market_by_a_bridge_or_named(desk: Desk) -> None:
    desk.exchange.deposit("XMR", Decimal(2))
    desk.exchange.deposit("TRY", Decimal(400))
    desk.exchange.deposit("SCAM", Decimal(1_000_000))
    desk.exchange.deposit("SOL", Decimal("0.004"))
    desk.exchange.prices |= {"XMR/BTC": Decimal("0.003"), "USDT/TRY": Decimal(40)}
    result = await desk.sync()
    assert result.status is Status.OK
    assert [(line.asset, line.value_quote, line.priced_by, line.note) for line in result.assets] == [
        ("USDT", 10_000, "quote", ""),
        ("XMR", 300, "XMR/BTC, BTC/USDT", ""),
        ("TRY", 10, "USDT/TRY", ""),
        ("SOL", Decimal("0.4"), "SOL/USDT", "dust"),
        ("SCAM", None, "", "unknown asset: no price"),
    ]
    assert (desk.last().equity, desk.last().unpriced) == (Decimal("10310.4"), ["SCAM"])
    assert "| demo" in result.render_tables()[0]
    await desk.sync(minutes=15)
    assert desk.last().day_pnl == 0


async def test_a_lost_price_stands_for_a_day_and_then_nobody_knows_the_profit(desk: Desk) -> None:
    desk.exchange.deposit("XMR", Decimal(2))
    desk.exchange.price(XMR="150")
    await desk.sync()
    del desk.exchange.prices["XMR/USDT"]
    await desk.sync(hours=12)
    assert (desk.last().other_value, desk.last().unpriced) == (300, [])
    desk.clock.pass_time(hours=11)  # 08:00
    await desk.sync()
    result = await desk.sync(hours=1, minutes=15)
    assert (desk.last().other_value, desk.last().unpriced, desk.last().day_pnl) == (0, ["XMR"], None)
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.items if item.status is Status.PARTIAL] == ["demo XMR"]
    desk.exchange.price(XMR="160")
    await desk.sync(minutes=15)
    assert (desk.last().other_value, desk.last().day_pnl) == (320, 20)


async def test_a_price_ten_times_away_within_an_hour_is_not_believed(desk: Desk) -> None:
    desk.exchange.deposit("XMR", Decimal(2))
    desk.exchange.price(XMR="150")
    await desk.sync()
    desk.exchange.price(XMR="1.5")
    await desk.sync(minutes=15)
    assert desk.last().other_value == 300
    await desk.sync(minutes=60)
    assert desk.last().other_value == 3


async def test_without_any_price_nothing_is_valued_but_cash_flows_are_kept(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "500")
    desk.exchange.refusing["prices"] = CredentialsRefused("prices are gone")  # a kind that is not asked again
    result = await desk.sync(minutes=10)
    assert (result.status, [item.name for item in result.failed]) == (Status.PARTIAL, ["demo balance"])
    assert len(desk.snapshots()) == 1
    assert desk.query("SELECT counted_at FROM cash_flows")[0][0] is None
    desk.exchange.refusing.clear()
    await desk.sync(minutes=15)
    assert (desk.last().equity, desk.last().day_flows, desk.last().day_pnl) == (10_500, 500, 0)


async def test_balances_that_cannot_be_read_stop_the_run(desk: Desk) -> None:
    desk.exchange.refusing["balances"] = ExchangeUnavailable("away")
    with pytest.raises(ExchangeUnavailable):
        await desk.sync()
    assert desk.snapshots() == []


async def test_an_unknown_account_is_refused(desk: Desk) -> None:
    with pytest.raises(OperatorError, match="not registered"):
        await sync_account_balance(
            account="other",
            exchange=desk.exchange,
            exchange_account=desk.exchange,
            portfolio=desk.portfolio,
            balances=desk.balances,
            market=desk.market,
            clock=desk.clock,
            universe=UNIVERSE,
        )


async def test_results_of_accounts_add_up(desk: Desk) -> None:
    first = await desk.sync()
    second = await desk.sync(minutes=15)
    both = combine([first, second])
    assert (len(both.balances), len(both.assets)) == (2, 2)
    with pytest.raises(AllItemsFailed):
        combine([])


async def test_an_old_deposit_is_listed_and_counted_by_no_day(desk: Desk) -> None:
    desk.clock.pass_time(days=-3)
    desk.move("USDT", "10")
    desk.clock.pass_time(days=3)
    result = await desk.sync()
    await desk.sync(minutes=15)
    assert result.counts["cash flows"] == 1
    assert desk.query("SELECT counted_at FROM cash_flows")[0][0] is None
    assert desk.last().day_pnl == 0
    assert desk.breaks() == []


async def test_what_is_told_by_a_clock_that_is_ahead_is_where_expected_holdings_begin(desk: Desk) -> None:
    desk.clock.pass_time(seconds=5)
    desk.move("USDT", "10")
    desk.exchange.trade("buy", "1", "100")
    desk.clock.pass_time(seconds=-3)
    await desk.sync()
    result = await desk.sync(minutes=15)
    assert (result.breaks, desk.last().day_flows) == ((), 0)
