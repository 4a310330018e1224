"""When people are told of an account's risk, what they read, and what is stored and reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import SettingsError
from lib.portfolio.state import AccountState
from lib.results import Status, combine
from lib.risk.alarm import RiskAlarm
from lib.risk.analysis import analyze_risk
from lib.risk.drawdown import EquityPoint
from lib.risk.options import RiskOptions
from lib.risk.report import RiskResult
from tests.portfolio.samples import ACCOUNT, START, at
from tests.risk.conftest import Desk, HandEquity
from tests.risk.samples import hold, random_returns, walk

CALM = {f"A{number}": "400" for number in range(10)}  # 4 000 of 10 000
HIGH = {f"A{number}": "850" for number in range(10)}  # 8 500 of 10 000


def state_at(desk: Desk, cash: str, **held: Any) -> AccountState:
    """A state as of the desk's clock."""
    return replace(hold(cash, **held), at=desk.clock.now())


def calm(desk: Desk) -> AccountState:
    return state_at(desk, "6000", **CALM)


def high(desk: Desk) -> AccountState:
    return state_at(desk, "1500", **HIGH)


def half_an_hour_later(desk: Desk, state: Any) -> RiskResult:
    desk.clock.pass_time(minutes=30)
    return desk.analyze(state(desk))


def test_becoming_high_is_told_with_the_rule_its_number_and_its_limit(desk: Desk) -> None:
    desk.analyze(calm(desk))
    assert desk.messages() == []
    result = half_an_hour_later(desk, high)
    (message,) = desk.messages()
    assert (message.type, message.severity) == ("risk", "warning")
    assert message.title == "⚠️ HIGH risk: exposure 85.00 % of equity is above 80 % (demo)"
    assert message.body.splitlines() == [
        "HIGH: exposure 85.00 % of equity is above 80 %.",
        "Equity 10,000.00 USDT: cash 1,500.00 USDT, positions 8,500.00 USDT, unrealized profit 0.00 USDT.",
        "Largest holdings: A0/USDT 8.50 %, A1/USDT 8.50 %, A2/USDT 8.50 %, A3/USDT 8.50 %, A4/USDT 8.50 %.",
        "What to do: sell about 900.00 USDT worth to bring exposure to 76 %.",
    ]
    assert (result.status, result.counts) == (Status.OK, {"HIGH risk": 1, "alerts": 1})


def test_what_the_message_advises_to_sell_ends_the_alarm(desk: Desk) -> None:
    desk.analyze(high(desk))
    sold = {**HIGH, "A0": "0", "A1": "799.99"}  # 900.01 less
    desk.analyze(state_at(desk, "2400.01", **sold))
    assert len(desk.messages()) == 2


def test_it_is_not_told_again_in_the_next_cycles(desk: Desk) -> None:
    for _ in range(10):
        half_an_hour_later(desk, high)
    assert len(desk.messages()) == 1
    assert [row.level for row in desk.snapshots()] == ["HIGH"] * 10


def test_it_is_told_again_after_a_day(desk: Desk) -> None:
    told = []
    for cycle in range(100):
        before = len(desk.messages())
        half_an_hour_later(desk, high)
        told += [cycle] * (len(desk.messages()) - before)
    assert told == [0, 48, 96]
    assert desk.titles()[1] == "⚠️ Still HIGH risk: exposure 85.00 % of equity is above 80 % (demo)"
    assert "It has been HIGH since 2024-10-04 00:30 UTC." in desk.messages()[1].body


def test_a_loss_is_urgent(desk: Desk) -> None:
    desk.analyze(state_at(desk, "6000", **CALM, pnl="-1000.01"))
    (message,) = desk.messages()
    assert message.severity == "urgent"
    assert message.title == "⚠️ HIGH risk: unrealized loss 10.01 % of equity is above 10 % (demo)"
    assert "unrealized loss 1,000.01 USDT." in message.body
    assert "stop losses with set-stop-loss" in message.body


def test_another_rule_that_fires_while_it_is_high_is_told_once(desk: Desk) -> None:
    desk.analyze(high(desk))
    for pnl in ("-1100", "-960", "-1100"):
        desk.clock.pass_time(minutes=30)
        desk.analyze(state_at(desk, "1500", **HIGH, pnl=pnl))
    assert desk.titles()[1:] == ["⚠️ HIGH risk, now also: unrealized loss 11.00 % of equity is above 10 % (demo)"]


