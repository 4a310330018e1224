"""Running an approved rebalance plan: sells, then buys, each leg one order, all of it as it was reviewed.

A leg's order has one name and, once stored, one quantity and one bound. So a run that is killed at any point is started
again with the same plan: what is settled stays, the order under way is looked up, and the rest follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from functools import partial

from lib.allocation.legs import FINEST, Leg
from lib.allocation.plan import RebalanceRules
from lib.allocation.stores import Decision, LegState, PlanState, PlanStore, StoredPlan
from lib.allocation.wording import describe_trade
from lib.errors import FksError, OperatorError, OrderRefused, OutcomeUnknown, SymbolHalted, UnknownSymbol
from lib.execution.checks import calc_bound
from lib.execution.orders import Order, OrderIntent, OrderKind, OrderState, TimeInForce, make_client_order_id
from lib.execution.placing import Placing
from lib.execution.rebalance_messages import write_rebalanced
from lib.execution.rebalance_report import ExecutedLeg, Rebalanced, RebalanceResult, measure_plan, report_plan
from lib.execution.stores import OrderStore
from lib.notifications.messages import Message
from lib.portfolio.fills import Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.quotes import PriceSource
from lib.portfolio.stores import Listing, MarketFacts
from lib.ports import Clock, ExchangeAccount
from lib.units import floor_to_step, format_money

ZERO, ONE = Decimal(0), Decimal(1)
MOST_SLIPPAGE_PCT = Decimal(20)
ENDED = (PlanState.DONE, PlanState.FAILED)
MakeRoom = Callable[[OrderIntent], Awaitable[None]]


@dataclass(frozen=True)
class RebalanceOptions:
    """What an operator may set about running plans.

    Attributes:
        rules: Targets and band, to show the allocation; the fee ratio that buys keep cash for.
        max_slippage_pct: Of a plan's reference price, where the approval names no limit.
        max_plan_age: Since a plan's prices were confirmed; after that nothing of it is sent any more.
    """

    rules: RebalanceRules
    max_slippage_pct: Decimal = ONE
    max_plan_age: timedelta = timedelta(minutes=30)


async def run_rebalance_plan(
    *,
    account: ExchangeAccount,
    plan: StoredPlan,
    plans: PlanStore,
    placing: Placing,
    orders: OrderStore,
    market: MarketFacts,
    prices: PriceSource,
    clock: Clock,
    options: RebalanceOptions,
    make_room: MakeRoom | None = None,
) -> RebalanceResult:
    """Run an approved plan to its end, or go on with one that a killed run has left.

    Of a plan that has ended, it only reports again. Errors that leave anything open leave the plan running; starting
    this again goes on with it.

    Args:
        account: Its balances pay.
        plan: As it was reviewed.
        plans: Where it is kept.
        placing: Of the account, so that only one run trades.
        orders: The account's orders.
        market: Stored symbols.
        prices: Of the allocation before and after.
        clock: Now.
        options: The operator's.
        make_room: Frees what protective orders hold before a sale; raises `OrderRefused` when that must not be sent
            any more. None where nothing is protected.

    Raises:
        OperatorError: The plan is not approved, not what was reviewed, too old, or of another account.
        OutcomeUnknown: It is not known yet what became of an order; nothing more is sent before.
        AllItemsFailed: No leg was traded; the plan is then `FAILED`.
    """
    started_at = clock.now()
    stored = await asyncio.to_thread(plans.load_plan, account.account, plan.plan_id)
    if stored.plan_hash != plan.plan_hash:
        raise OperatorError(f"{plan.name} is not what is stored as {stored.name}. Review that one.")
    if stored.state in ENDED:
        legs = await asyncio.to_thread(load_legs, stored, orders)
        done = await measure_plan(stored, legs, account, prices, options.rules, clock)
        return report_plan(done, started_at, clock.now())
    run = _Run(account, stored, plans, placing, orders, market, clock, options, make_room)
    run.check()
    await run.begin()
    await run.trade()
    return report_plan(await run.end(prices), started_at, clock.now())


def load_legs(plan: StoredPlan, orders: OrderStore) -> tuple[ExecutedLeg, ...]:
    """Return the legs of a plan with their orders, by number."""
    known = orders.load_orders(plan.account, plan=plan.name)
    by_name = {order.intent.client_order_id: order for order in known}
    return tuple(ExecutedLeg(one, by_name.get(_name_order(plan, one.leg))) for one in plan.legs)


def _name_order(plan: StoredPlan, leg: Leg) -> str:
    return make_client_order_id(plan.account, plan.name, f"leg {leg.number}")


@dataclass
class _Run:
    """One run of one plan."""

    account: ExchangeAccount
    plan: StoredPlan
    plans: PlanStore
    placing: Placing
    orders: OrderStore
    market: MarketFacts
    clock: Clock
    options: RebalanceOptions
    make_room: MakeRoom | None = None
    is_old: bool = False
    listings: dict[str, Listing] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse a plan that must not be run; one that runs already and has grown old is only ended."""
        plan, approval = self.plan, self.plan.approval
        if plan.state not in (PlanState.APPROVED, PlanState.RUNNING):
            raise OperatorError(f"Expected an approved plan, {plan.name} is {plan.state}. Have one approved first.")
        if approval is None or approval.decision is not Decision.APPROVED:
            raise OperatorError(f"Nobody approved {plan.name}. Have it approved first.")
        if not plan.is_intact:
            raise OperatorError(f"The legs of {plan.name} are not those that were approved. Reject it and plan anew.")
        if not 0 <= self.max_slippage_pct <= MOST_SLIPPAGE_PCT:
            raise OperatorError(
                f"Expected a maximum slippage from 0 to {MOST_SLIPPAGE_PCT} %, was {self.max_slippage_pct} %. "
                "Have the plan approved with another."
            )
        self.is_old = self.clock.now() - plan.priced_at > self.options.max_plan_age
        if self.is_old and plan.state is PlanState.APPROVED:
            raise OperatorError(self._too_old)

    @property
    def max_slippage_pct(self) -> Decimal:
        """Of the plan's reference prices: the approval's, or else the operator's."""
        approved = self.plan.approval.max_slippage_pct if self.plan.approval else None
        return self.options.max_slippage_pct if approved is None else approved

    @property
    def _too_old(self) -> str:
        minutes = self.options.max_plan_age.total_seconds() / 60
        return (
            f"The prices of {self.plan.name} are of {self.plan.priced_at:%Y-%m-%d %H:%M} UTC, at most {minutes:.0f} "
            "minutes are allowed. Plan anew."
        )

    async def begin(self) -> None:
        """Learn what became of unfinished orders, and mark the plan as running."""
        for order in await self.placing.resume(may_send=False):
            rests = order.intent.may_rest and order.state.is_at_exchange
            if order.state is not OrderState.NEW and not rests:
                _check_final(order)
        if self.plan.state is PlanState.APPROVED:
            await self._advance(PlanState.RUNNING, "trading", self.clock.now())

    async def trade(self) -> None:
        """Trade and settle every leg that is not settled: sells, then buys."""
        plan = self.plan
        left = sorted(plan.to_trade, key=lambda leg: (leg.side is Side.BUY, leg.number))
        self.listings = dict(await asyncio.to_thread(self.market.load_listings, {leg.symbol for leg in left}))
        known = await asyncio.to_thread(self.orders.load_orders, plan.account, plan=plan.name)
        by_name = {order.intent.client_order_id: order for order in known}
        for place, leg in enumerate(left):
            order = by_name.get(_name_order(plan, leg))
            state, reason = await self._trade(leg, order, left[place:])
            if not await asyncio.to_thread(self.plans.settle_leg, plan.plan_id, leg.number, state, reason=reason):
                raise OperatorError(f"Leg {leg.number} of {plan.name} was changed by somebody else. Look at it first.")

    async def end(self, prices: PriceSource) -> Rebalanced:
        """Mark the plan as done, or as failed when a leg is; the message of it is stored in the same transaction."""
        plan = await asyncio.to_thread(self.plans.load_plan, self.plan.account, self.plan.plan_id)
        legs = await asyncio.to_thread(load_legs, plan, self.orders)
        failed = [one.leg.symbol for one in plan.legs if one.state is LegState.FAILED]
        done = sum(one.state is LegState.DONE for one in plan.legs)
        state, note = PlanState.DONE, f"{done} of {done + len(failed)} legs traded"
        if failed:
            state, note = PlanState.FAILED, f"{note}, not {', '.join(failed)}: see the legs"
        now = self.clock.now()
        ended = replace(plan, state=state, note=note, changed_at=now)
        measured = await measure_plan(ended, legs, self.account, prices, self.options.rules, self.clock)
        await self._advance(state, note, now, write_rebalanced(measured, now))
        return measured

    async def _advance(self, state: PlanState, note: str, now: datetime, message: Message | None = None) -> None:
        advance = partial(self.plans.advance, self.plan.plan_id, state, note=note, now=now, message=message)
        if not await asyncio.to_thread(advance):
            raise OperatorError(f"{self.plan.name} was changed by somebody else meanwhile. Look at it first.")

    async def _trade(self, leg: Leg, order: Order | None, left: Sequence[Leg]) -> tuple[LegState, str]:
        """Return what became of a leg; an order that was stored goes on as it was stored."""
        if order is None and self.is_old:
            return LegState.FAILED, self._too_old
        if order is not None and self.is_old:
            return _judge(leg, await self._withdraw(order.intent))
        try:
            intent = order.intent if order is not None else await self._intend(leg, left)
            if self.make_room and leg.side is Side.SELL and (order is None or not order.state.is_final):
                await self.make_room(intent)
        except (OrderRefused, UnknownSymbol, SymbolHalted) as error:
            return (LegState.FAILED, str(error)) if order is None else await self._give_up(leg, order.intent, error)
        try:
            return _judge(leg, _check_final(await self.placing.place(intent)))
        except (UnknownSymbol, SymbolHalted) as error:  # asking again would not help, and the other legs can be traded
            return await self._give_up(leg, intent, error)

    async def _give_up(self, leg: Leg, intent: OrderIntent, error: FksError) -> tuple[LegState, str]:
        """Withdraw the stored order of a leg that must not be sent; no limit counts it, and nobody sends it later."""
        ended = await self._withdraw(intent)
        return (LegState.FAILED, str(error)) if ended.state is OrderState.REJECTED else _judge(leg, ended)

    async def _withdraw(self, intent: OrderIntent) -> Order:
        """Return the order as it ended; one that may have been sent is looked up before."""
        return _check_final(await self.placing.cancel(intent.client_order_id))

    async def _intend(self, leg: Leg, left: Sequence[Leg]) -> OrderIntent:
        listing, approval = self.listings.get(leg.symbol), self.plan.approval
        assert leg.price is not None and approval is not None
        if listing is None or listing.price_step is None or listing.quantity_step is None:
            raise OrderRefused(f"The exchange's steps of {leg.symbol} are not known. sync_market_data reads them.")
        bound = calc_bound(leg.side, leg.price, self.max_slippage_pct, listing.price_step)
        return OrderIntent(
            client_order_id=_name_order(self.plan, leg),
            account=self.plan.account,
            symbol=leg.symbol,
            side=leg.side,
            kind=OrderKind.LIMIT,
            quantity=leg.quantity if leg.side is Side.SELL else await self._afford(leg, bound, listing, left),
            reference_price=leg.price,
            created_at=self.clock.now(),
            why=f"rebalance: {describe_trade(leg)}",
            limit_price=bound,
            time_in_force=TimeInForce.IOC,
            plan=self.plan.name,
            approval=f"{approval.who}, {approval.at:%Y-%m-%d %H:%M:%S} UTC",
        )

    async def _afford(self, leg: Leg, bound: Decimal, listing: Listing, left: Sequence[Leg]) -> Decimal:
        """Return what a buy may take of the cash that is there now above the reserve, fee included.

        Where it is short because a sell failed, all buys that are left are cut by the same factor.
        """
        quote = self.plan.quote_asset
        balance = (await self.account.fetch_balances()).get(quote)
        step = listing.quantity_step or ONE
        with localcontext(EXACT):
            cash = max(ZERO, (balance.free if balance else ZERO) - self.plan.reserve_quote)
            needed = -sum((one.cash_change for one in left), ZERO)
            affordable = cash / (bound * (1 + self.options.rules.fee_ratio))
            most = min(leg.quantity * min(ONE, cash / needed), affordable)
            quantity = floor_to_step(most.quantize(FINEST, rounding=ROUND_DOWN), step)
        if quantity < max(listing.min_quantity or ZERO, step) or quantity * bound < (listing.min_notional or ZERO):
            raise OrderRefused(
                f"{format_money(cash, quote)} of cash is left above the reserve for buys of "
                f"{format_money(needed, quote)}; {leg.symbol}'s part is below the exchange's minimum. Plan anew."
            )
        return quantity


def _check_final(order: Order) -> Order:
    if not order.state.is_final:
        raise OutcomeUnknown(
            f"{order.name} is {order.state}, and nothing more is sent before its end is known. Start this again: it is "
            "looked up first."
        )
    return order


def _judge(leg: Leg, order: Order) -> tuple[LegState, str]:
    executed, wanted = order.executed_quantity, order.intent.quantity
    cut = ""
    if wanted < leg.quantity:
        cut = f"Cut from {format_number(leg.quantity)} to {format_number(wanted)} {leg.base}: cash above the reserve."
    if order.state is OrderState.REJECTED and not executed:
        return LegState.FAILED, order.reason
    if executed < wanted:
        bound = format_number(order.intent.limit_price or ZERO)
        filled = (
            f"{format_number(executed)} of {format_number(wanted)} {leg.base} filled; nobody took the rest at {bound}"
        )
        return LegState.FAILED, f"{filled} or better. Plan anew. {cut}".strip()
    return LegState.DONE, cut
