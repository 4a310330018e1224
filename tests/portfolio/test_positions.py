"""What trades on the exchange make of the stored positions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lib.errors import AllItemsFailed, BadAnswer, CredentialsRefused, ExchangeUnavailable, OperatorError
from lib.portfolio.ledger import build_ledger
from lib.results import Status
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT


async def test_a_buy_on_the_exchange_becomes_a_priced_position(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    desk.exchange.price(SOL="90")
    result = await desk.update()
    assert result.status is Status.OK
    assert result.counts == {"new fills": 1, "positions": 1, "closed": 0, "unmatched": 0}
    (line,) = result.positions
    assert (line.account, line.symbol, line.quantity) == (ACCOUNT, "SOL/USDT", Decimal(2))
    assert line.average_cost == Decimal("100.1")
    assert (line.price, line.price_at) == (Decimal(90), desk.clock.now())
    assert line.unrealized_pnl_quote == Decimal("-20.2")
    assert line.unrealized_pnl_pct == Decimal("-10.089910089910089910")
    assert desk.held().valuation is not None


async def test_a_sale_by_hand_closes_the_position_and_realizes_the_loss(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    await desk.update()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("sell", "2", "80", "0.16 USDT")
    result = await desk.update()
    assert result.counts["closed"] == 1
    assert result.positions == ()
    (closed,) = result.closed
    assert closed.realized_pnl_quote == Decimal("-40.36")  # 160 - 0.16 - 200.2
    assert closed.closed_at == desk.clock.now()
    (row,) = desk.query("SELECT * FROM positions")
    assert (row.quantity, row.realized_pnl_quote, row.closed_at) == (0, Decimal("-40.36"), desk.clock.now())


async def test_a_second_run_adds_nothing_and_asks_for_nothing_but_balances_and_prices(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    await desk.update()
    desk.clock.pass_time(minutes=15)
    desk.exchange.asked.clear()
    result = await desk.update()
    assert desk.exchange.asked == []
    assert result.counts["new fills"] == 0
    assert desk.query("SELECT count(*) FROM fills")[0][0] == 1


async def test_only_the_symbol_whose_holding_changed_is_asked(desk: Desk) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=15)
    desk.exchange.asked.clear()
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    await desk.update()
    assert [symbol for symbol, _ in desk.exchange.asked] == ["ADA/USDT"]


async def test_a_fill_that_the_exchange_shows_late_is_found_by_the_next_run(desk: Desk) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=15)
    fill = desk.exchange.trade("buy", "2", "100")
    desk.exchange.hidden.add(fill.key)
    assert (await desk.update()).positions == ()
    desk.exchange.hidden.clear()
    desk.clock.pass_time(minutes=5)
    assert len((await desk.update()).positions) == 1


async def test_a_fill_with_a_lower_id_that_turns_up_late_is_not_lost(desk: Desk) -> None:
    late = desk.exchange.trade("buy", "1", "90")
    desk.exchange.hidden.add(late.key)
    desk.clock.pass_time(minutes=1)
    desk.exchange.trade("buy", "1", "110")
    desk.exchange.price(SOL="120")
    await desk.update()
    desk.query("UPDATE positions SET stop_loss = 80")
    assert desk.held().position.opened_by == "SOL/USDT#2"
    desk.exchange.hidden.clear()
    desk.clock.pass_time(minutes=5)
    await desk.update()
    held = desk.held()
    assert (held.position.opened_by, held.position.quantity) == ("SOL/USDT#1", Decimal(2))
    assert held.stop_loss == 80


async def test_bought_and_sold_between_two_runs_is_found_by_the_cash(desk: Desk) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=15)
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("sell", "1", "101")
    result = await desk.update()
    assert result.counts["new fills"] == 2
    assert result.closed[0].realized_pnl_quote == 1


async def test_once_an_hour_every_symbol_is_asked(desk: Desk) -> None:
    await desk.update()
    desk.exchange.asked.clear()
    desk.clock.pass_time(minutes=59)
    await desk.update()
    assert desk.exchange.asked == []
    desk.clock.pass_time(minutes=1)
    await desk.update()
    assert {symbol for symbol, _ in desk.exchange.asked} == set(desk.universe)


async def test_reading_goes_on_after_the_newest_fill_that_is_a_day_old(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.clock.pass_time(days=2)
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.asked.clear()
    await desk.update()
    assert ("SOL/USDT", 2) in desk.exchange.asked


async def test_a_symbol_outside_the_universe_is_imported_when_its_holding_changes(desk: Desk) -> None:
    await desk.update()
    desk.exchange.trade("buy", "100", "0.1", symbol="DOGE/USDT")
    desk.clock.pass_time(minutes=5)
    result = await desk.update()
    assert [line.symbol for line in result.positions] == ["DOGE/USDT"]


async def test_what_was_bought_before_its_listing_is_known_is_named_and_imported_once_it_is(desk: Desk) -> None:
    await desk.update()
    desk.exchange.trade("buy", "1000", "0.01", symbol="PEPE/USDT")
    desk.exchange.price(PEPE="0.01")
    for _ in range(4):
        desk.clock.pass_time(minutes=5)
        (item,) = [item for item in (await desk.update()).items if item.name == "demo unlisted"]
        assert item.detail.startswith("PEPE held without a known market")
    desk.list_symbol("PEPE/USDT")
    desk.clock.pass_time(minutes=5)
    result = await desk.update()
    assert [line.symbol for line in result.positions] == ["PEPE/USDT"]
    assert "demo unlisted" not in {item.name for item in result.items}


async def test_one_symbols_failure_leaves_the_others_and_is_asked_again(desk: Desk) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    desk.exchange.refusing["SOL/USDT"] = ExchangeUnavailable("timed out")
    result = await desk.update()
    assert result.status is Status.PARTIAL
    assert [(item.name, item.retryable) for item in result.failed] == [("demo SOL/USDT fills", True)]
    assert [line.symbol for line in result.positions] == ["ADA/USDT"]
    desk.exchange.refusing.clear()
    desk.clock.pass_time(minutes=30)
    assert [line.symbol for line in (await desk.update()).positions] == ["ADA/USDT", "SOL/USDT"]


async def test_a_symbol_that_failed_is_asked_again_though_nothing_of_it_is_held(desk: Desk) -> None:
    desk.exchange.refusing["ADA/USDT"] = ExchangeUnavailable("timed out")
    await desk.update()
    desk.exchange.refusing.clear()
    desk.exchange.asked.clear()
    desk.clock.pass_time(minutes=15)
    await desk.update()
    assert desk.exchange.asked == [("ADA/USDT", 0)]


async def test_a_symbol_that_failed_when_cash_moved_is_asked_again(desk: Desk) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=15)
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("sell", "1", "101")
    desk.exchange.refusing["SOL/USDT"] = ExchangeUnavailable("timed out")
    await desk.update()
    desk.exchange.refusing.clear()
    desk.clock.pass_time(minutes=15)
    assert (await desk.update()).counts["new fills"] == 2


async def test_refused_credentials_fail_the_import_while_positions_are_still_priced(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.exchange.refusing["balances"] = CredentialsRefused("The exchange refused the key.")
    desk.exchange.price(SOL="95")
    desk.clock.pass_time(minutes=5)
    result = await desk.update()
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["demo fills"]
    assert result.positions[0].price == 95


async def test_refused_credentials_are_told_also_when_nothing_else_was_there_to_do(desk: Desk) -> None:
    desk.exchange.refusing["balances"] = CredentialsRefused("The exchange refused the key.")
    with pytest.raises(AllItemsFailed):
        await desk.update()
    (told,) = desk.messages()
    assert (told.severity, told.title) == ("urgent", "⚠️ Cannot be imported: demo fills")


async def test_without_prices_fills_are_booked_and_the_old_price_keeps_its_time(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    priced_at = desk.clock.now()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.refusing["prices"] = ExchangeUnavailable("timed out")
    result = await desk.update()
    assert result.status is Status.PARTIAL
    (line,) = result.positions
    assert (line.quantity, line.price, line.price_at) == (Decimal(2), Decimal(100), priced_at)


async def test_when_nothing_works_the_task_fails_and_may_be_retried(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    for what in ("balances", "prices"):
        desk.exchange.refusing[what] = ExchangeUnavailable("timed out")
    with pytest.raises(AllItemsFailed) as failure:
        await desk.update()
    assert failure.value.retryable


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "1001", "9.99"])
async def test_a_price_that_cannot_be_is_never_stored(desk: Desk, price: str) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    priced_at = desk.clock.now()
    desk.clock.pass_time(minutes=15)
    desk.exchange.price(SOL=price)
    with pytest.raises(AllItemsFailed, match="the last price is 100 of 2024-10-04 00:00:00"):
        await desk.update()
    valuation = desk.held().valuation
    assert valuation is not None
    assert (valuation.price, valuation.price_at) == (Decimal(100), priced_at)


async def test_a_price_ten_times_away_is_believed_after_an_hour(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.exchange.price(SOL="5")
    desk.clock.pass_time(minutes=61)
    assert (await desk.update()).positions[0].price == 5


async def test_the_first_price_of_a_fresh_position_is_compared_with_its_cost(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.price(SOL="0.00000001")
    result = await desk.update()
    assert result.positions[0].price is None
    assert "ten" not in result.failed[0].detail
    assert "100 within an hour; it was never priced" in result.failed[0].detail


async def test_a_symbol_without_a_price_fails_alone(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    del desk.exchange.prices["SOL/USDT"]
    result = await desk.update()
    assert [item.name for item in result.failed] == ["demo SOL/USDT"]
    assert result.status is Status.PARTIAL


@pytest.mark.parametrize("status", ["halted", "delisted"])
async def test_a_quarantined_symbol_gets_no_new_price(desk: Desk, status: str) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.query("UPDATE symbols SET status = :status WHERE name = 'SOL/USDT'", status=status)
    desk.exchange.price(SOL="99")
    desk.clock.pass_time(minutes=5)
    result = await desk.update()
    assert result.positions[0].price == 100
    skipped = {item.name: item.detail for item in result.items if item.status is Status.SKIPPED}
    assert skipped["demo SOL/USDT"].startswith(f"{status} on the exchange; the last price is 100")


async def test_a_delisted_symbol_is_not_asked_for_fills(desk: Desk) -> None:
    desk.query("UPDATE symbols SET status = 'delisted' WHERE name = 'SOL/USDT'")
    await desk.update()
    assert "SOL/USDT" not in dict(desk.exchange.asked)


async def test_a_symbol_that_is_not_known_yet_is_not_booked(desk: Desk) -> None:
    desk.query("DELETE FROM symbols WHERE name = 'SOL/USDT'")
    desk.exchange.trade("buy", "1", "100")
    result = await desk.update()
    assert [item.name for item in result.failed] == ["demo SOL/USDT fills"]
    assert "sync_market_data" in result.failed[0].detail


async def test_a_bnb_fee_is_valued_by_the_newest_candle_closed_before_the_fill(desk: Desk) -> None:
    desk.query(
        "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume) VALUES "
        "('BNB/USDT', '1h', :hour, 500, 500, 500, 500, 1), ('BNB/USDT', '5m', :closed, 610.1, 610.1, 610.1, 610.1, 1),"
        "('BNB/USDT', '5m', :running, 700, 700, 700, 700, 1)",
        hour=desk.clock.now(),
        closed=desk.clock.now().replace(hour=1, minute=0),
        running=desk.clock.now().replace(hour=1, minute=5),
    )
    desk.clock.pass_time(hours=1, minutes=7)
    desk.exchange.deposit("BNB", Decimal(1))
    desk.exchange.trade("buy", "1", "100", "0.001 BNB")
    result = await desk.update()
    assert desk.held().position.cost_quote == Decimal("100.6101")
    (item,) = [item for item in result.items if item.name == "demo SOL/USDT fills"]
    assert item.detail == "1 new; fees valued by candle 5m closed 2024-10-04 01:05 UTC"


async def test_without_a_candle_a_bnb_fee_is_valued_at_the_current_price(desk: Desk) -> None:
    desk.exchange.deposit("BNB", Decimal(1))
    desk.exchange.trade("buy", "1", "100", "0.001 BNB")
    await desk.update()
    (fill,) = desk.query("SELECT * FROM fills")
    assert (fill.fee_quote, fill.fee_priced_by) == (Decimal("0.6"), "price at 2024-10-04 00:00 UTC")


async def test_a_fee_without_any_price_waits_and_is_valued_as_soon_as_there_is_one(desk: Desk) -> None:
    desk.exchange.deposit("BNB", Decimal(1))
    del desk.exchange.prices["BNB/USDT"]
    desk.exchange.trade("buy", "1", "100", "0.001 BNB")
    for minutes in (0, 30):
        desk.clock.pass_time(minutes=minutes)
        details = {item.name: item.detail for item in (await desk.update()).items}
        assert details["demo fees"].startswith("fees of 1 fills in BNB have no price yet")
    assert desk.held().position.cost_quote == 100
    desk.exchange.price(BNB="600")
    desk.clock.pass_time(minutes=5)
    assert "demo fees" not in {item.name for item in (await desk.update()).items}
    assert desk.held().position.cost_quote == Decimal("100.6")


async def test_selling_what_was_deposited_is_reported_and_stored_as_unmatched(desk: Desk) -> None:
    desk.exchange.deposit("SOL", Decimal(5))
    desk.exchange.trade("sell", "5", "100")
    result = await desk.update()
    assert (result.status, result.counts["unmatched"]) == (Status.PARTIAL, 1)
    (row,) = desk.query("SELECT * FROM unmatched_disposals")
    assert (row.symbol, row.fill_key, row.quantity, row.proceeds_quote) == ("SOL/USDT", "SOL/USDT#1", 5, 500)
    desk.clock.pass_time(minutes=5)
    assert (await desk.update()).counts["unmatched"] == 0


async def test_a_position_that_the_account_does_not_wholly_hold_is_named_with_both_quantities(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    assert (await desk.update()).status is Status.OK
    desk.clock.pass_time(minutes=5)
    desk.exchange.deposit("SOL", Decimal("-0.001"))  # one step
    assert "demo SOL/USDT coverage" not in {item.name for item in (await desk.update()).items}
    desk.exchange.deposit("SOL", Decimal("-1.499"))
    desk.clock.pass_time(minutes=5)
    result = await desk.update()
    (item,) = [item for item in result.items if item.name == "demo SOL/USDT coverage"]
    assert (result.status, item.status) == (Status.PARTIAL, Status.PARTIAL)
    assert item.detail.startswith("the position has 2 SOL, the account holds 0.5: the rest left, and its cause")
    assert (result.positions[0].quantity, result.positions[0].unrealized_pnl_quote) == (Decimal(2), Decimal(0))


async def test_a_coin_that_left_wholly_is_no_longer_covered_and_alerts_say_so(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    await desk.update()
    desk.query("UPDATE positions SET stop_loss = 90")
    desk.clock.pass_time(minutes=5)
    desk.exchange.deposit("SOL", Decimal(-2))
    desk.exchange.price(SOL="80")
    await desk.update()
    desk.check()
    (told,) = desk.messages()
    assert "Quantity 2 SOL (the account holds only 0), average cost 100" in told.body


async def test_an_impossible_fill_keeps_its_symbol_out(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "1", "NaN")
    desk.exchange.totals["USDT"] = Decimal(1)
    result = await desk.update()
    assert "not finite" in result.failed[0].detail
    assert desk.query("SELECT * FROM fills") == []


async def test_a_history_that_began_anew_is_refused_not_mixed(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.exchange.fills.clear()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("sell", "0.5", "130")
    with pytest.raises(AllItemsFailed, match="begun anew"):
        desk.exchange.refusing["prices"] = BadAnswer("none")
        await desk.update()
    assert desk.held().position.quantity == 1


async def test_dust_closes_by_the_step_that_held_at_import(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100", "0.0005 SOL")
    desk.exchange.trade("sell", "0.999", "100")
    await desk.update()
    desk.query("UPDATE symbols SET quantity_step = 0.0001")
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    assert desk.held().position.opened_by == "SOL/USDT#3"
    assert desk.held().position.quantity == Decimal("1.0005")


async def test_an_account_without_anything_is_skipped(desk: Desk) -> None:
    result = await desk.update()
    assert result.status is Status.SKIPPED
    assert result.render_tables() == []


async def test_an_account_that_is_not_registered_is_named(desk: Desk) -> None:
    desk.query("TRUNCATE accounts CASCADE")
    with pytest.raises(OperatorError, match="Account demo is not registered"):
        await desk.update()


async def test_importing_piece_by_piece_stores_what_the_ledger_makes_of_all_fills(desk: Desk) -> None:
    trades = [("buy", "1.5", "100"), ("buy", "0.7", "91.37"), ("sell", "2.2", "95"), ("buy", "3", "88.001")]
    trades += [("sell", "0.9", "93.3"), ("sell", "1", "80"), ("sell", "1.1", "85.5"), ("buy", "0.003", "70")]
    for side, quantity, price in trades:
        desk.exchange.trade(side, quantity, price, "0.07 USDT")
        desk.clock.pass_time(minutes=5)
        await desk.update()
    with desk.store.open_books(ACCOUNT) as books:
        rebuilt = build_ledger(books.load_fills())
    rows = desk.query("SELECT * FROM positions ORDER BY opened_at")
    stored = [(row.opened_by, row.quantity, row.cost_quote, row.realized_pnl_quote, row.closed_at) for row in rows]
    assert stored == [
        (one.opened_by, one.quantity, one.cost_quote, one.realized_pnl_quote, one.closed_at)
        for one in rebuilt.positions
    ]
    assert len(stored) == 3


async def test_the_artifacts_table_shows_each_position_and_what_was_closed(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    desk.exchange.trade("sell", "10", "0.4", symbol="ADA/USDT")
    desk.exchange.price(SOL="90")
    opened, closed = (await desk.update()).render_tables()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in opened.splitlines()]
    expected = ["demo", "SOL/USDT", "-10.00 USDT", "-10.00 %", "90", "none", "none", "100", "1", "00:00:00"]
    assert expected in cells
    assert "| demo      | ADA/USDT          | 2024-10-04 00:00:00 | -1.00 USDT     |" in closed