def test_a_loss_that_was_safely_below_its_limit_and_comes_back_is_told_again(desk: Desk) -> None:
    desk.analyze(high(desk))
    for pnl in ("-1100", "-600", "-4500"):
        desk.clock.pass_time(minutes=30)
        desk.analyze(state_at(desk, "1500", **HIGH, pnl=pnl))
    assert desk.titles()[1:] == [
        "⚠️ HIGH risk, now also: unrealized loss 11.00 % of equity is above 10 % (demo)",
        "⚠️ HIGH risk, now also: unrealized loss 45.00 % of equity is above 10 % (demo)",
    ]
    assert desk.messages()[2].severity == "urgent"


@pytest.mark.parametrize("unknown", ["price", "time"])
def test_what_is_not_known_is_not_over_and_not_told_again(desk: Desk, unknown: str) -> None:
    lost = {**HIGH, "pnl": "-1100"}
    desk.analyze(state_at(desk, "1500", **lost))
    desk.clock.pass_time(hours=2)
    hidden = state_at(desk, "1500", **HIGH, unpriced="SOL/USDT" if unknown == "price" else "")
    desk.analyze(hidden if unknown == "price" else replace(hidden, at=START))
    desk.analyze(state_at(desk, "1500", **lost))
    assert len(desk.messages()) == 1


def test_a_second_asset_above_its_limit_is_told_too_and_each_once(desk: Desk) -> None:
    for held in ({"BTC": "2500"}, {"BTC": "2500", "SOL": "2100"}, {"BTC": "2500", "SOL": "2100"}):
        desk.clock.pass_time(minutes=30)
        desk.analyze(state_at(desk, str(10_000 - sum(map(int, held.values()))), **held))
    assert desk.titles() == [
        "⚠️ HIGH risk: BTC/USDT 25.00 % of equity is above 20 % (demo)",
        "⚠️ HIGH risk, now also: SOL/USDT 21.00 % of equity is above 20 % (demo)",
    ]
    assert desk.query("SELECT told FROM risk_alarms")[0].told == ["position:BTC/USDT", "position:SOL/USDT"]


def test_each_concentrated_position_is_named_with_what_to_sell(desk: Desk) -> None:
    desk.analyze(state_at(desk, "5000", BTC="3000", SOL="2000.01"))
    (message,) = desk.messages()
    assert message.title == "⚠️ HIGH risk: BTC/USDT 30.00 % of equity is above 20 % and 1 more rule (demo)"
    assert "sell about 1,100.00 USDT of BTC/USDT to bring it to 19 %" in message.body
    assert "sell about 100.01 USDT of SOL/USDT to bring it to 19 %" in message.body
    assert "MEDIUM: exposure 50.01 % of equity is above 50 %." in message.body


def test_people_are_told_when_it_is_over(desk: Desk) -> None:
    desk.analyze(high(desk))
    result = half_an_hour_later(desk, calm)
    message = desk.messages()[1]
    assert message.title == "✅ Risk is no longer HIGH: LOW (demo)"
    assert message.severity == "warning"
    assert "It had been HIGH since 2024-10-04 00:00 UTC." in message.body
    assert result.items[0].detail == "LOW; people are told that it is over"
    half_an_hour_later(desk, calm)
    assert len(desk.messages()) == 2


def test_the_next_time_it_becomes_high_is_told_at_once(desk: Desk) -> None:
    for state in (high, calm, high, calm):
        half_an_hour_later(desk, state)
    assert [title[:24] for title in desk.titles()] == ["⚠️ HIGH risk: exposure 8", "✅ Risk is no longer HIGH"] * 2


def test_a_number_that_moves_around_its_limit_calls_nobody_again(desk: Desk) -> None:
    held = {f"A{number}": "800" for number in range(9)}
    for last in ("801", "799", "801", "700", "801"):
        desk.clock.pass_time(minutes=30)
        desk.analyze(state_at(desk, "2000", **held, LAST=last))
    assert len(desk.messages()) == 1
    assert [row.level for row in desk.snapshots()] == ["HIGH", "MEDIUM", "HIGH", "MEDIUM", "HIGH"]


def test_medium_is_reported_and_told_to_nobody(desk: Desk) -> None:
    result = desk.analyze(state_at(desk, "4000", **{f"A{n}": "600" for n in range(10)}))
    assert desk.messages() == []
    assert result.items[0].detail == "MEDIUM; exposure 60.00 % of equity is above 50 %"


def test_a_position_without_a_price_is_partial_and_never_the_all_clear(desk: Desk) -> None:
    desk.analyze(high(desk))
    desk.clock.pass_time(minutes=30)
    result = desk.analyze(state_at(desk, "6000", **CALM, unpriced="SOL/USDT"))
    assert len(desk.messages()) == 1
    assert result.status is Status.PARTIAL
    assert "no price: SOL/USDT" in result.items[0].detail
    assert "the alarm of 2024-10-04 00:00 UTC stands" in result.items[0].detail
    half_an_hour_later(desk, calm)
    assert len(desk.messages()) == 2


