"""Rebalance plans in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.tables.rebalancing import APPROVALS, LEGS, PLANS, RUNS
from lib.allocation.legs import Leg, SkipReason
from lib.allocation.plan import RebalancePlan
from lib.allocation.stores import (
    COMES_FROM,
    Approval,
    Decision,
    LegState,
    PlanState,
    Question,
    StoredLeg,
    StoredPlan,
)
from lib.errors import OperatorError
from lib.notifications.messages import Message
from lib.portfolio.fills import Side

PLANS_LOCK = 0x504C  # "PL": the class of the advisory locks of accounts' plans
OPEN = tuple(state.value for state in PlanState if state.is_open)
DECIDED = {Decision.APPROVED: PlanState.APPROVED, Decision.REJECTED: PlanState.REJECTED}


class DatabasePlans:
    """The `PlanStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def open_plans(self, account: str) -> Iterator[DatabasePlanBook]:
        """See `PlanStore`."""
        with database_errors(f"storing a rebalance plan of {account}"), self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(PLANS_LOCK, func.hashtext(account))))
            yield DatabasePlanBook(connection, account)

    def load_plan(self, account: str, plan_id: int) -> StoredPlan:
        """See `PlanStore`."""
        with database_errors(f"reading plan {plan_id}"), self._engine.connect() as connection:
            found = _load(connection, select(PLANS).where(PLANS.c.plan_id == plan_id))
        if found is None:
            raise OperatorError(f"There is no plan {plan_id}. portfolio-optimization shows the open one of each.")
        if found.account != account:
            raise OperatorError(f"Plan {plan_id} is of account {found.account}, not of {account}. Name the right one.")
        return found

    def load_open(self, account: str) -> StoredPlan | None:
        """See `PlanStore`."""
        with database_errors(f"reading the plan of {account}"), self._engine.connect() as connection:
            return _load(connection, _select_open(account))

    def bind(self, run: str, plan_id: int, now: datetime) -> None:
        """See `PlanStore`."""
        row = {"run": run, "plan_id": plan_id, "began_at": now}
        with database_errors(f"noting who works on plan {plan_id}"), self._engine.begin() as connection:
            connection.execute(upsert(RUNS).values(row).on_conflict_do_nothing())

    def note_trading(self, run: str, now: datetime) -> None:
        """See `PlanStore`."""
        is_first = (RUNS.c.run == run) & RUNS.c.traded_at.is_(None)
        with database_errors(f"noting that run {run} trades"), self._engine.begin() as connection:
            connection.execute(update(RUNS).where(is_first).values(traded_at=now))

    def has_traded(self, run: str) -> bool:
        """See `PlanStore`."""
        traded = select(RUNS.c.run).where(RUNS.c.run == run, RUNS.c.traded_at.is_not(None))
        with database_errors(f"reading what run {run} did"), self._engine.connect() as connection:
            return connection.execute(traded).one_or_none() is not None

    def load_bound(self, account: str, run: str) -> StoredPlan | None:
        """See `PlanStore`."""
        with database_errors(f"reading the plan of run {run}"), self._engine.connect() as connection:
            plan_id = connection.scalar(select(RUNS.c.plan_id).where(RUNS.c.run == run))
        return self.load_plan(account, plan_id) if plan_id is not None else None

    def ask(self, plan_id: int, question: Question, message: Message) -> bool:
        """See `PlanStore`."""
        is_proposed = (PLANS.c.plan_id == plan_id) & (PLANS.c.state == PlanState.PROPOSED.value)
        is_new = (RUNS.c.run == question.run) & (RUNS.c.plan_id == plan_id) & RUNS.c.answer_by.is_(None)
        with database_errors(f"asking about plan {plan_id}"), self._engine.begin() as connection:
            if connection.execute(select(PLANS.c.plan_id).where(is_proposed).with_for_update()).one_or_none() is None:
                return False
            connection.execute(update(RUNS).where(is_new).values(answer_by=question.answer_by))
            record_message(connection, message)
        return True

    def load_question(self, plan_id: int) -> Question | None:
        """See `PlanStore`."""
        last = (
            select(RUNS.c.run, RUNS.c.answer_by)
            .where(RUNS.c.plan_id == plan_id, RUNS.c.answer_by.is_not(None))
            .order_by(RUNS.c.answer_by.desc())
            .limit(1)
        )
        with database_errors(f"reading who asked about plan {plan_id}"), self._engine.connect() as connection:
            row = connection.execute(last).one_or_none()
        return Question(row.run, row.answer_by) if row else None

    def load_unanswered(self, before: datetime) -> Sequence[StoredPlan]:
        """See `PlanStore`."""
        overdue = (
            select(PLANS.c.account, PLANS.c.plan_id)
            .join(RUNS, RUNS.c.plan_id == PLANS.c.plan_id)
            .where(PLANS.c.state == PlanState.PROPOSED.value)
            .group_by(PLANS.c.account, PLANS.c.plan_id)
            .having(func.max(RUNS.c.answer_by) < before)
        )
        with database_errors("reading plans without an answer"), self._engine.connect() as connection:
            found = connection.execute(overdue).all()
        return [self.load_plan(row.account, row.plan_id) for row in found]

    def decide(self, plan: StoredPlan, approval: Approval, message: Message | None = None) -> bool:
        """See `PlanStore`."""
        if foreign := sorted(approval.excluded - {one.leg.symbol for one in plan.legs}):
            raise OperatorError(f"{', '.join(foreign)} has no leg in {plan.name}. Leave it out of the exclusions.")
        state, note = DECIDED[approval.decision], f"{approval.decision} by {approval.who}"
        with database_errors(f"deciding on {plan.name}"), self._engine.begin() as connection:
            is_same = PLANS.c.plan_hash == plan.plan_hash
            if not _move(connection, plan.plan_id, {PlanState.PROPOSED}, state, note, approval.at, is_same):
                return False
            row = {
                "decision": approval.decision.value,
                "who": approval.who,
                "at": approval.at,
                "note": approval.note,
                "excluded": sorted(approval.excluded),
                "max_slippage_pct": approval.max_slippage_pct,
            }
            connection.execute(insert(APPROVALS).values({"plan_id": plan.plan_id} | row))
            is_excluded = LEGS.c.symbol.in_(sorted(approval.excluded)) & (LEGS.c.state == LegState.PLANNED.value)
            connection.execute(
                update(LEGS)
                .where(LEGS.c.plan_id == plan.plan_id, is_excluded)
                .values(state=LegState.EXCLUDED.value, reason=f"Left out by {approval.who}.")
            )
            if message is not None:
                record_message(connection, message)
        return True

    def advance(
        self, plan_id: int, state: PlanState, *, note: str, now: datetime, message: Message | None = None
    ) -> bool:
        """See `PlanStore`."""
        before = COMES_FROM[state] - ({PlanState.PROPOSED} if state in DECIDED.values() else set())
        with database_errors(f"noting that plan {plan_id} is {state}"), self._engine.begin() as connection:
            is_moved = _move(connection, plan_id, before, state, note, now)
            if is_moved and message is not None:
                record_message(connection, message)
        return is_moved

    def settle_leg(self, plan_id: int, number: int, state: LegState, *, reason: str = "") -> bool:
        """See `PlanStore`."""
        is_running = select(PLANS.c.plan_id).where(PLANS.c.plan_id == plan_id, PLANS.c.state == PlanState.RUNNING.value)
        settled = (
            update(LEGS)
            .where(LEGS.c.plan_id == plan_id, LEGS.c.number == number, LEGS.c.state == LegState.PLANNED.value)
            .where(is_running.exists())
            .values(state=state.value, reason=reason)
        )
        with database_errors(f"storing leg {number} of plan {plan_id}"), self._engine.begin() as connection:
            return connection.execute(settled).rowcount == 1


class DatabasePlanBook:
    """The `PlanBook` of an open transaction."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def load_open(self) -> StoredPlan | None:
        """See `PlanBook`."""
        return _load(self._connection, _select_open(self._account).with_for_update())

    def add(self, plan: RebalancePlan, *, code_version: str, reasons: tuple[str, ...], now: datetime) -> StoredPlan:
        """See `PlanBook`."""
        row = {
            "account": self._account,
            "quote_asset": plan.quote_asset,
            "created_at": now,
            "priced_at": plan.priced_at,
            "state": PlanState.PROPOSED.value,
            "changed_at": now,
            "note": "",
            "plan_hash": plan.plan_hash,
            "equity": plan.before.equity,
            "reserve_quote": plan.reserve_quote,
            "code_version": code_version,
            "reasons": list(reasons),
        }
        plan_id = self._connection.execute(insert(PLANS).values(row).returning(PLANS.c.plan_id)).scalar_one()
        self._connection.execute(insert(LEGS), [{"plan_id": plan_id} | _from_leg(leg) for leg in plan.legs])
        stored = _load(self._connection, select(PLANS).where(PLANS.c.plan_id == plan_id))
        assert stored is not None
        return stored

    def confirm(self, stored: StoredPlan, priced_at: datetime) -> StoredPlan:
        """See `PlanBook`."""
        is_it = (PLANS.c.plan_id == stored.plan_id) & (PLANS.c.state == PlanState.PROPOSED.value)
        newest = max(stored.priced_at, priced_at)
        self._connection.execute(update(PLANS).where(is_it).values(priced_at=newest))
        return replace(stored, priced_at=newest)

    def expire(self, plan_id: int, *, note: str, now: datetime) -> None:
        """See `PlanBook`."""
        _move(self._connection, plan_id, COMES_FROM[PlanState.EXPIRED], PlanState.EXPIRED, note, now)

    def record(self, message: Message) -> bool:
        """See `PlanBook`."""
        return record_message(self._connection, message)


def _move(
    connection: Connection,
    plan_id: int,
    before: Collection[PlanState],
    state: PlanState,
    note: str,
    now: datetime,
    *also: Any,
) -> bool:
    is_there = PLANS.c.state.in_([one.value for one in before])
    moved = (
        update(PLANS)
        .where(PLANS.c.plan_id == plan_id, is_there, *also)
        .values(state=state.value, note=note, changed_at=now)
    )
    return connection.execute(moved).rowcount == 1


def _select_open(account: str) -> Select[Any]:
    return select(PLANS).where(PLANS.c.account == account, PLANS.c.state.in_(OPEN))


def _load(connection: Connection, query: Select[Any]) -> StoredPlan | None:
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    legs = connection.execute(select(LEGS).where(LEGS.c.plan_id == row.plan_id).order_by(LEGS.c.number)).all()
    decided = connection.execute(select(APPROVALS).where(APPROVALS.c.plan_id == row.plan_id)).one_or_none()
    values = dict(row._mapping) | {"state": PlanState(row.state), "reasons": tuple(row.reasons)}
    return StoredPlan(
        **values, legs=tuple(_to_leg(leg) for leg in legs), approval=_to_approval(decided) if decided else None
    )


def _from_leg(leg: Leg) -> dict[str, Any]:
    return {
        "number": leg.number,
        "symbol": leg.symbol,
        "side": leg.side.value,
        "wanted_quote": leg.wanted_quote,
        "quantity": leg.quantity,
        "reference_price": leg.price,
        "priced_at": leg.priced_at,
        "notional": leg.notional,
        "fee_quote": leg.fee_quote,
        "held": leg.held,
        "state": (LegState.SKIPPED if leg.skipped else LegState.PLANNED).value,
        "skipped": leg.skipped.value if leg.skipped else None,
        "reason": leg.detail,
    }


def _to_leg(row: Row[Any]) -> StoredLeg:
    leg = Leg(
        number=row.number,
        symbol=row.symbol,
        side=Side(row.side),
        wanted_quote=row.wanted_quote,
        quantity=row.quantity,
        price=row.reference_price,
        priced_at=row.priced_at,
        fee_quote=row.fee_quote,
        skipped=SkipReason(row.skipped) if row.skipped else None,
        detail=row.reason,
        held=row.held,
    )
    return StoredLeg(leg, LegState(row.state), row.reason)


def _to_approval(row: Row[Any]) -> Approval:
    return Approval(Decision(row.decision), row.who, row.at, row.note, frozenset(row.excluded), row.max_slippage_pct)
