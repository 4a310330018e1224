"""When a plan is proposed, what people read, and what is stored and reported."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.allocation.limits import PlanLimits
from lib.allocation.messages import write_recommendation
from lib.allocation.optimization import optimize_portfolio
from lib.allocation.plan import RebalanceRules, plan_rebalance
from lib.allocation.report import OptimizationResult
from lib.allocation.stores import Approval, Decision, PlanState
from lib.allocation.targets import TargetRules
from lib.errors import ExchangeUnavailable, RetryableError
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AccountState
from lib.results import Status, combine
from tests.allocation.conftest import Archive
from tests.allocation.samples import LIMITS, asset, hold, listing, pair_rules, quotes, state
from tests.portfolio.samples import ACCOUNT, START

PRICES = {"BTC": "50000", "SOL": "100"}
BTC_HEAVY: dict[str, str] = {"BTC": "0.16 @ 50000"}
BALANCED: dict[str, str] = {"BTC": "0.08 @ 50000", "SOL": "40 @ 100"}
SYMBOLS = """
    INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity, min_notional,
                         status_since, refreshed_at)
    SELECT base || '/USDT', base, 'USDT', 'other', 'trading', 0.01, 0.001, 0.001, 5, now(), now()
    FROM unnest(CAST(:bases AS text[])) AS base
"""


@pytest.fixture
def office(archive: Archive) -> Archive:
    archive.query(SYMBOLS, bases=["BTC", "SOL", "DOGE"])
    return archive


def optimize(
    office: Archive,
    seen: AccountState | None = None,
    answer: Quotes | None = None,
    limits: PlanLimits = LIMITS,
    used: str = "0",
    **prices: str,
) -> OptimizationResult:
    """Optimize at the clock's instant with balances just seen."""
    return optimize_portfolio(
        account=ACCOUNT,
        state=seen if seen is not None else state("2000", **BTC_HEAVY),
        quotes=answer or quotes(**PRICES | prices),
        market=DatabaseMarketFacts(office.engine),
        store=office.store,
        clock=office.clock,
        rules=pair_rules("0.001"),
        limits=limits,
        used=Decimal(used),
        code_version="1.2.3",
    )


def test_an_account_that_is_off_gets_a_plan_and_a_message_with_the_picture(office: Archive) -> None:
    result = optimize(office)
    plan = office.store.load_open(ACCOUNT)
    assert plan is not None
    assert (plan.state, plan.code_version, plan.priced_at) == (PlanState.PROPOSED, "1.2.3", START)
    assert plan.reasons[0] == "mains 80.00 % instead of 40.00 % (+40.00)"
    (message,) = office.messages()
    assert (message.type, message.severity) == ("rebalance", "info")
    assert message.title == "💼 Rebalancing recommended: mains +40.00 points (demo)"
    assert message.body.splitlines() == [
        "Off by more than 5 points of equity:",
        "- mains 80.00 % instead of 40.00 % (+40.00)",
        "- alts 0.00 % instead of 40.00 % (-40.00)",
        "- BTC 80.00 % instead of 40.00 % (+40.00)",
        "- SOL 0.00 % instead of 40.00 % (-40.00)",
        "Equity 10,000.00 USDT, of it 2,000.00 USDT stays cash.",
        "2 trades, fees of about 8.05 USDT:",
        "1. sell 0.081 BTC for 4,050.00 USDT (at 50,000)",
        "2. buy 39.96 SOL for 3,996.00 USDT (at 100)",
        "Afterwards: mains 39.53 %, alts 39.99 %, cash 20.48 %.",
        f"What to do: review {plan.name}, then run rebalance-portfolio with account demo, plan {plan.plan_id} and "
        "execute on. Nothing is traded before; prices are of 2024-10-04 00:00 UTC.",
        "This can be begun until 2024-10-04 00:30 UTC. Later, run rebalance-portfolio with execute off first: it makes "
        "a plan of then.",
    ]
    (picture,) = office.query("SELECT * FROM notification_attachments")
    assert (picture.name, picture.media_type) == ("allocation.png", "image/png")
    assert bytes(picture.content).startswith(b"\x89PNG")
    assert (result.status, result.counts) == (Status.OK, {"plans": 1, "trades": 2, "skipped legs": 0, "alerts": 1})


