"""What `rebalance_portfolio` reports: each leg as planned and as executed, and the allocation before and after."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from tabulate import tabulate

from lib.allocation.drift import Allocation, measure_allocation
from lib.allocation.holdings import build_portfolio
from lib.allocation.plan import RebalanceRules
from lib.allocation.stores import LegState, StoredLeg, StoredPlan
from lib.allocation.wording import format_points, format_share
from lib.errors import FksError
from lib.execution.orders import Order
from lib.portfolio.fills import Balance, Fill, Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.quotes import PriceSource, Quotes, fetch_quotes
from lib.portfolio.state import AccountState, Holding
from lib.ports import Clock, ExchangeAccount
from lib.results import Item, Status, TaskResult, calc_status
from lib.units import format_money

ZERO = Decimal(0)
TASK = "rebalance_portfolio"
STATUS = {LegState.DONE: Status.OK, LegState.FAILED: Status.FAILED}
ORDER_HEADERS = ("order", "exchange's", "state", "stored (UTC)", "sent", "filled", "approved by", "code")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExecutedLeg:
    """A leg with its order.

    Attributes:
        stored: The leg and what became of it.
        order: None when none was made.
    """

    stored: StoredLeg
    order: Order | None

    @property
    def executed_quantity(self) -> Decimal:
        """Base."""
        return self.order.executed_quantity if self.order else ZERO

    @property
    def price(self) -> Decimal | None:
        """The mean of its fills, quote per base; None without any."""
        if self.order is None or not self.order.fills:
            return None
        return self.order.executed_notional / self.order.executed_quantity

    @property
    def slippage_bps(self) -> Decimal | None:
        """How much worse than the reference it was filled, in 1/100 %; negative when better."""
        price, reference = self.price, self.stored.leg.price
        if price is None or reference is None:
            return None
        return (price / reference - 1) * 10_000 * (1 if self.stored.leg.side is Side.BUY else -1)

    @property
    def fees(self) -> Mapping[str, Decimal]:
        """By asset."""
        fees: dict[str, Decimal] = defaultdict(Decimal)
        for fill in self.order.fills if self.order else ():
            fees[fill.fee_asset] += fill.fee
        return dict(fees)


@dataclass(frozen=True)
class Rebalanced:
    """One account's plan.

    Attributes:
        plan: As it ended.
        legs: By number.
        before: The allocation without the plan's fills, at the same prices as `after`; None when it is not known.
        after: The allocation now; None when it is not known.
    """

    plan: StoredPlan
    legs: tuple[ExecutedLeg, ...]
    before: Allocation | None
    after: Allocation | None


class RebalanceResult(TaskResult):
    """The result of `rebalance_portfolio`.

    Attributes:
        accounts: The plan of each account.
    """

    accounts: tuple[Rebalanced, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of each plan: who decided, its legs, its orders, and the allocation before and after."""
        return [table for one in self.accounts for table in (*render_plan(one.plan, one.legs), _render_allocation(one))]


async def measure_plan(
    plan: StoredPlan,
    legs: tuple[ExecutedLeg, ...],
    account: ExchangeAccount,
    prices: PriceSource,
    rules: RebalanceRules,
    clock: Clock,
) -> Rebalanced:
    """Return what became of a plan that has ended, and of the allocation."""
    before, after = await _measure(plan, _list_fills(legs), account, prices, rules, clock)
    return Rebalanced(plan, legs, before, after)


def report_plan(done: Rebalanced, started_at: datetime, finished_at: datetime) -> RebalanceResult:
    """Return the report of a plan that has ended.

    Raises:
        AllItemsFailed: Every leg failed.
    """
    items = tuple(_to_item(one.stored) for one in done.legs)
    return RebalanceResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={"legs": sum(item.status is Status.OK for item in items), "fills": len(_list_fills(done.legs))},
        items=items,
        started_at=started_at,
        finished_at=finished_at,
        accounts=(done,),
    )


def _list_fills(legs: Iterable[ExecutedLeg]) -> list[Fill]:
    return [fill for one in legs if one.order for fill in one.order.fills]


def _to_item(stored: StoredLeg) -> Item:
    leg = stored.leg
    name = f"{leg.number}. {leg.side} {leg.symbol}"
    return Item(name=name, status=STATUS.get(stored.state, Status.SKIPPED), detail=stored.reason)


async def _measure(
    plan: StoredPlan,
    fills: Sequence[Fill],
    account: ExchangeAccount,
    prices: PriceSource,
    rules: RebalanceRules,
    clock: Clock,
) -> tuple[Allocation, Allocation] | tuple[None, None]:
    """Return the allocation without the fills and with them; what is traded is reported without it, too."""
    try:
        balances = await account.fetch_balances()
        quotes = await fetch_quotes(prices, clock)
        before = _value(plan, undo_fills(balances, fills), quotes, rules)
        return before, _value(plan, balances, quotes, rules)
    except FksError as error:
        logger.warning("The allocation after %s is not known: %s", plan.name, error)
        return None, None


