"""Who may decide on a plan, what is asked, and what no answer means; against the simulator and a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.allocation.limits import PlanLimits
from lib.allocation.stores import Decision, PlanState, StoredPlan
from lib.errors import CheckRefused, CredentialsRefused, OperatorError, PlanOutdated
from lib.execution.consent import Consent, decide_plan, reject_unanswered
from lib.execution.rebalance_form import RebalanceForm
from lib.portfolio.fills import Side
from tests.execution.conftest import KEY
from tests.execution.test_rebalancing import Trader, trader

__all__ = ["trader"]
LIMITS = PlanLimits(timedelta(minutes=30), Decimal(2), Decimal(1), Decimal("0.005"))


def consent(trader: Trader, run: str = "run-1", *, waits: bool = True, **changes: Any) -> Consent:
    async def is_waiting(_: str) -> bool:
        return waits

    asking = Consent(
        account=trader.bench.account,
        venue=trader.bench.orders,
        plans=trader.plans,
        orders=trader.bench.store,
        prices=trader.exchange,
        clock=trader.bench.clock,
        limits=LIMITS,
        halted=trader.gate.halted,
        needs_person=True,
        patience=timedelta(hours=12),
        run=run,
        is_waiting=is_waiting,
    )
    return replace(asking, **changes)


def messages(trader: Trader) -> list[str]:
    return [row.title for row in trader.bench.query("SELECT title FROM notifications ORDER BY notification_id")]


def answer(trader: Trader, plan: StoredPlan, decision: Decision, **fields: Any) -> None:
    form = RebalanceForm(approved_by="Ada", decision=decision, **fields)
    decide_plan(plan, form, trader.plans, trader.bench.clock)


async def test_a_run_started_anew_has_the_same_plan_and_asks_the_same_question_once(trader: Trader) -> None:
    plan = trader.propose()
    _, question = await consent(trader).review(None)
    assert question is not None
    assert question.answer_by == plan.priced_at + timedelta(minutes=30)  # before the twelve hours: then it is too old
    trader.bench.simulator.control.set_price("SOLUSDT", "110")  # what happens meanwhile is judged with the answer
    assert await consent(trader).review(None) == (trader.load(plan), question)
    assert messages(trader) == [f"💼 Approval wanted: {plan.name} (main)"]


async def test_the_patience_of_the_settings_counts_where_it_ends_before_the_plan_does(trader: Trader) -> None:
    trader.propose()
    _, question = await consent(trader, patience=timedelta(minutes=5)).review(None)
    assert question is not None and question.answer_by == trader.bench.clock.now() + timedelta(minutes=5)


async def test_while_a_run_waits_for_the_answer_no_other_one_asks_and_when_it_ended_another_one_does(
    trader: Trader,
) -> None:
    plan = trader.propose()
    await consent(trader).review(None)
    with pytest.raises(OperatorError, match=r"waits for a decision already, until .* in the run run-1\. Answer there"):
        await consent(trader, "run-2").review(None)
    _, question = await consent(trader, "run-2", waits=False).review(plan.plan_id)
    assert question is not None and question.run == "run-2"


async def test_no_answer_in_time_is_a_rejection_that_is_stored_and_told_once(trader: Trader) -> None:
    plan = trader.propose()
    await consent(trader, patience=timedelta(minutes=5)).review(None)
    assert reject_unanswered(trader.plans, trader.bench.clock) == []
    trader.bench.clock.instant += timedelta(minutes=10, seconds=1)
    assert [one.plan_id for one in reject_unanswered(trader.plans, trader.bench.clock)] == [plan.plan_id]
    assert reject_unanswered(trader.plans, trader.bench.clock) == []
    stored = trader.load(plan)
    assert stored.state is PlanState.REJECTED
    assert stored.approval is not None and (stored.approval.who, stored.approval.decision) == ("nobody", "rejected")
    assert messages(trader)[1:] == ["💼 Rebalancing not answered (main)"]
    with pytest.raises(OperatorError, match=r"is rejected since .* execute off for a new one"):
        await consent(trader).review(None)
    with pytest.raises(OperatorError, match="is rejected meanwhile"):
        answer(trader, plan, Decision.APPROVED)


async def test_a_rejection_is_stored_and_told_with_its_note(trader: Trader) -> None:
    plan = trader.propose()
    await consent(trader).review(None)
    answer(trader, plan, Decision.REJECTED, note="not before the fork")
    assert trader.load(plan).state is PlanState.REJECTED
    [body] = trader.bench.query("SELECT body FROM notifications WHERE title LIKE '%rejected by Ada%'")
    assert "not before the fork" in body[0]


async def test_where_no_person_is_wanted_the_settings_approve(trader: Trader) -> None:
    plan = trader.propose()
    reviewed, question = await consent(trader, needs_person=False).review(None)
    assert (reviewed.state, question) == (PlanState.APPROVED, None)
    assert reviewed.approval is not None and reviewed.approval.who == "settings"
    assert await consent(trader, "run-2", needs_person=False).review(plan.plan_id) == (reviewed, None)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("moved up", r"SOL/USDT moved from 100 to 101\.5 \(\+1\.50 %, allowed 1 %\)"),
        ("moved down", r"SOL/USDT moved from 100 to 97 \(-3\.00 %, allowed 2 %\)"),
        ("old", "at most 30 minutes are allowed"),
        ("sold by hand", r"the account held 0\.2 BTC and holds 0\.1"),
        ("deposited", r"the account held 0 ETH and holds 2"),
        ("not told", "the exchange gives no price of SOL/USDT"),
    ],
)
async def test_what_is_not_what_it_was_is_refused_as_a_whole_and_expires(
    trader: Trader, event: str, words: str
) -> None:
    plan, control = trader.propose(), trader.bench.simulator.control
    if event == "old":
        trader.bench.clock.instant += timedelta(minutes=31)
        control.advance(31 * 60)
    elif event == "sold by hand":
        control.request("POST", "/withdraw", api_key=KEY, asset="BTC", amount="0.1")
    elif event == "deposited":
        control.request("POST", "/deposit", api_key=KEY, asset="ETH", amount="2")
    elif event == "not told":
        control.delist("SOLUSDT")
    else:
        control.set_price("SOLUSDT", "101.5" if event == "moved up" else "97")
    with pytest.raises(PlanOutdated, match=words):
        await consent(trader).review(plan.plan_id)
    assert trader.load(plan).state is PlanState.EXPIRED
    assert messages(trader) == ["💼 Rebalancing refused (main)"]


@pytest.mark.parametrize("event", ["deposit of cash", "a better price", "dust"])
async def test_what_changes_nothing_of_the_plan_is_no_reason_to_refuse_it(trader: Trader, event: str) -> None:
    plan, control = trader.propose(), trader.bench.simulator.control
    if event == "a better price":
        control.set_price("SOLUSDT", "98.5")
    else:
        asset, amount = ("USDT", "5000") if event == "deposit of cash" else ("BTC", "0.0001")
        control.request("POST", "/deposit", api_key=KEY, asset=asset, amount=amount)
    assert (await consent(trader).review(plan.plan_id))[1] is not None


async def test_a_key_that_may_withdraw_and_a_halt_are_refused_before_anybody_is_asked_and_the_plan_stays(
    trader: Trader,
) -> None:
    plan, control = trader.propose(), trader.bench.simulator.control
    control.request("PATCH", "/accounts", api_key=KEY, enable_withdrawals=True)
    with pytest.raises(CheckRefused, match="may move money out"):
        await consent(trader).review(None)
    control.request("PATCH", "/accounts", api_key=KEY, enable_withdrawals=False)
    trader.halts.append("by hand")
    with pytest.raises(CheckRefused, match="halted: by hand"):
        await consent(trader).review(None)
    assert trader.load(plan).state is PlanState.PROPOSED
    assert messages(trader) == []


@pytest.mark.parametrize(
    ("tight", "words"),
    [
        (
            replace(LIMITS, max_order_notional=Decimal(5000)),
            r"to buy SOL comes to up to 8,070\.91 USDT, and FKS_MAX_ORDER_NOTIONAL allows 5,000\.00 USDT",
        ),
        (
            replace(LIMITS, max_day_notional=Decimal(8000)),
            r"today's other orders to 0\.00 USDT, and FKS_MAX_DAY_NOTIONAL allows 8,000\.00 USDT a day",
        ),
    ],
    ids=["order", "day"],
)
@pytest.mark.parametrize("needs_person", [True, False])
async def test_a_plan_that_its_limits_would_stop_half_way_is_refused_as_a_whole_and_stays(
    trader: Trader, tight: PlanLimits, words: str, needs_person: bool
) -> None:
    plan = trader.propose()
    with pytest.raises(OperatorError, match=f"larger than the limits, so nothing of it is sent: .*{words}"):
        await consent(trader, limits=tight, needs_person=needs_person).review(None)
    assert trader.load(plan).state is PlanState.PROPOSED
    assert (messages(trader), trader.bench.booked()) == ([], [])


async def test_what_the_day_has_traded_counts_for_the_limit_of_the_day(trader: Trader) -> None:
    plan = trader.propose()
    rates = {Side.SELL: Decimal("1.02"), Side.BUY: Decimal("1.01")}
    worst = sum((leg.notional * rates[leg.side] for leg in plan.to_trade), Decimal(10))
    enough = replace(LIMITS, max_day_notional=worst)
    await consent(trader, limits=enough).check(plan)
    async with trader.bench.open() as placing:
        await placing.place(trader.bench.intend(quantity=Decimal("0.001")))  # for 50 USDT: no holding is another
    with pytest.raises(OperatorError, match=r"today's other orders to 50\.00 USDT.* Raise it, or wait for 00:00 UTC"):
        await consent(trader, limits=enough).check(plan)


async def test_a_larger_slippage_of_the_approval_counts_before_the_first_leg(trader: Trader) -> None:
    plan = trader.propose()
    largest = max(leg.notional for leg in plan.to_trade)
    tight = replace(LIMITS, max_order_notional=largest * Decimal("1.02"))
    await consent(trader, limits=tight).review(None)
    answer(trader, plan, Decision.APPROVED, max_slippage_pct=Decimal(5))
    with pytest.raises(OperatorError, match="FKS_MAX_ORDER_NOTIONAL"):
        await consent(trader, limits=tight).check(trader.load(plan))


async def test_a_refused_key_ends_the_review_with_what_the_exchange_says(trader: Trader) -> None:
    plan = trader.propose()
    trader.bench.arm("status", "*", "/api/v3/account", status=401, code=-2015, count=0)
    trader.bench.arm("status", "*", "/sapi/*", status=401, code=-2015, count=0)
    with pytest.raises(CredentialsRefused):
        await consent(trader).review(None)
    assert trader.load(plan).state is PlanState.PROPOSED


async def test_without_a_plan_the_remedy_is_named(trader: Trader) -> None:
    with pytest.raises(OperatorError, match=r"main has no plan to run\. Run rebalance-portfolio with execute off"):
        await consent(trader).review(None)
    with pytest.raises(OperatorError, match="There is no plan 17"):
        await consent(trader).review(17)
    plan = trader.propose()
    trader.bench.query("INSERT INTO accounts VALUES ('other', 'live', 'simulator', 'USDT', now())")
    trader.bench.query("UPDATE rebalance_plans SET account = 'other'")
    with pytest.raises(OperatorError, match="of account other, not of main"):
        await consent(trader).review(plan.plan_id)


async def test_a_leg_below_a_minimum_that_was_raised_meanwhile_fails_with_the_reason(trader: Trader) -> None:
    plan = trader.approve()
    trader.bench.query("UPDATE symbols SET min_notional = 100000 WHERE name = 'SOL/USDT'")
    await trader.run(plan)
    assert "minimum" in trader.reason(plan, "SOL")
    trader.bench.query("UPDATE symbols SET min_notional = 5")
    another = trader.approve("ETH/USDT", "BTC/USDT")
    trader.bench.arm("status", "POST", status=400, code=-1013, message="Filter failure: NOTIONAL")  # it knows first
    await trader.run(another)
    assert trader.load(another).state is PlanState.FAILED
    assert "NOTIONAL" in trader.reason(another, "SOL")
