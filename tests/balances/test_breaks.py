"""Differences between the exchange and the ledger: found, told once, resolved or classified; and none that is false."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from lib.balances.flows import CashFlow, FlowKind
from lib.balances.picture import BalanceOptions
from lib.errors import CredentialsRefused, ExchangeUnavailable, OperatorError
from lib.portfolio.fills import Balance, Fill
from lib.results import Status
from tests.balances.conftest import MORNING, Desk
from tests.portfolio.hand_exchange import HandExchange


async def test_a_difference_is_suspected_then_open_and_told_once_with_its_numbers(desk: Desk) -> None:
    desk.exchange.trade("buy", "5", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-2", told=False)
    first = await desk.sync(minutes=10)
    assert (first.status, first.counts["suspected"], desk.titles()) == (Status.OK, 1, [])
    assert (desk.last().equity, desk.last().unexplained_value, desk.last().day_pnl) == (9_800, -200, 0)
    second = await desk.sync(minutes=15)
    assert (second.status, second.counts["breaks"]) == (Status.PARTIAL, 1)
    (row,) = desk.breaks()
    assert (row.asset, row.expected, row.actual, row.difference, row.value_quote) == ("SOL", 5, 3, -2, -200)
    assert (row.state, row.first_seen_at) == ("open", MORNING + timedelta(minutes=15))
    assert (row.opened_at, row.last_seen_at) == (MORNING + timedelta(minutes=30),) * 2
    await desk.sync(minutes=15)
    assert desk.titles() == ["⚠️ Break: SOL is not what the ledger expects (demo)"]
    (message,) = desk.query("SELECT body, type, severity FROM notifications")
    assert "The exchange holds 3 SOL, the ledger expects 5: 2 less, worth 200.00 USDT" in message.body
    assert "classify-break" in message.body
    assert (message.type, message.severity) == ("operations", "warning")
    (row,) = desk.breaks()
    assert (row.state, row.last_seen_at) == ("open", MORNING + timedelta(minutes=45))
    assert "| SOL" in "".join(second.render_tables())


async def test_a_break_that_is_gone_is_told_as_resolved(desk: Desk) -> None:
    desk.exchange.trade("buy", "5", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-2", told=False)
    for _ in range(2):
        await desk.sync(minutes=15)
    desk.move("SOL", "2", told=False)
    result = await desk.sync(minutes=15)
    assert (result.status, result.breaks) == (Status.OK, ())
    assert desk.titles()[1:] == ["✅ Break resolved: SOL (demo)"]
    (row,) = desk.breaks()
    assert (row.state, row.closed_at) == ("resolved", MORNING + timedelta(minutes=50))
    assert desk.last().day_pnl == 0
    desk.move("SOL", "-2", told=False)
    for _ in range(2):
        await desk.sync(minutes=15)
    assert len(desk.titles()) == 3
    assert [row.state for row in desk.breaks()] == ["resolved", "open"]


async def test_a_fill_that_the_exchange_shows_late_makes_no_break(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=15)
    late = desk.exchange.trade("buy", "5", "100", "0.5 USDT")
    desk.exchange.hidden.add(late.key)
    result = await desk.sync()
    assert (result.counts["suspected"], desk.last().day_pnl) == (2, 0)
    desk.exchange.hidden.clear()
    result = await desk.sync(minutes=15)
    assert (result.status, result.breaks, desk.breaks(), desk.titles()) == (Status.OK, (), [], [])
    assert desk.last().day_pnl == Decimal("-0.5")


async def test_fills_before_the_first_comparison_that_turn_up_later_make_no_break(desk: Desk) -> None:
    early = desk.exchange.trade("buy", "5", "100")
    desk.exchange.hidden.add(early.key)
    desk.clock.pass_time(minutes=1)
    await desk.sync()
    desk.exchange.hidden.clear()
    result = await desk.sync(hours=1)
    assert (result.counts["new fills"], result.breaks) == (1, ())


class BusyExchange(HandExchange):
    """Trades happen while it is asked: `meanwhile` by what is asked, each once."""

    def __init__(self, exchange: HandExchange) -> None:
        vars(self).update(vars(exchange))
        self.meanwhile: dict[str, list[Callable[[], object]]] = {}

    def happen(self, when: str) -> None:
        for act in self.meanwhile.pop(when, []):
            self.clock.pass_time(seconds=1)
            act()

    async def fetch_balances(self) -> Mapping[str, Balance]:
        answer = await super().fetch_balances()
        self.happen("after balances")
        return answer

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        answer = await super().fetch_fills(symbol, from_id)
        self.happen("after fills")
        return answer

    async def fetch_cash_flows(self, since: datetime) -> Sequence[CashFlow]:
        answer = await super().fetch_cash_flows(since)
        self.happen("after cash flows")
        return answer

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        self.happen("before prices")
        return await super().fetch_prices()


class OvertakenExchange(HandExchange):
    """Right after the second answer about balances, a trade happens and another chain imports it."""

    desk: Desk | None = None

    def __init__(self, exchange: HandExchange) -> None:
        vars(self).update(vars(exchange))
        self.answers = 0

    async def fetch_balances(self) -> Mapping[str, Balance]:
        answer = await super().fetch_balances()
        self.answers += 1
        if self.answers == 2 and self.desk is not None:
            desk, self.desk = self.desk, None
            desk.clock.pass_time(seconds=1)
            self.trade("buy", "5", "100", "0.5 USDT")
            await desk.update()
        return answer


@pytest.mark.parametrize("when", ["after balances", "after fills", "after cash flows", "before prices"])
async def test_fills_and_deposits_that_land_while_it_reads_make_no_break(desk: Desk, when: str) -> None:
    await desk.sync()
    busy = desk.exchange = BusyExchange(desk.exchange)
    desk.clock.pass_time(minutes=15)
    busy.trade("buy", "1", "100")
    busy.meanwhile[when] = [
        lambda: busy.trade("buy", "5", "100", "0.5 USDT"),
        lambda: desk.move("USDT", "700"),
        lambda: busy.trade("sell", "1", "100"),
    ]
    result = await desk.sync()
    assert busy.meanwhile == {}
    assert result.breaks == ()
    await desk.sync(minutes=15)
    assert desk.query("SELECT count(*) FROM fills")[0][0] == 3
    assert (desk.breaks(), desk.titles()) == ([], [])
    assert (desk.last().day_flows, desk.last().day_pnl) == (700, Decimal("-0.5"))


async def test_an_import_by_another_chain_in_between_makes_no_break(desk: Desk) -> None:
    """The ledger then knows a fill that the balances read before do not contain."""
    await desk.sync()
    busy = desk.exchange = OvertakenExchange(desk.exchange)
    desk.clock.pass_time(minutes=15)
    busy.desk = desk
    result = await desk.sync()
    assert desk.query("SELECT count(*) FROM fills")[0][0] == 1
    assert (result.counts["suspected"], result.counts["breaks"]) == (2, 0)
    await desk.sync(minutes=15)
    assert (desk.breaks(), desk.titles()) == ([], [])


async def test_an_asset_that_never_stands_still_is_not_compared(desk: Desk) -> None:
    await desk.sync()
    busy = desk.exchange = BusyExchange(desk.exchange)
    desk.clock.pass_time(minutes=15)

    def trade_on() -> None:
        busy.trade("buy", "0.1", "100")
        busy.meanwhile["after cash flows"] = [trade_on]

    busy.meanwhile["after cash flows"] = [trade_on]
    result = await desk.sync()
    (item,) = [item for item in result.items if item.name == "demo ledger"]
    assert (item.status, item.detail.startswith("SOL, USDT not compared")) == (Status.SKIPPED, True)
    assert result.breaks == ()


async def test_fills_that_cannot_be_read_make_no_break(desk: Desk) -> None:
    desk.exchange.deposit("BNB", Decimal(1))
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "5", "100", "0.001 BNB")
    desk.exchange.refusing["SOL/USDT"] = ExchangeUnavailable("away")
    for _ in range(3):
        result = await desk.sync(minutes=15)
        assert [item.name for item in result.failed] == ["demo SOL/USDT fills"]
        assert result.breaks == ()
    desk.exchange.refusing.clear()
    assert (await desk.sync(minutes=15)).breaks == ()


async def test_a_position_sold_through_another_quote_market_surfaces(desk: Desk) -> None:
    desk.exchange.trade("buy", "10", "100")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SOL", "-10", told=False)  # sold in SOL/BTC, whose fills are not asked for
    desk.move("BTC", "0.01998", told=False)
    await desk.sync(minutes=10)
    result = await desk.sync(minutes=15)
    assert [(line.asset, line.difference, line.value_quote) for line in result.breaks] == [
        ("BTC", Decimal("0.01998"), Decimal(999)),
        ("SOL", Decimal(-10), Decimal(-1000)),
    ]
    assert "SOL turned into BTC" in result.breaks[1].why
    assert (desk.last().equity, desk.last().unexplained_value, desk.last().day_pnl) == (9_999, -1, 0)
    for asset in ("SOL", "BTC"):
        desk.classify(asset, FlowKind.TRADE, "sold for BTC")
    result = await desk.sync(minutes=15)
    assert (result.breaks, desk.last().day_flows, desk.last().day_pnl) == ((), 0, -1)


async def test_a_deposit_that_no_history_tells_is_no_profit_before_and_after_it_is_classified(desk: Desk) -> None:
    desk.exchange.refusing["cash flows"] = CredentialsRefused("hand refused the key for deposits of demo.")
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "5000")
    for minutes in (10, 15):
        result = await desk.sync(minutes=minutes)
        assert (desk.last().equity, desk.last().unexplained_value, desk.last().day_pnl) == (15_000, 5_000, 0)
    (item,) = [item for item in result.items if item.name == "demo cash flows"]
    assert item.status is Status.PARTIAL
    assert "refused the key for deposits" in item.detail
    assert "classify-break" in item.detail
    assert "a deposit (the exchange does not tell them)" in result.breaks[0].why
    with pytest.raises(OperatorError, match="Expected deposit, trade or other"):
        desk.classify("USDT", FlowKind.WITHDRAWAL)
    assert desk.classify("USDT", FlowKind.DEPOSIT, "salary").counts == {"breaks accepted": 1}
    result = await desk.sync(minutes=15)
    assert (result.breaks, result.counts["breaks"]) == ((), 0)
    assert (desk.last().unexplained_value, desk.last().day_flows, desk.last().day_pnl) == (0, 5_000, 0)
    (flow,) = desk.query("SELECT * FROM cash_flows")
    assert (flow.kind, flow.source, flow.amount, flow.note) == ("deposit", "operator", 5_000, "salary")
    assert [row.state for row in desk.breaks()] == ["accepted"]
    assert len(desk.titles()) == 1
    with pytest.raises(OperatorError, match="has no break of USDT"):
        desk.classify("USDT", FlowKind.DEPOSIT)


async def test_a_deposit_in_the_minute_in_which_expected_holdings_begin_is_no_profit_either(desk: Desk) -> None:
    await desk.sync(seconds=20)
    desk.move("USDT", "5000", told=False)
    for minutes in (0, 15):
        await desk.sync(seconds=10, minutes=minutes)
    assert [(row.state, row.first_seen_at) for row in desk.breaks()] == [("open", MORNING)]
    desk.classify("USDT", FlowKind.DEPOSIT)
    for _ in range(2):
        result = await desk.sync(minutes=15)
    assert (result.breaks, desk.last().unexplained_value) == ((), 0)
    assert (desk.last().day_flows, desk.last().day_pnl) == (5_000, 0)


async def test_interest_is_profit_once_it_is_classified(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("BNB", "0.01", told=False)
    for minutes in (10, 15):
        result = await desk.sync(minutes=minutes)
    assert result.breaks[0].why == "looks like a transfer from another wallet, interest or an airdrop"
    desk.classify("BNB", FlowKind.OTHER, "launchpool")
    await desk.sync(minutes=15)
    assert (desk.last().day_flows, desk.last().day_pnl) == (0, 6)


async def test_dust_turned_into_bnb_is_recognised(desk: Desk) -> None:
    for number, asset in enumerate(("ADA", "DOT")):
        desk.exchange.prices[f"{asset}/USDT"] = Decimal(2)
        desk.move(asset, "3", number)
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    for asset in ("ADA", "DOT"):
        desk.move(asset, "-3", told=False)
    desk.move("BNB", "0.0196", told=False)
    result = await desk.sync(minutes=10)
    assert "ADA, DOT turned into BNB" in result.breaks[1].why


async def test_small_differences_are_none_until_they_add_up(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "0.6", told=False)
    assert (await desk.sync(minutes=10)).breaks == ()
    desk.move("USDT", "0.4", told=False)
    for _ in range(2):
        result = await desk.sync(minutes=15)
    assert [(line.state, line.difference) for line in result.breaks] == [("open", Decimal(1))]
    desk.move("USDT", "-0.3", told=False)
    assert len((await desk.sync(minutes=15)).breaks) == 1  # it trembles around the tolerance
    desk.move("USDT", "-0.3", told=False)
    assert (await desk.sync(minutes=15)).breaks == ()


async def test_the_operators_tolerance_and_settling_time_are_kept(desk: Desk) -> None:
    desk.options = BalanceOptions(tolerance_quote=Decimal(100), settle=timedelta(0))
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "99", told=False)
    assert (await desk.sync(minutes=10)).breaks == ()
    desk.move("USDT", "1", told=False)
    await desk.sync(minutes=5)
    assert (await desk.sync(minutes=5)).counts["breaks"] == 1


async def test_what_was_bought_and_left_untold_between_two_runs_has_its_value(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.exchange.trade("buy", "5", "100")
    desk.move("SOL", "-5", told=False)
    for _ in range(2):
        result = await desk.sync(minutes=60)
    assert [(line.asset, line.state, line.value_quote) for line in result.breaks] == [("SOL", "open", Decimal(-500))]
    assert (desk.last().equity, desk.last().day_pnl) == (9_500, 0)


async def test_a_difference_of_an_asset_without_a_price_is_a_break(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("SCAM", "1000", told=False)
    for _ in range(2):
        result = await desk.sync(minutes=15)
    assert [(line.asset, line.state, line.value_quote) for line in result.breaks] == [("SCAM", "open", None)]
    assert "of unknown value" in desk.query("SELECT body FROM notifications")[0].body
    assert desk.last().day_pnl == 0


async def test_cash_flows_that_cannot_be_read_for_now_open_no_break(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "500")
    desk.exchange.refusing["cash flows"] = ExchangeUnavailable("away")
    for _ in range(3):
        result = await desk.sync(minutes=15)
    assert [item.name for item in result.failed] == ["demo cash flows"]
    assert (result.status, desk.breaks()) == (Status.PARTIAL, [])
    desk.exchange.refusing.clear()
    await desk.sync(minutes=15)
    assert (desk.breaks(), desk.last().day_flows, desk.last().day_pnl) == ([], 500, 0)


async def test_a_withdrawal_under_way_has_left_and_one_that_fails_comes_back(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "-1000")
    await desk.sync(minutes=10)
    assert (desk.last().day_flows, desk.last().day_pnl) == (-1_000, 0)
    desk.exchange.deposit("USDT", Decimal(1000))
    desk.exchange.flows[0] = replace(desk.exchange.flows[0], is_booked=False)
    for _ in range(3):
        result = await desk.sync(minutes=15)
    assert (result.breaks, desk.last().day_flows, desk.last().day_pnl) == ((), 0, 0)
    assert [(row.flow_id, row.amount) for row in desk.query("SELECT * FROM cash_flows ORDER BY at")] == [
        ("withdrawal:1", -1_000),
        ("withdrawal:1:returned", 1_000),
    ]


async def test_a_deposit_that_is_not_credited_yet_is_expected_once_it_is(desk: Desk) -> None:
    await desk.sync()
    desk.clock.pass_time(minutes=5)
    desk.move("USDT", "500")
    desk.exchange.deposit("USDT", Decimal(-500))
    pending = desk.exchange.flows[0] = replace(desk.exchange.flows[0], is_booked=False)
    assert (await desk.sync(minutes=10)).breaks == ()
    desk.clock.pass_time(minutes=10)
    desk.exchange.deposit("USDT", Decimal(500))
    desk.exchange.flows[0] = replace(pending, is_booked=True, at=desk.clock.now())
    result = await desk.sync(minutes=5)
    assert (result.breaks, desk.last().day_flows, desk.last().day_pnl) == ((), 500, 0)