def test_a_balanced_account_is_said_to_be_so(office: Archive) -> None:
    result = optimize(office, state("2000", **BALANCED))
    assert result.items[0].detail == "nothing is off by more than 5 points of equity, so nothing is to be done"
    assert result.status is Status.OK
    assert (office.states(), office.messages()) == ([], [])


def test_an_equal_plan_is_kept_and_told_once(office: Archive) -> None:
    first = optimize(office)
    later = Quotes(quotes(**PRICES).prices, START + timedelta(minutes=10))
    second = optimize(office, answer=later)
    assert office.states() == ["proposed"]
    assert len(office.messages()) == 1
    assert (first.counts["plans"], second.counts["plans"], second.counts["alerts"]) == (1, 0, 0)
    plan = office.store.load_open(ACCOUNT)
    assert plan is not None
    assert plan.priced_at == START + timedelta(minutes=10)
    assert "stands, with prices confirmed" in second.items[0].detail


def test_another_plan_lets_the_proposed_one_expire(office: Archive) -> None:
    optimize(office)
    optimize(office, BTC="51000")
    assert office.states() == ["expired", "proposed"]
    assert len(office.messages()) == 2
    assert office.query("SELECT note FROM rebalance_plans ORDER BY plan_id")[0].note == "A newer plan was proposed."


def test_a_proposed_plan_expires_when_nothing_is_off_any_more(office: Archive) -> None:
    optimize(office)
    optimize(office, state("2000", **BALANCED))
    assert office.states() == ["expired"]


@pytest.mark.parametrize("state_then", [PlanState.APPROVED, PlanState.RUNNING])
def test_a_plan_at_work_is_left_alone(office: Archive, state_then: PlanState) -> None:
    optimize(office)
    decide_and_move(office, state_then)
    result = optimize(office, BTC="51000")
    assert office.states() == [state_then.value]
    assert len(office.messages()) == 1
    assert f"is {state_then} since" in result.items[0].detail


def test_a_plan_that_was_approved_and_not_started_gives_way_as_soon_as_it_is_too_old_to_be_run(office: Archive) -> None:
    optimize(office)
    decide_and_move(office, PlanState.APPROVED)
    office.clock.pass_time(minutes=30)
    optimize(office, BTC="51000")
    assert office.states() == ["approved"]
    office.clock.pass_time(minutes=1)
    optimize(office, BTC="51000")
    assert office.states() == ["expired", "proposed"]
    [(note,)] = office.query("SELECT note FROM rebalance_plans WHERE state = 'expired'")
    assert note == "It was approved, and not started before its prices were 30 minutes old."


def test_a_plan_that_is_larger_than_the_limits_is_proposed_and_says_that_it_would_be_refused(office: Archive) -> None:
    limits = replace(LIMITS, max_day_notional=Decimal(9000))
    result = optimize(office, limits=limits, used="1000")
    excess = (
        "its trades come to up to 8,166.96 USDT, today's other orders to 1,000.00 USDT, and FKS_MAX_DAY_NOTIONAL "
        "allows 9,000.00 USDT a day. Raise it, or wait for 00:00 UTC."
    )
    assert (result.status, office.states()) == (Status.PARTIAL, ["proposed"])
    assert f"it is larger than the limits and would be refused: {excess}" in result.items[0].detail
    assert f"It is larger than the limits and would be refused: {excess}" in office.messages()[0].body
    assert optimize(office, limits=limits, used="800").status is Status.OK


def decide_and_move(office: Archive, to: PlanState) -> None:
    plan = office.store.load_open(ACCOUNT)
    assert plan is not None
    assert office.store.decide(plan, Approval(Decision.APPROVED, "Ada", office.clock.now()))
    if to is PlanState.RUNNING:
        assert office.store.advance(plan.plan_id, to, note="", now=office.clock.now())


def test_runs_at_once_propose_one_plan_and_tell_it_once(office: Archive) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: optimize(office), range(8)))
    assert office.states() == ["proposed"]
    assert sum(result.counts["alerts"] for result in results) == 1 == len(office.messages())


def test_plan_and_message_are_stored_both_or_not_at_all(office: Archive) -> None:
    office.query("ALTER TABLE notifications ADD CONSTRAINT nothing_fits CHECK (false)")
    with pytest.raises(IntegrityError, match="nothing_fits"):
        optimize(office)
    assert office.states() == []