def undo_fills(balances: Mapping[str, Balance], fills: Iterable[Fill]) -> Mapping[str, Balance]:
    """Return the balances as they would be without the fills and their fees; none is below zero."""
    changes: dict[str, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for fill in fills:
            sign = 1 if fill.side is Side.BUY else -1
            changes[fill.base] += sign * fill.quantity
            changes[fill.quote] -= sign * fill.quantity * fill.price
            changes[fill.fee_asset] -= fill.fee
        there = {name: balances.get(name, Balance(name, ZERO, ZERO)) for name in {*balances, *changes}}
        return {
            name: Balance(name, max(ZERO, one.free - changes.get(name, ZERO)), one.locked)
            for name, one in there.items()
        }


def _value(plan: StoredPlan, balances: Mapping[str, Balance], quotes: Quotes, rules: RebalanceRules) -> Allocation:
    cash = balances.get(plan.quote_asset, Balance(plan.quote_asset, ZERO, ZERO))
    held = tuple(Holding(one, None) for name, one in sorted(balances.items()) if name != plan.quote_asset)
    state = AccountState(
        plan.account, plan.quote_asset, quotes.at, cash.free, cash.locked, {}, holdings=held, seen_at=quotes.at
    )
    portfolio = build_portfolio(state, quotes, rules.targets.universe, rules.max_state_age)
    return measure_allocation(portfolio, rules.targets, rules.band)


def render_plan(plan: StoredPlan, legs: Sequence[ExecutedLeg]) -> list[str]:
    """Render who decided on a plan, its legs, and the audit trail of its orders, in Markdown."""
    title = f"{plan.name}, {plan.state}"
    headers = (title, "leg", "planned", "executed", "reference", "price", "slippage bps", "fee", "", "why")
    orders = [one.order for one in legs if one.order is not None]
    trail = _table([_order_row(order) for order in orders], *ORDER_HEADERS) if orders else "Nothing was ordered."
    return [_render_decision(plan), _table([_leg_row(leg) for leg in legs], *headers), trail]


def _render_decision(plan: StoredPlan) -> str:
    approval = plan.approval
    decided = "not decided on"
    if approval is not None:
        note = f': "{approval.note}"' if approval.note else ""
        decided = f"{approval.decision} by **{approval.who}** at {approval.at:%Y-%m-%d %H:%M:%S} UTC{note}"
    return (
        f"Plan {plan.plan_id} of {plan.account}, hash `{plan.plan_hash}`: proposed at "
        f"{plan.created_at:%Y-%m-%d %H:%M:%S} UTC by code `{plan.code_version}`; {decided}; {plan.state} since "
        f"{plan.changed_at:%Y-%m-%d %H:%M:%S} UTC{f' ({plan.note})' if plan.note else ''}."
    )


def _order_row(order: Order) -> tuple[str, ...]:
    times = [f"{attempt.attempted_at:%H:%M:%S.%f}"[:-3] for attempt in order.attempts]
    return (
        order.intent.client_order_id,
        order.order_id or "",
        order.state.value,
        f"{order.intent.created_at:%Y-%m-%d %H:%M:%S}",
        ", ".join(times),
        ", ".join(sorted({f"{fill.filled_at:%H:%M:%S}" for fill in order.fills})),
        order.intent.approval or "",
        order.code_version,
    )


def _leg_row(one: ExecutedLeg) -> tuple[str, ...]:
    leg, price, slippage = one.stored.leg, one.price, one.slippage_bps
    return (
        str(leg.number),
        f"{leg.side} {leg.symbol}",
        format_number(leg.quantity),
        format_number(one.executed_quantity),
        format_number(leg.price) if leg.price is not None else "",
        format_number(round(price, 8)) if price is not None else "",
        f"{slippage:+.1f}" if slippage is not None else "",
        ", ".join(f"{format_number(fee)} {asset}" for asset, fee in sorted(one.fees.items())),
        one.stored.state.value,
        one.stored.reason,
    )


def _render_allocation(one: Rebalanced) -> str:
    if one.before is None or one.after is None:
        return f"The allocation of {one.plan.account} after the trades is not known: balances or prices were not told."
    after = {drift.name: drift for drift in (*one.after.buckets, *one.after.assets)}
    shown = [drift for drift in (*one.before.buckets, *one.before.assets) if drift.name in after]
    rows = [
        (
            drift.name,
            format_money(after[drift.name].value, one.after.quote_asset),
            format_share(drift.ratio),
            format_share(after[drift.name].ratio),
            format_share(after[drift.name].target),
            format_points(after[drift.name].off),
            "yes" if one.after.is_off(after[drift.name]) else "",
        )
        for drift in shown
    ]
    band = f"outside ±{format_number((100 * one.after.band).normalize())}"
    return _table(rows, one.plan.account, "worth", "before", "after", "target", "off by points", band)


def _table(rows: Collection[tuple[str, ...]], *headers: str) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
