"""Looking at an account's allocation, and proposing a plan where it is off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial

from lib.allocation.holdings import build_portfolio
from lib.allocation.limits import PlanLimits, find_excess
from lib.allocation.messages import attach, draw_plan, write_reasons, write_recommendation
from lib.allocation.plan import RebalancePlan, RebalanceRules, plan_rebalance
from lib.allocation.report import OptimizationResult, Optimized
from lib.allocation.stores import PlanState, PlanStore, StoredPlan
from lib.allocation.targets import Bucket
from lib.notifications.messages import Attachment, Message
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AccountState
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.results import Item, Status, calc_status, render_count

TASK = "optimize_portfolio"


def optimize_portfolio(
    *,
    account: str,
    state: AccountState | None,
    quotes: Quotes,
    market: MarketFacts,
    store: PlanStore,
    clock: Clock,
    rules: RebalanceRules,
    limits: PlanLimits,
    used: Decimal,
    code_version: str,
) -> OptimizationResult:
    """Compare an account with its targets; where it is off, propose a plan and tell people. Nothing is traded.

    * The plan and its message are stored in one transaction, one writer an account: neither is lost with a process
      that is killed, and nothing is told twice.
    * A plan of the same trades at the same prices is kept, with its prices confirmed. Another one that was only
      proposed expires, also when nothing is off any more.
    * A running plan is left alone, and so is an approved one that is not too old to be run; no other is proposed
      meanwhile.
    * A plan that is larger than the limits is proposed all the same, and says so: it would be refused.

    Args:
        account: Name of the account.
        state: What it holds; None when nothing is known of it yet.
        quotes: One answer of the exchange; its prices become the references.
        market: The exchange's filters.
        store: Where plans are, together with the outbox.
        clock: Now.
        rules: What the operator wants.
        limits: What a plan must keep to when it is run.
        used: Quote; what the account's orders of the UTC day come to.
        code_version: Of the running code; kept with the plan.

    Raises:
        RetryableError: There are no prices, or balances are too old. Nothing was stored.
        DataError: Something of the universe is held that has no price.
    """
    started_at = clock.now()
    if state is None:
        detail = "nothing is known yet of what it holds. update_positions imports it."
        return _report((), Item(name=account, status=Status.SKIPPED, detail=detail), {}, started_at, clock.now())
    portfolio = build_portfolio(state, quotes, rules.targets.universe, rules.max_state_age)
    if portfolio.equity <= 0:
        detail = f"its equity is {portfolio.equity} {portfolio.quote_asset}, so there is nothing to split."
        return _report((), Item(name=account, status=Status.SKIPPED, detail=detail), {}, started_at, clock.now())
    plan = plan_rebalance(
        portfolio, market.load_listings([portfolio.symbol_of(name) for name in portfolio.assets]), rules
    )
    excess = find_excess(plan.trades, used, limits)
    write = partial(_write, plan, draw_plan(plan) if plan.trades else None, rules, limits, excess)
    stored, is_new, is_told = _settle(plan, store, code_version, write, limits, clock.now())
    counts = {"plans": int(is_new), "trades": len(plan.trades), "skipped legs": len(plan.skipped)}
    return _report(
        (Optimized(plan, stored, portfolio.unpriced),),
        _describe(plan, stored, portfolio.unpriced, excess, is_new=is_new),
        counts | {"alerts": int(is_told)},
        started_at,
        clock.now(),
    )


def _write(
    plan: RebalancePlan,
    picture: Attachment | None,
    rules: RebalanceRules,
    limits: PlanLimits,
    excess: str | None,
    stored: StoredPlan,
    now: datetime,
) -> Message:
    last_at = stored.priced_at + limits.max_age
    return attach(write_recommendation(plan, stored, last_at, now, rules.alarm_exposure, excess), picture)


def _settle(
    plan: RebalancePlan,
    store: PlanStore,
    code_version: str,
    write: Callable[[StoredPlan, datetime], Message],
    limits: PlanLimits,
    now: datetime,
) -> tuple[StoredPlan | None, bool, bool]:
    """Store what follows from the plan; return the open plan, whether it is new, and whether people are told."""
    with store.open_plans(plan.account) as book:
        stored = book.load_open()
        if stored is not None and _is_at_work(stored, limits, now):
            return stored, False, False
        if stored is not None and not _is_kept(stored, plan):
            book.expire(stored.plan_id, note=_explain_end(stored, plan, limits), now=now)
            stored = None
        if plan.priced_at is None:  # no trades
            return None, False, False
        is_new = stored is None
        if stored is None:
            stored = book.add(plan, code_version=code_version, reasons=write_reasons(plan), now=now)
        else:
            stored = book.confirm(stored, plan.priced_at)
        is_told = book.record(write(stored, now))
    return stored, is_new, is_told


def _is_at_work(stored: StoredPlan, limits: PlanLimits, now: datetime) -> bool:
    if stored.state is PlanState.RUNNING:
        return True
    return stored.state is PlanState.APPROVED and now - stored.priced_at <= limits.max_age


def _is_kept(stored: StoredPlan, plan: RebalancePlan) -> bool:
    return stored.state is PlanState.PROPOSED and stored.plan_hash == plan.plan_hash


def _explain_end(stored: StoredPlan, plan: RebalancePlan, limits: PlanLimits) -> str:
    if stored.state is PlanState.APPROVED:
        minutes = limits.max_age.total_seconds() / 60
        return f"It was approved, and not started before its prices were {minutes:.0f} minutes old."
    if not plan.before.off:
        return "Nothing is off by more than the band any more."
    return "A newer plan was proposed." if plan.trades else "Nothing of it can be traded now."


def _describe(
    plan: RebalancePlan, stored: StoredPlan | None, unpriced: tuple[str, ...], excess: str | None, *, is_new: bool
) -> Item:
    is_refused = excess is not None and stored is not None and stored.state is PlanState.PROPOSED
    parts = [_describe_outcome(plan, stored, is_new=is_new)]
    if is_refused:
        parts.append(f"it is larger than the limits and would be refused: {excess}")
    if kept := [one.name for one in plan.before.assets if one.bucket is Bucket.OTHER and one.value and not one.off]:
        parts.append(f"held besides, and kept: {', '.join(kept)}")
    if unpriced:
        parts.append(f"not counted, as nothing prices them: {', '.join(unpriced)}")
    is_stuck = bool(plan.before.off) and (stored is None or is_refused)
    return Item(name=plan.account, status=Status.PARTIAL if is_stuck else Status.OK, detail="; ".join(parts))


def _describe_outcome(plan: RebalancePlan, stored: StoredPlan | None, *, is_new: bool) -> str:
    off = ", ".join(write_reasons(plan)[:3])
    if stored is not None and stored.state is not PlanState.PROPOSED:
        since = f"{stored.name} is {stored.state} since {stored.changed_at:%Y-%m-%d %H:%M} UTC, so none is proposed"
        return f"{since}. Start rebalance-portfolio again if it stopped" if stored.state is PlanState.RUNNING else since
    if stored is not None:
        verb = "is proposed" if is_new else "stands, with prices confirmed"
        return f"{stored.name} {verb}: {render_count(len(plan.trades), 'trades')}, because of {off}"
    if plan.before.off:
        whys = "; ".join(dict.fromkeys(leg.detail for leg in plan.skipped)) or "no leg is as large as a step"
        return f"off, and nothing can be traded: {off}. {whys}"
    band = (100 * plan.before.band).normalize()
    return f"nothing is off by more than {band:f} points of equity, so nothing is to be done"


def _report(
    accounts: tuple[Optimized, ...],
    item: Item,
    counts: dict[str, int],
    started_at: datetime,
    finished_at: datetime,
) -> OptimizationResult:
    return OptimizationResult(
        task=TASK,
        status=calc_status(TASK, (item,)),
        counts=counts,
        items=(item,),
        started_at=started_at,
        finished_at=finished_at,
        accounts=accounts,
    )