def test_an_account_that_nobody_read_yet_is_skipped(office: Archive) -> None:
    result = optimize_portfolio(
        account=ACCOUNT,
        state=None,
        quotes=quotes(**PRICES),
        market=DatabaseMarketFacts(office.engine),
        store=office.store,
        clock=office.clock,
        rules=pair_rules(),
        limits=LIMITS,
        used=Decimal(0),
        code_version="1",
    )
    assert (result.status, result.render_tables()) == (Status.SKIPPED, [])


def test_an_empty_account_is_skipped(office: Archive) -> None:
    result = optimize(office, state("0"))
    assert result.status is Status.SKIPPED
    assert "nothing to split" in result.items[0].detail


def test_old_balances_and_missing_prices_stop_the_account(office: Archive) -> None:
    with pytest.raises(RetryableError, match="of 2024-10-03 23:00 UTC"):
        optimize(office, state("2000", "60", **BTC_HEAVY))
    with pytest.raises(ExchangeUnavailable):
        optimize(office, answer=Quotes({}, START, ExchangeUnavailable("down")))
    assert office.states() == []


def test_where_nothing_can_be_traded_no_plan_is_kept_and_the_reasons_are_said(office: Archive) -> None:
    optimize(office)
    office.query("UPDATE symbols SET status = 'halted'")
    result = optimize(office)
    assert result.status is Status.PARTIAL
    assert "BTC/USDT is halted on the exchange" in result.items[0].detail
    assert office.states() == ["expired"]
    assert len(office.messages()) == 1
    assert "| BTC" in result.render_tables()[1]


def test_what_is_held_besides_is_named_and_what_nothing_prices_too(office: Archive) -> None:
    seen = state("2000", **BTC_HEAVY, DOGE="100 @ 1", XYZ="5")
    result = optimize(office, seen, DOGE="1")
    assert result.items[0].detail.endswith("held besides, and kept: DOGE; not counted, as nothing prices them: XYZ")
    assert "| XYZ " in result.render_tables()[0]


def test_the_tables_show_allocation_legs_and_what_is_skipped(office: Archive) -> None:
    office.query("UPDATE symbols SET min_notional = 100000 WHERE base = 'SOL'")
    result = optimize(office)
    allocation, legs, skipped = result.render_tables()
    mains = "| **mains** | 8,000.00 USDT | 80.00 % | 40.00 % | +40.00 | yes | 39.52 % |"
    assert " ".join(allocation.splitlines()[2].split()) == mains
    assert "| sell 0.081 BTC | 50,000 | 4,050.00 USDT | 4.05 USDT | 2024-10-04 00:00:00 UTC |" in " ".join(legs.split())
    assert "3,996.00 USDT is less than 100,000.00 USDT, the exchange's minimum." in skipped


def test_results_of_accounts_add_up_and_survive_a_round_trip(office: Archive) -> None:
    result = optimize(office)
    both = combine([result, result])
    assert len(both.accounts) == 2
    assert OptimizationResult.model_validate_json(both.model_dump_json()) == both


def test_the_message_fits_when_the_universe_is_large(office: Archive) -> None:
    names = tuple(f"A{number}" for number in range(60))
    account = hold("100000", *(asset(name, "0", "1") for name in names))
    rules = RebalanceRules(TargetRules(names[:10], names[10:]))
    plan = plan_rebalance(account, {f"{name}/USDT": listing("1") for name in names[3:]}, rules)
    with office.store.open_plans(ACCOUNT) as book:
        stored = book.add(plan, code_version="1", reasons=(), now=START)
    message = write_recommendation(plan, stored, START, START)
    assert len(message.body) < 2500
    assert "and 49 more" in message.body


def test_people_are_told_when_the_plan_ends_at_the_edge_of_the_exposure_alarm(office: Archive) -> None:
    account = hold("2000", asset("BTC", "0.16", "50000"), asset("SOL", "0", "100"))
    plan = plan_rebalance(account, {f"{name}/USDT": listing("0.00001") for name in PRICES}, pair_rules("0.001"))
    invested = 1 - plan.after.buckets[-1].ratio
    assert Decimal("0.799") < invested <= Decimal("0.8")
    with office.store.open_plans(ACCOUNT) as book:
        stored = book.add(plan, code_version="1", reasons=(), now=START)
    near, far = (write_recommendation(plan, stored, START, START, Decimal(limit)).body for limit in ("0.8", "0.9"))
    assert "risk becomes HIGH above 80 %" in near and "a HIGH ends only below 76 %" in near.replace("\n", " ")
    assert "FKS_CASH_RESERVE_PCT=25 leaves room." in near
    assert "leaves room" not in far
