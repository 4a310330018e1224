"""Rebalance plans as they are kept: their states, their legs', and what people decided.

    proposed ──► approved ──► running ──► done | failed
        │            │
        └────────────┴──► rejected | expired

Every change of state is one ``UPDATE … WHERE state IN (…)``: of two at once, one gets True.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from lib.allocation.legs import Leg
from lib.allocation.plan import RebalancePlan, calc_plan_hash
from lib.notifications.messages import Message


class PlanState(StrEnum):
    """How far a plan is. At most one plan of an account is open."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """Whether it may still be executed."""
        return self in (PlanState.PROPOSED, PlanState.APPROVED, PlanState.RUNNING)


COMES_FROM: Mapping[PlanState, frozenset[PlanState]] = {
    PlanState.PROPOSED: frozenset(),
    PlanState.APPROVED: frozenset({PlanState.PROPOSED}),
    PlanState.REJECTED: frozenset({PlanState.PROPOSED, PlanState.APPROVED}),
    PlanState.RUNNING: frozenset({PlanState.APPROVED}),
    PlanState.DONE: frozenset({PlanState.RUNNING}),
    PlanState.FAILED: frozenset({PlanState.RUNNING}),
    PlanState.EXPIRED: frozenset({PlanState.PROPOSED, PlanState.APPROVED}),
}


class LegState(StrEnum):
    """What became of a leg. `EXCLUDED`: whoever approved the plan left it out."""

    PLANNED = "planned"
    SKIPPED = "skipped"
    EXCLUDED = "excluded"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class StoredLeg:
    """A leg with what became of it.

    Attributes:
        leg: As planned.
        state: What became of it.
        reason: Why, where it was skipped, excluded or failed.
    """

    leg: Leg
    state: LegState
    reason: str


@dataclass(frozen=True)
class Question:
    """A flow run that asked people about a plan.

    Attributes:
        run: Its id.
        answer_by: No answer until then is a rejection, UTC.
    """

    run: str
    answer_by: datetime


class Decision(StrEnum):
    """What a person, or the operator's settings, said to a plan."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Approval:
    """A decision on a plan.

    Attributes:
        decision: Yes or no.
        who: A person's name, or "settings" where no approval is asked for.
        at: UTC.
        note: In that person's words.
        excluded: Symbols whose legs are left out.
        max_slippage_pct: How far a price may have moved from its reference; None: the settings' limit.
    """

    decision: Decision
    who: str
    at: datetime
    note: str = ""
    excluded: frozenset[str] = frozenset()
    max_slippage_pct: Decimal | None = None


@dataclass(frozen=True)
class StoredPlan:
    """A plan as it is kept.

    Attributes:
        plan_id: Its number.
        account: Whose.
        quote_asset: Its cash.
        created_at: When it was proposed, UTC.
        priced_at: When its reference prices were last confirmed, UTC.
        state: How far it is.
        changed_at: Since when, UTC.
        note: Why it is there: "a newer plan was proposed".
        plan_hash: Of its trades, when it was proposed.
        equity: In quote, before.
        reserve_quote: Cash that it leaves untouched.
        code_version: Of the code that worked it out.
        reasons: What was off, for people.
        legs: By number.
        approval: The decision; None before it.
    """

    plan_id: int
    account: str
    quote_asset: str
    created_at: datetime
    priced_at: datetime
    state: PlanState
    changed_at: datetime
    note: str
    plan_hash: str
    equity: Decimal
    reserve_quote: Decimal
    code_version: str
    reasons: tuple[str, ...]
    legs: tuple[StoredLeg, ...]
    approval: Approval | None = None

    @property
    def name(self) -> str:
        """As people call it: "plan 12 (3f9a1c20)"."""
        return f"plan {self.plan_id} ({self.plan_hash[:8]})"

    @property
    def to_trade(self) -> tuple[Leg, ...]:
        """The legs that are still to be traded, in their order."""
        return tuple(one.leg for one in self.legs if one.state is LegState.PLANNED)

    @property
    def is_intact(self) -> bool:
        """Whether the stored trades are those that the hash names."""
        trades = [one.leg for one in self.legs if one.leg.skipped is None]
        return calc_plan_hash(self.account, self.quote_asset, trades) == self.plan_hash


