"""From a proposed rebalance plan to a decision on it: whether it may be run, who is asked, and what no answer means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from lib.allocation.limits import PlanLimits
from lib.allocation.stores import Approval, Decision, PlanState, PlanStore, Question, StoredPlan
from lib.errors import OperatorError, PlanOutdated
from lib.execution.approval import BY_SETTINGS
from lib.execution.checks import check_halt, check_key
from lib.execution.gate import Halted, start_of_day
from lib.execution.rebalance_form import RebalanceForm
from lib.execution.rebalance_messages import write_ended, write_question
from lib.execution.review import check_plan
from lib.execution.stores import OrderStore
from lib.execution.venue import OrderVenue
from lib.portfolio.quotes import PriceSource, fetch_quotes
from lib.ports import Clock, ExchangeAccount

NOBODY = "nobody"
SHORTEST = timedelta(minutes=1)  # to answer in
GRACE = timedelta(minutes=5)
"""After the deadline of an answer: one that was given in time may still wait for its run to be started."""
PLAN_ANEW = "Run rebalance-portfolio with execute off for a new one."


@dataclass(frozen=True)
class Consent:
    """Gets a decision on a plan of one account, for one flow run.

    Attributes:
        account: What it holds.
        venue: Knows what the key may do.
        plans: Where plans are kept.
        orders: What the account has traded today.
        prices: The exchange's.
        clock: Now.
        limits: How far things may have moved, and how much may be traded.
        halted: Says why trading is halted, None when it is not.
        needs_person: Whether a person must approve.
        patience: How long an answer is waited for, unless the plan grows too old before.
        run: The flow run's id.
        is_waiting: Tells of another flow run, by its id, whether it has not ended.
    """

    account: ExchangeAccount
    venue: OrderVenue
    plans: PlanStore
    orders: OrderStore
    prices: PriceSource
    clock: Clock
    limits: PlanLimits
    halted: Halted
    needs_person: bool
    patience: timedelta
    run: str
    is_waiting: Callable[[str], Awaitable[bool]]

    async def review(self, plan_id: int | None) -> tuple[StoredPlan, Question | None]:
        """Return the plan that this run works on, and the question that a person is to answer, if there is one.

        A run that is started anew, also after its form was answered, gets the plan that it had, and the same question.

        Args:
            plan_id: None for the account's open plan.

        Raises:
            OperatorError: There is no such plan, it has ended, another run asks about it, trading is halted, the key
                may not trade or may withdraw, or the plan is larger than the limits.
            PlanOutdated: It is not what it was any more; it has expired then.
        """
        plan = await asyncio.to_thread(self._find, plan_id)
        if plan.state is not PlanState.PROPOSED:
            return plan, None
        question = await asyncio.to_thread(self.plans.load_question, plan.plan_id)
        if question is not None and question.run == self.run:
            return plan, question
        await self._check_nobody_asks(plan, question)
        await self.check(plan)
        await asyncio.to_thread(self.plans.bind, self.run, plan.plan_id, self.clock.now())
        if self.needs_person:
            return plan, await asyncio.to_thread(self._ask, plan)
        return await asyncio.to_thread(self._approve, plan), None

    async def check(self, plan: StoredPlan) -> None:
        """Refuse a plan of which nothing has been sent, and that must not be sent now; raises as `review` does."""
        check_halt(await self.halted())
        check_key(await self.venue.fetch_permissions())
        balances = await self.account.fetch_balances()
        quotes = await fetch_quotes(self.prices, self.clock)
        now = self.clock.now()
        used = await asyncio.to_thread(self.orders.load_notional, plan.account, start_of_day(now))
        try:
            check_plan(plan, balances, quotes, now, self.limits, used)
        except PlanOutdated as error:
            why = str(error)
            message = write_ended(plan, "refused", why, now)
            expire = partial(self.plans.advance, plan.plan_id, PlanState.EXPIRED, note=why, now=now, message=message)
            await asyncio.to_thread(expire)
            raise

    def _find(self, plan_id: int | None) -> StoredPlan:
        name = self.account.account
        bound = self.plans.load_bound(name, self.run)
        if bound is not None and not bound.state.is_open and self.plans.has_traded(self.run):
            return bound  # this run did it, and reports again
        plan = bound or (self.plans.load_open(name) if plan_id is None else self.plans.load_plan(name, plan_id))
        if plan is None:
            raise OperatorError(f"{name} has no plan to run. {PLAN_ANEW}")
        if not plan.state.is_open:
            since = f"{plan.changed_at:%Y-%m-%d %H:%M} UTC"
            raise OperatorError(f"{plan.name} is {plan.state} since {since}: {plan.note.rstrip('.')}. {PLAN_ANEW}")
        return plan

    async def _check_nobody_asks(self, plan: StoredPlan, question: Question | None) -> None:
        if question is None or question.answer_by < self.clock.now() or not await self.is_waiting(question.run):
            return
        raise OperatorError(
            f"{plan.name} waits for a decision already, until {question.answer_by:%Y-%m-%d %H:%M} UTC, in the run "
            f"{question.run}. Answer there, or cancel that run and start this again."
        )

    def _ask(self, plan: StoredPlan) -> Question:
        now = self.clock.now()
        answer_by = min(now + self.patience, plan.priced_at + self.limits.max_age)
        if answer_by - now < SHORTEST:
            raise OperatorError(f"{plan.name} is too old in a moment, before anybody could answer. {PLAN_ANEW}")
        question = Question(self.run, answer_by)
        if not self.plans.ask(plan.plan_id, question, write_question(plan, self.run, answer_by, now)):
            raise _changed(self.plans.load_plan(plan.account, plan.plan_id))
        return question

    def _approve(self, plan: StoredPlan) -> StoredPlan:
        approval = Approval(Decision.APPROVED, BY_SETTINGS, self.clock.now())
        self.plans.decide(plan, approval)  # where another run has done so, that one's decision holds
        stored = self.plans.load_plan(plan.account, plan.plan_id)
        if not stored.state.is_open:
            raise _changed(stored)
        return stored


def decide_plan(plan: StoredPlan, form: RebalanceForm, plans: PlanStore, clock: Clock) -> Approval:
    """Store what a person decided, with a message where that ends the plan.

    Raises:
        OperatorError: The plan was decided, expired or replaced meanwhile, or a symbol to exclude has no leg.
    """
    now = clock.now()
    approval = form.to_approval(now)
    message = None
    if approval.decision is Decision.REJECTED:
        note = f': "{approval.note}"' if approval.note else ""
        message = write_ended(plan, f"rejected by {approval.who}", f"{approval.who} rejected it{note}.", now)
    if not plans.decide(plan, approval, message):
        raise _changed(plans.load_plan(plan.account, plan.plan_id))
    return approval


def reject_unanswered(plans: PlanStore, clock: Clock) -> list[StoredPlan]:
    """Reject the plans that people were asked about and did not answer in time; tell people. Return them."""
    now, ended = clock.now(), []
    for plan in plans.load_unanswered(now - GRACE):
        why = "Nobody answered the approval form in time."
        approval = Approval(Decision.REJECTED, NOBODY, now, why)
        if plans.decide(plan, approval, write_ended(plan, "not answered", why, now)):
            ended.append(plan)
    return ended


def _changed(plan: StoredPlan) -> OperatorError:
    return OperatorError(
        f"{plan.name} is {plan.state} meanwhile: {plan.note.rstrip('.')}. The decision changes nothing. {PLAN_ANEW}"
    )
