"""Rebalancing: what `rebalance_portfolio` does before, with and after a person's decision on a plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lib.allocation.limits import PlanLimits
from lib.allocation.stores import PlanState, Question, StoredPlan
from lib.errors import AccountBusy, OperatorError, OrderRefused, PlanOutdated
from lib.execution.consent import Consent, decide_plan, reject_unanswered
from lib.execution.gate import Halted
from lib.execution.orders import OrderIntent
from lib.execution.placing import Placing
from lib.execution.protecting import has_sold
from lib.execution.rebalance_form import RebalanceForm
from lib.execution.rebalance_messages import write_refused
from lib.execution.rebalance_report import RebalanceResult, render_plan
from lib.execution.rebalancing import RebalanceOptions, load_legs, run_rebalance_plan
from lib.platform import Platform
from lib.results import Item, Status, TaskResult, calc_status
from lib.settings import Settings
from lib.tasks.protected import load_known, load_locked, release_for_sale
from lib.tasks.trading import make_gate, open_trading, rebalance_rules_of


@dataclass(frozen=True)
class Starter:
    """The flow run that a plan is run by.

    Attributes:
        run: Its id; started anew, it goes on with the same plan.
        halted: Says why trading is halted, None when it is not.
        is_waiting: Tells of another flow run, by its id, whether it has not ended.
    """

    run: str
    halted: Halted
    is_waiting: Callable[[str], Awaitable[bool]]


class ReviewResult(TaskResult):
    """The result of `review_plan`.

    Attributes:
        plan: What is to be run.
        question: What a person has to answer before; None when nobody is asked.
    """

    plan: StoredPlan
    question: Question | None


async def review_plan(platform: Platform, account: str, plan_id: int | None, starter: Starter) -> ReviewResult:
    """Find the plan that is to be run, refuse one that must not be, and ask a person where the account wants that.

    Args:
        platform: The parts.
        account: Whose plan.
        plan_id: None for the open one.
        starter: The run.

    Raises:
        OperatorError: See `Consent.review`; people are told.
    """
    started_at = platform.clock.now()
    async with _telling(platform, account, starter.run):
        await asyncio.to_thread(reject_unanswered, platform.trading.plans, platform.clock)
        plan, question = await _consent_of(platform, account, starter).review(plan_id)
    detail = f"{plan.name} is {plan.state}"
    if question is not None:
        detail = f"{plan.name} waits for a decision until {question.answer_by:%Y-%m-%d %H:%M} UTC"
    fields = _fields(
        "review_plan", "plans reviewed", Item(name=account, status=Status.OK, detail=detail), started_at, platform
    )
    return ReviewResult(**fields, plan=plan, question=question)


async def decide_on_plan(platform: Platform, plan: StoredPlan, form: RebalanceForm, starter: Starter) -> TaskResult:
    """Store what a person decided.

    Raises:
        OperatorError: The plan is not open to decisions any more; people are told.
    """
    started_at = platform.clock.now()
    async with _telling(platform, plan.account, starter.run):
        approval = await asyncio.to_thread(decide_plan, plan, form, platform.trading.plans, platform.clock)
    excluded = f", without {', '.join(sorted(approval.excluded))}" if approval.excluded else ""
    detail = f"{plan.name} {approval.decision} by {approval.who}{excluded}"
    item = Item(name=plan.account, status=Status.OK, detail=detail)
    return TaskResult(**_fields("decide_on_plan", f"plans {approval.decision}", item, started_at, platform))


async def rebalance_portfolio(platform: Platform, account: str, plan_id: int, starter: Starter) -> RebalanceResult:
    """Run an approved plan to its end, or go on with one that a killed run left; see `run_rebalance_plan`.

    Raises:
        OperatorError: It must not be run now, or another run carries it out; people are told, and nothing was sent.
        AccountBusy: Another order of the account is being placed; nothing was sent.
        OutcomeUnknown: It is not known yet what became of an order; started again, this goes on.
        AllItemsFailed: No leg was traded.
    """
    plans = platform.trading.plans
    async with _telling(platform, account, starter.run), _trading_alone(platform, account, plan_id, starter) as placing:
        plan = await asyncio.to_thread(plans.load_plan, account, plan_id)
        if plan.state is PlanState.APPROVED:
            await _consent_of(platform, account, starter).check(plan)
        if not plan.state.is_open and not await asyncio.to_thread(plans.has_traded, starter.run):
            raise OperatorError(f"Another run has carried out {plan.name}: {plan.note}. This one traded nothing.")
        await asyncio.to_thread(plans.note_trading, starter.run, platform.clock.now())
        return await run_rebalance_plan(
            account=platform.accounts[account],
            plan=plan,
            plans=plans,
            placing=placing,
            orders=platform.trading.orders,
            market=platform.market,
            prices=platform.exchange,
            clock=platform.clock,
            options=rebalance_options_of(platform.settings),
            make_room=lambda intent: _make_room(platform, plan, intent, placing, starter.halted),
        )


async def _make_room(
    platform: Platform, plan: StoredPlan, intent: OrderIntent, placing: Placing, halted: Halted
) -> None:
    """Cancel what protects a position before a leg sells of it, once every check would let the leg through.

    Raises:
        CheckRefused: See `Gate.check`; the position stays protected.
        OrderRefused: What protects it has sold since the plan was priced, so the plan is not of what is held.
    """
    account, symbol = intent.account, intent.symbol
    filled = await asyncio.to_thread(platform.trading.orders.load_orders, account, filled_after=plan.priced_at)
    sold = any(one.intent.may_rest and one.intent.symbol == symbol for one in filled)  # only protective orders rest
    live = [one for one in await load_known(platform, account, symbol) if one.is_live]
    if live and not sold:
        gate = await make_gate(platform, account, halted)
        await replace(gate, freed=await load_locked(platform, account)).check(intent)
        sold = has_sold(live, await release_for_sale(platform, account, symbol, placing))
    if sold:
        raise OrderRefused(f"What protects {symbol} on the exchange has sold of it meanwhile. Plan anew.")


async def render_stored_plan(platform: Platform, account: str, plan_id: int) -> list[str]:
    """Render what is stored of a plan and its orders, also of one that failed altogether."""
    plan = await asyncio.to_thread(platform.trading.plans.load_plan, account, plan_id)
    return render_plan(plan, await asyncio.to_thread(load_legs, plan, platform.trading.orders))


async def reject_unanswered_plans(platform: Platform) -> TaskResult:
    """Reject the plans of all accounts that nobody decided on in time, and tell people."""
    started_at = platform.clock.now()
    ended = await asyncio.to_thread(reject_unanswered, platform.trading.plans, platform.clock)
    items = tuple(Item(name=one.account, status=Status.OK, detail=f"{one.name}: nobody answered") for one in ended)
    return TaskResult(
        task="reject_unanswered_plans",
        status=calc_status("reject_unanswered_plans", items),
        counts={"plans rejected": len(ended)},
        items=items,
        started_at=started_at,
        finished_at=platform.clock.now(),
    )


def rebalance_options_of(settings: Settings) -> RebalanceOptions:
    """Return how the settings want plans run."""
    return RebalanceOptions(
        rules=rebalance_rules_of(settings),
        max_slippage_pct=settings.max_slippage_pct,
        max_plan_age=timedelta(minutes=settings.plan_max_age_minutes),
    )


def plan_limits_of(settings: Settings) -> PlanLimits:
    """Return what the settings want plans to keep to."""
    return PlanLimits(
        max_age=timedelta(minutes=settings.plan_max_age_minutes),
        max_move_pct=settings.max_price_move_pct,
        max_slippage_pct=settings.max_slippage_pct,
        smallest_leg=settings.rebalance_smallest_leg_pct / 100,
        max_order_notional=settings.max_order_notional,
        max_day_notional=settings.max_day_notional,
    )


def _consent_of(platform: Platform, account: str, starter: Starter) -> Consent:
    platform.check_account(account)
    settings = platform.settings
    return Consent(
        account=platform.accounts[account],
        venue=platform.trading.venues[account],
        plans=platform.trading.plans,
        orders=platform.trading.orders,
        prices=platform.exchange,
        clock=platform.clock,
        limits=plan_limits_of(settings),
        halted=starter.halted,
        needs_person=settings.effective_accounts[account].needs_approval,
        patience=timedelta(hours=settings.approval_hours),
        run=starter.run,
        is_waiting=starter.is_waiting,
    )


@asynccontextmanager
async def _trading_alone(platform: Platform, account: str, plan_id: int, starter: Starter) -> AsyncIterator[Placing]:
    """Be the account's only writer; where the plan itself is being carried out, trying again would not help."""
    async with AsyncExitStack() as stack:
        try:
            placing = await stack.enter_async_context(open_trading(platform, account, starter.halted))
        except AccountBusy as error:
            plan = await asyncio.to_thread(platform.trading.plans.load_plan, account, plan_id)
            if plan.state is PlanState.RUNNING:
                raise OperatorError(f"{plan.name} is running, and this run traded nothing. {error}") from error
            raise
        yield placing


@asynccontextmanager
async def _telling(platform: Platform, account: str, run: str) -> AsyncIterator[None]:
    """Tell people of a refusal; of an outdated plan they are told with its end."""
    try:
        yield
    except PlanOutdated:
        raise
    except OperatorError as error:
        message = write_refused(account, str(error), run, platform.clock.now())
        await asyncio.to_thread(platform.notifications.record, message)
        raise


def _fields(task: str, counted: str, item: Item, started_at: datetime, platform: Platform) -> dict[str, object]:
    return {
        "task": task,
        "status": item.status,
        "counts": {counted: 1},
        "items": (item,),
        "started_at": started_at,
        "finished_at": platform.clock.now(),
    }