@pytest.mark.parametrize("age", [timedelta(hours=1, seconds=1), timedelta(minutes=-1)])
def test_an_outdated_state_is_partial_and_never_the_all_clear(desk: Desk, age: timedelta) -> None:
    desk.analyze(high(desk))
    desk.clock.pass_time(hours=2)
    result = desk.analyze(replace(calm(desk), at=desk.clock.now() - age))
    assert len(desk.messages()) == 1
    assert result.status is Status.PARTIAL
    assert "so this may not hold now" in result.items[0].detail


def test_an_outdated_state_that_is_high_is_told_with_its_age(desk: Desk) -> None:
    desk.clock.pass_time(hours=2)
    desk.analyze(hold("1500", **HIGH))
    assert "Balances and prices are as old as 2024-10-04 00:00 UTC." in desk.messages()[0].body


def test_nothing_known_of_an_account_is_reported_and_changes_no_alarm(desk: Desk) -> None:
    desk.analyze(high(desk))
    result = desk.analyze(None, minutes=30)
    assert (result.status, result.risks) == (Status.SKIPPED, ())
    assert "its risk is not known" in result.items[0].detail
    assert (len(desk.messages()), len(desk.snapshots())) == (1, 1)


def test_an_empty_account_has_no_risk_and_no_error(desk: Desk) -> None:
    result = desk.analyze(state_at(desk, "0"))
    assert (result.status, result.counts["NONE risk"]) == (Status.OK, 1)
    (row,) = desk.snapshots()
    assert (row.level, row.exposure_ratio, row.largest_symbol, row.var_95) == ("NONE", None, None, None)
    assert all(result.render_tables())


def test_an_account_without_equity_is_told_urgently(desk: Desk) -> None:
    result = desk.analyze(state_at(desk, "-250", SOL="100"))
    assert desk.messages()[0].severity == "urgent"
    assert desk.titles() == ["⚠️ HIGH risk: equity is -150.00 USDT while something is held (demo)"]
    assert result.status is Status.PARTIAL
    assert all(result.render_tables())


def test_a_clock_that_was_ahead_does_not_silence_the_alarm(desk: Desk) -> None:
    desk.clock.pass_time(days=30)
    desk.analyze(high(desk))
    desk.clock.pass_time(days=-30)
    desk.analyze(high(desk))
    assert len(desk.messages()) == 2
    half_an_hour_later(desk, calm)
    assert desk.titles()[2] == "✅ Risk is no longer HIGH: LOW (demo)"


def test_the_snapshot_holds_what_was_measured(desk: Desk) -> None:
    returns = random_returns(120, seed=1)
    desk.store_daily(
        BTC=walk(returns), ETH=walk([one / 2 for one in returns]), NEW=[float("nan")] * 119 + [100.0, 101.0]
    )
    desk.equity.points = [EquityPoint(at(-20), Decimal(12000)), EquityPoint(at(-10), Decimal(9000))]
    desk.analyze(state_at(desk, "7500", BTC="1000", ETH="1000", NEW="500", unpriced="AIRDROP"))
    (row,) = desk.snapshots()
    losses = sorted(-2500 / 2000 * (0.1 * one + 0.1 * one / 2) for one in returns)
    assert row.var_95 == pytest.approx(losses[-7])  # the seventh worst of 120: 114 days are at most that bad
    assert row.shortfall_95 == pytest.approx(sum(losses[-6:]) / 6)
    assert row.var_99 == pytest.approx(losses[-2])
    assert row.shortfall_99 == pytest.approx((losses[-1] + 0.2 * losses[-2]) / 1.2)
    assert (row.var_days, row.worst_loss) == (120, pytest.approx(losses[-1]))
    assert (row.drawdown_ratio, row.peak_at) == (Decimal("-0.25"), at(-20))
    assert (row.highest_first, row.highest_second) == ("BTC/USDT", "ETH/USDT")
    assert row.highest_correlation == row.average_correlation == pytest.approx(1)
    assert (row.exposure_ratio, row.largest_symbol, row.largest_share) == (
        Decimal("0.25"),
        "BTC/USDT",
        Decimal("0.1"),
    )
    assert (row.unpriced, row.fired, row.equity) == (["AIRDROP"], [], 10000)


def test_the_rules_that_fired_are_stored_with_every_digit(desk: Desk) -> None:
    desk.analyze(high(desk))
    assert desk.snapshots()[0].fired == [
        {"rule": "exposure", "level": "HIGH", "value": "0.850000000000000000", "limit": "0.80", "symbol": None}
    ]