class PlanBook(Protocol):
    """One account's plans, locked for one writer within one transaction; an error that leaves it undoes everything."""

    def load_open(self) -> StoredPlan | None:
        """Return the open plan and keep others from deciding on it meanwhile."""
        ...

    def add(self, plan: RebalancePlan, *, code_version: str, reasons: tuple[str, ...], now: datetime) -> StoredPlan:
        """Store a plan with trades as proposed; there must be no open one."""
        ...

    def confirm(self, stored: StoredPlan, priced_at: datetime) -> StoredPlan:
        """Note that a proposed plan's reference prices still hold; an older instant changes nothing."""
        ...

    def expire(self, plan_id: int, *, note: str, now: datetime) -> None:
        """End a plan that is open and not running."""
        ...

    def record(self, message: Message) -> bool:
        """Keep the message for delivery; False when one with its deduplication key was recorded before."""
        ...


class PlanStore(Protocol):
    """Rebalance plans. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def open_plans(self, account: str) -> AbstractContextManager[PlanBook]:
        """Begin a transaction as the only writer of new plans of the account."""
        ...

    def load_plan(self, account: str, plan_id: int) -> StoredPlan:
        """Return a plan of the account.

        Raises:
            OperatorError: There is none of that number, or it is another account's.
        """
        ...

    def load_open(self, account: str) -> StoredPlan | None:
        """Return the account's open plan, if any."""
        ...

    def bind(self, run: str, plan_id: int, now: datetime) -> None:
        """Note that a flow run works on a plan; the first plan of a run stays the one."""
        ...

    def note_trading(self, run: str, now: datetime) -> None:
        """Note that a bound run begins to trade its plan, or goes on."""
        ...

    def has_traded(self, run: str) -> bool:
        """Tell whether a run has begun to trade its plan."""
        ...

    def load_bound(self, account: str, run: str) -> StoredPlan | None:
        """Return the plan that a flow run works on.

        Raises:
            OperatorError: It is another account's.
        """
        ...

    def ask(self, plan_id: int, question: Question, message: Message) -> bool:
        """Note that a run which is bound to a proposed plan asks people, and keep the message, both or nothing.

        False, and nothing stored, when the plan is proposed no more. Asked again, the first deadline stays.
        """
        ...

    def load_question(self, plan_id: int) -> Question | None:
        """Return the last question about a plan."""
        ...

    def load_unanswered(self, before: datetime) -> Sequence[StoredPlan]:
        """Return the proposed plans of all accounts whose last question was to be answered before an instant."""
        ...

    def decide(self, plan: StoredPlan, approval: Approval, message: Message | None = None) -> bool:
        """Store the decision on a proposed plan, exclude legs, and keep the message: all or nothing.

        False, and nothing stored, when it was decided, expired or changed since `plan` was loaded.

        Raises:
            OperatorError: A symbol to exclude has no leg in the plan.
        """
        ...

    def advance(
        self, plan_id: int, state: PlanState, *, note: str, now: datetime, message: Message | None = None
    ) -> bool:
        """Move a plan on, and keep the message, both or nothing.

        False, and nothing stored, when it is not where that state comes from (`COMES_FROM`).

        Approval and rejection of a proposed plan go through `decide`.
        """
        ...

    def settle_leg(self, plan_id: int, number: int, state: LegState, *, reason: str = "") -> bool:
        """Store that a leg of a running plan is `DONE` or `FAILED`; False when it was not planned any more.

        One that cannot be traded any more, because its symbol was halted meanwhile, failed for that reason.
        """
        ...
