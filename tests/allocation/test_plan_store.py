"""Plans are kept to the last digit, one is open at a time, and of two changes at once one counts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from lib.allocation.legs import SkipReason
from lib.allocation.stores import COMES_FROM, Approval, Decision, LegState, PlanState, StoredPlan
from lib.errors import OperatorError
from tests.allocation.conftest import Archive, make_plan
from tests.portfolio.samples import ACCOUNT, START


def decide(archive: Archive, plan: StoredPlan, decision: Decision = Decision.APPROVED, *excluded: str) -> bool:
    approval = Approval(decision, "Ada", archive.clock.now(), "fine", frozenset(excluded), Decimal("0.5"))
    return archive.store.decide(plan, approval)


def advance(archive: Archive, plan: StoredPlan, state: PlanState) -> bool:
    return archive.store.advance(plan.plan_id, state, note=f"it is {state}", now=archive.clock.now())


def load(archive: Archive, plan: StoredPlan) -> StoredPlan:
    return archive.store.load_plan(ACCOUNT, plan.plan_id)


def test_a_plan_comes_back_to_the_last_digit(archive: Archive) -> None:
    made = make_plan(btc="50000.123456789", sol=None)
    stored = archive.add(made)
    assert stored == load(archive, stored) == archive.store.load_open(ACCOUNT)
    assert tuple(one.leg for one in stored.legs) == made.legs
    assert [(one.state, one.leg.skipped) for one in stored.legs] == [
        (LegState.PLANNED, None),
        (LegState.SKIPPED, SkipReason.NO_PRICE),
    ]
    assert (stored.plan_hash, stored.equity, stored.state) == (
        made.plan_hash,
        made.before.equity,
        PlanState.PROPOSED,
    )
    assert stored.is_intact
    assert stored.name == f"plan {stored.plan_id} ({made.plan_hash[:8]})"


def test_a_plan_that_somebody_changed_is_not_intact(archive: Archive) -> None:
    stored = archive.add()
    archive.query("UPDATE rebalance_legs SET quantity = quantity + 1 WHERE number = 1")
    assert not load(archive, stored).is_intact


def test_a_second_open_plan_is_impossible(archive: Archive) -> None:
    archive.add()
    with pytest.raises(IntegrityError, match="rebalance_plans_one_open"):
        archive.add(make_plan(btc="51000"))


def test_a_plan_that_is_unknown_or_of_another_account_is_refused(archive: Archive) -> None:
    stored = archive.add()
    with pytest.raises(OperatorError, match="There is no plan 99"):
        archive.store.load_plan(ACCOUNT, 99)
    with pytest.raises(OperatorError, match="of account demo, not of other"):
        archive.store.load_plan("other", stored.plan_id)
    assert archive.store.load_open("other") is None


def test_an_approval_is_kept_with_who_what_and_when(archive: Archive) -> None:
    stored = archive.add()
    archive.clock.pass_time(minutes=5)
    assert decide(archive, stored, Decision.APPROVED, "SOL/USDT")
    plan = load(archive, stored)
    assert plan.approval == Approval(
        Decision.APPROVED,
        "Ada",
        START + timedelta(minutes=5),
        "fine",
        frozenset({"SOL/USDT"}),
        Decimal("0.5"),
    )
    assert (plan.state, plan.changed_at, plan.note) == (PlanState.APPROVED, plan.approval.at, "approved by Ada")
    assert [(one.state, one.reason) for one in plan.legs] == [
        (LegState.PLANNED, ""),
        (LegState.EXCLUDED, "Left out by Ada."),
    ]
    assert [leg.base for leg in plan.to_trade] == ["BTC"]
    assert plan.is_intact  # the hash names what was reviewed


def test_a_decision_counts_once(archive: Archive) -> None:
    stored = archive.add()
    assert decide(archive, stored, Decision.REJECTED)
    assert not decide(archive, stored)
    assert load(archive, stored).state is PlanState.REJECTED
    assert archive.store.load_open(ACCOUNT) is None


def test_what_was_not_reviewed_is_not_approved(archive: Archive) -> None:
    stored = archive.add()
    assert not decide(archive, replace(stored, plan_hash="0" * 64))
    with pytest.raises(OperatorError, match="DOGE/USDT has no leg"):
        decide(archive, stored, Decision.APPROVED, "DOGE/USDT")
    assert archive.states() == ["proposed"]
    assert archive.query("SELECT * FROM approvals") == []


def test_of_decisions_at_once_one_counts(archive: Archive) -> None:
    stored = archive.add()
    choices = [Decision.APPROVED, Decision.REJECTED] * 4
    with ThreadPoolExecutor(4) as threads:
        counted = list(threads.map(lambda choice: decide(archive, stored, choice), choices))
    assert sum(counted) == 1
    assert load(archive, stored).state.value == choices[counted.index(True)].value


def test_of_starts_at_once_one_counts(archive: Archive) -> None:
    stored = archive.add()
    decide(archive, stored)
    with ThreadPoolExecutor(4) as threads:
        started = list(threads.map(lambda _: advance(archive, stored, PlanState.RUNNING), range(8)))
    assert sum(started) == 1


WAYS = {
    PlanState.PROPOSED: [],
    PlanState.APPROVED: [PlanState.APPROVED],
    PlanState.REJECTED: [PlanState.REJECTED],
    PlanState.RUNNING: [PlanState.APPROVED, PlanState.RUNNING],
    PlanState.DONE: [PlanState.APPROVED, PlanState.RUNNING, PlanState.DONE],
    PlanState.FAILED: [PlanState.APPROVED, PlanState.RUNNING, PlanState.FAILED],
    PlanState.EXPIRED: [PlanState.EXPIRED],
}


@pytest.mark.parametrize("before", PlanState)
def test_a_plan_moves_only_where_its_state_leads(archive: Archive, before: PlanState) -> None:
    stored = archive.add()
    for state in WAYS[before]:
        is_decision = state.value in set(Decision)
        assert decide(archive, stored, Decision(state)) if is_decision else advance(archive, stored, state)
    for state in PlanState:
        by_decision = before is PlanState.PROPOSED and state.value in set(Decision)
        if before in COMES_FROM[state] and not by_decision:
            continue
        assert not advance(archive, stored, state)
        assert load(archive, stored).state is before
    assert before.is_open == (archive.store.load_open(ACCOUNT) is not None)


def test_a_leg_is_settled_once_and_only_while_the_plan_runs(archive: Archive) -> None:
    stored = archive.add()

    def settle(number: int, state: LegState) -> bool:
        return archive.store.settle_leg(stored.plan_id, number, state, reason="why")

    assert not settle(1, LegState.DONE)
    decide(archive, stored, Decision.APPROVED, "SOL/USDT")
    advance(archive, stored, PlanState.RUNNING)
    assert settle(1, LegState.FAILED)
    assert not settle(1, LegState.DONE)
    assert not settle(2, LegState.DONE)  # excluded
    assert [one.state for one in load(archive, stored).legs] == [LegState.FAILED, LegState.EXCLUDED]


def test_confirmed_prices_are_as_new_as_the_newest_confirmation(archive: Archive) -> None:
    stored = archive.add()
    with archive.store.open_plans(ACCOUNT) as book:
        confirmed = book.confirm(stored, START + timedelta(minutes=9))
        assert book.confirm(confirmed, START + timedelta(minutes=3)) == confirmed
    assert load(archive, stored).priced_at == START + timedelta(minutes=9)


def test_a_running_plan_does_not_expire(archive: Archive) -> None:
    stored = archive.add()
    decide(archive, stored)
    advance(archive, stored, PlanState.RUNNING)
    with archive.store.open_plans(ACCOUNT) as book:
        book.expire(stored.plan_id, note="too old", now=START)
    assert archive.states() == ["running"]


@pytest.fixture
def connection(archive: Archive) -> Iterator[Connection]:
    with archive.engine.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rebalance_plans SET plan_hash = 'x'",
        "UPDATE rebalance_plans SET equity = 'NaN'",
        "UPDATE rebalance_plans SET state = 'perhaps'",
        "UPDATE rebalance_legs SET quantity = 0",
        "UPDATE rebalance_legs SET reference_price = 0",
        "UPDATE rebalance_legs SET reference_price = NULL, priced_at = NULL",
        "UPDATE rebalance_legs SET state = 'skipped'",
        "INSERT INTO approvals VALUES (1, 'approved', '', now(), '', '{}')",
        "INSERT INTO approvals VALUES (1, 'approved', 'Ada', now(), '', '{}', -1)",
        "INSERT INTO approvals VALUES (2, 'approved', 'Ada', now(), '', '{}')",
    ],
)
def test_the_tables_refuse_what_cannot_be(archive: Archive, connection: Connection, change: str) -> None:
    assert archive.add().plan_id == 1
    with pytest.raises(IntegrityError):
        connection.execute(text(change))