def test_a_short_history_leaves_the_number_out_and_says_so(desk: Desk) -> None:
    desk.store_daily(SOL=walk(random_returns(99, seed=1)))
    result = desk.analyze(state_at(desk, "9000", SOL="1000"))
    (skipped,) = [item for item in result.items if item.status is Status.SKIPPED]
    assert (skipped.name, result.status) == ("demo value at risk", Status.OK)
    assert "it takes 100 days" in skipped.detail
    assert desk.snapshots()[0].var_95 is None


def test_what_was_deposited_has_a_value_at_risk_as_a_position_has(desk: Desk) -> None:
    desk.store_daily(BTC=walk(random_returns(120, seed=1)))
    desk.analyze(state_at(desk, "4000", other="BTC=6000"))
    desk.analyze(state_at(desk, "4000", BTC="6000"), minutes=30)
    deposited, bought = desk.snapshots()
    assert deposited.var_95 == bought.var_95 > 0
    assert (deposited.largest_symbol, deposited.largest_share) == ("BTC/USDT", Decimal("0.6"))
    assert "sell about 4,100.00 USDT of BTC/USDT to bring it to 19 %" in desk.messages()[0].body


def test_a_deposit_without_a_history_leaves_the_number_out_and_says_so(desk: Desk) -> None:
    result = desk.analyze(state_at(desk, "9000", other="BTC=1000"))
    (skipped,) = [item for item in result.items if item.status is Status.SKIPPED]
    assert (skipped.name, skipped.detail.startswith("not enough data")) == ("demo value at risk", True)


def test_the_tables_show_rules_losses_holdings_and_correlations(desk: Desk) -> None:
    returns = random_returns(120, seed=1)
    desk.store_daily(BTC=walk(returns), ETH=walk([-one for one in returns]))
    desk.equity.points = [EquityPoint(at(-20), Decimal(12500)), EquityPoint(at(-10), Decimal(10000))]
    rules, losses, holdings, correlations = desk.analyze(
        state_at(desk, "5000", BTC="3000", ETH="1500", other="XYZ=500", unpriced="AIRDROP")
    ).render_tables()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in rules.splitlines() if ":--" not in line] == [
        ["demo: HIGH", "now", "MEDIUM above", "HIGH above", ""],
        ["exposure", "50.00 %", "50 %", "80 %", ""],
        ["unrealized loss", "0.00 %", "5 %", "10 %", ""],
        ["largest position (BTC/USDT)", "30.00 %", "", "20 %", "HIGH"],
    ]
    assert "value at risk at 95 %, one day" in losses
    assert "history of 120 days" in losses
    assert "-20.00 %" in losses
    assert "| XYZ/USDT " in holdings
    assert "XYZ/USDT: too short a history, taken to move as the others" in losses
    assert "no price" in holdings
    assert "-1.00" in correlations
    assert "BTC/USDT and ETH/USDT move most alike" in correlations


def test_the_results_of_several_accounts_add_up(desk: Desk) -> None:
    first, second = desk.analyze(high(desk)), desk.analyze(calm(desk))
    both = combine([first, second])
    assert both.counts == {"HIGH risk": 1, "LOW risk": 1, "alerts": 2}
    assert len(both.risks) == 2
    assert RiskResult.model_validate_json(both.model_dump_json()).risks == both.risks


def test_a_history_that_cannot_be_read_silences_neither_rules_nor_alarm(desk: Desk) -> None:
    result = analyze_risk(
        account=ACCOUNT,
        state=high(desk),
        history=desk.history,
        equity=BrokenEquity(),
        store=desk.store,
        clock=desk.clock,
        options=desk.options,
    )
    assert len(desk.messages()) == 1
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["demo drawdown"]


class BrokenEquity(HandEquity):
    def load_equity(self, account: str, since: Any) -> Any:
        raise ArithmeticError("a history that makes no sense")


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"clear_ratio": Decimal("1.1")}, {"min_days": 0}, {"min_days": 366}):
        with pytest.raises(SettingsError):
            RiskOptions(**wrong)


def test_without_the_snapshot_there_is_neither_message_nor_alarm(desk: Desk) -> None:
    desk.analyze(calm(desk))
    desk.query("ALTER TABLE risk_snapshots RENAME TO away")
    with pytest.raises(Exception, match="risk_snapshots"):
        desk.analyze(high(desk))
    assert desk.messages() == []
    desk.query("ALTER TABLE away RENAME TO risk_snapshots")
    desk.analyze(high(desk))
    assert len(desk.messages()) == 1


def test_the_alarm_is_what_was_told(desk: Desk) -> None:
    result = desk.analyze(high(desk))
    with desk.store.open_risk(ACCOUNT) as book:
        alarm = book.load_alarm()
    assert alarm == result.risks[0].alarm
    assert (alarm.raised_at, alarm.alerts) == (START, 1)
    assert alarm != RiskAlarm()
