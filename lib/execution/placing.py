"""Placing orders exactly once: also when answers are lost, and when the process is killed at any point.

1. The intent is committed before anything is sent, and "attempt n" before each request (`OrderDesk`).
2. A request is sent once. When its outcome is unknown, or the process died before it stored the answer, the order is
   looked up first. It is sent again only after the exchange did not have it when asked past the grace time; an attempt
   cannot be booked later than that, because the exchange refuses its old timestamp (`OrderVenue.submit`).
3. Only the holder of the account's lock writes and sends. Whoever comes after a killed process takes over from what is
   stored.
4. Fills accumulate; a final state is stored only together with all of its fills.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ParamSpec, TypeVar

from lib.errors import (
    AccountBusy,
    BadAnswer,
    CheckRefused,
    ExchangeUnavailable,
    OperatorError,
    OrderNotSent,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    UnknownOrder,
)
from lib.execution.orders import (
    Attempt,
    AttemptOutcome,
    Order,
    OrderIntent,
    OrderReport,
    OrderState,
    find_difference,
    to_state,
)
from lib.execution.stores import OrderDesk, OrderStore
from lib.execution.venue import OrderVenue
from lib.portfolio.fills import Fill
from lib.ports import Clock

ASK_AGAIN = (ExchangeUnavailable, RateLimited, BadAnswer)  # of a read: nothing is known yet
Check = Callable[[OrderIntent], Awaitable[None]]
Wait = Callable[[float], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlacingRules:
    """How patient placing is.

    Attributes:
        grace: After an attempt; an order that the exchange does not have then is not there. Longer than a request may
            take to be booked (five seconds) and to be shown.
        patience: How long one order is waited for; what is not finished then is left to the next run.
        poll_seconds: Between questions.
        max_attempts: Requests that may have reached the exchange; then the order is given up.
    """

    grace: timedelta = timedelta(seconds=15)
    patience: timedelta = timedelta(seconds=90)
    poll_seconds: float = 1.0
    max_attempts: int = 3


@asynccontextmanager
async def open_placing(
    account: str,
    *,
    store: OrderStore,
    venue: OrderVenue,
    check: Check,
    clock: Clock,
    rules: PlacingRules | None = None,
    wait: Wait = asyncio.sleep,
    lock_patience: timedelta = timedelta(0),
) -> AsyncIterator[Placing]:
    """Become the account's only writer of orders until the end of the context.

    Args:
        account: Whose orders.
        store: Where they are kept.
        venue: Where they are sent.
        check: Raises `CheckRefused` when an order must not be sent; asked before every request.
        clock: Now.
        rules: How patient to be.
        wait: Waits so many seconds; tests drive their clock with it.
        lock_patience: How long another writer is waited for.

    Raises:
        AccountBusy: Another process is the writer.
    """
    rules, deadline = rules or PlacingRules(), clock.now() + lock_patience
    with ExitStack() as stack:
        while True:
            try:
                desk = await _in_thread(stack.enter_context, store.open_desk(account))
                break
            except AccountBusy:
                if clock.now() >= deadline:
                    raise
            await wait(rules.poll_seconds)
        yield Placing(desk, venue, check, clock, rules, wait)


async def _in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do blocking work beside the event loop; when the run is cancelled, let the work end first.

    The desk's connection must not be given back while a thread still writes on it.
    """
    done = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


class Placing:
    """Drives orders through their states; see `open_placing`.

    Its methods raise `DatabaseUnavailable` when the lock is lost: nothing is sent then, and what was under way is taken
    over by whoever comes next. Errors of the check other than `CheckRefused` leave the order as it is, too.
    """

    def __init__(
        self, desk: OrderDesk, venue: OrderVenue, check: Check, clock: Clock, rules: PlacingRules, wait: Wait
    ) -> None:
        self._desk = desk
        self._venue = venue
        self._check = check
        self._clock = clock
        self._rules = rules
        self._wait = wait

    async def place(self, intent: OrderIntent) -> Order:
        """Place an order, or go on with it where it is; return it when it is final, rests, or patience has ended.

        Raises:
            OrderRefused: Its client order id names another order. A refused order is `REJECTED` with its reason.
        """
        order = await _in_thread(self._desk.add, intent)
        return await self._drive(order, may_send=True)

    async def place_list(self, intents: Sequence[OrderIntent]) -> Sequence[Order]:
        """Place orders that the exchange takes in one request, all or none, or go on with them where they are.

        The first one is checked for all. Where only some are found afterwards, none is sent again.

        Args:
            intents: See `OrderVenue.submit_list`.

        Raises:
            OrderRefused: A client order id names another order. Refused orders are `REJECTED` with their reason.
        """
        orders: Sequence[Order] = await _in_thread(self._desk.add_all, intents)
        deadline = self._clock.now() + self._rules.patience
        while True:
            must_wait = False
            if all(order.state is OrderState.NEW for order in orders):
                orders, must_wait = await self._attempt(orders)
            orders = [one if one.state.is_at_exchange else await self._drive(one, may_send=False) for one in orders]
            is_over = any(order.state is not OrderState.NEW for order in orders)
            if is_over or self._clock.now() >= deadline:
                return orders
            if must_wait:
                await self._wait(self._rules.poll_seconds)

    async def resume(self, *, may_send: bool, symbol: str | None = None) -> Sequence[Order]:
        """Go on with every unfinished order of the account, or of one symbol of it.

        Without `may_send` only learn what became of them.
        """
        unfinished = await _in_thread(self._desk.load_unfinished)
        meant = [order for order in unfinished if symbol is None or order.intent.symbol == symbol]
        return [await self._drive(order, may_send=may_send) for order in meant]

    async def cancel(self, client_order_id: str) -> Order:
        """Cancel an order; return it as it ended: it may have filled before. One that was never sent is rejected.

        Raises:
            OperatorError: There is no order of that name.
        """
        order = await _in_thread(self._desk.load, client_order_id)
        if order is None:
            raise OperatorError(f"There is no order {client_order_id}. Name one of `fks status`.")
        order = await self._drive(order, may_send=False)
        if order.state is OrderState.NEW:
            return await self._change(order, OrderState.REJECTED, reason="It was withdrawn before it was sent.")
        for _ in range(self._rules.max_attempts):
            if not order.state.is_at_exchange or await self._cancel_once(order):
                break
            await self._wait(self._rules.poll_seconds)
            order, _ = await self._look_up(order)  # cancelling once more harms nobody, and waiting may
        return await self._drive(order, may_send=False, until_final=True)

    async def _cancel_once(self, order: Order) -> bool:
        """Ask the exchange to cancel an order; tell whether it has answered."""
        try:
            await self._venue.cancel(order.intent.symbol, order.intent.client_order_id)
        except (UnknownOrder, OrderRefused) as error:
            logger.warning("Cancelling %s: %s It is looked up.", order.name, error)
        except (OrderNotSent, OutcomeUnknown) as error:
            logger.warning("Cancelling %s: %s It is looked up and cancelled again.", order.name, error)
            return False
        return True

    async def end_lost(self, client_order_id: str, note: str) -> Order:
        """End an order that the exchange does not have, or that was never sent, as rejected; its fills stay.

        It is looked up once more. One that the exchange has is taken over as it is there.

        Args:
            client_order_id: Its name.
            note: Why, in a person's words.

        Raises:
            OperatorError: There is no order of that name, it has ended, or the exchange has it and may still fill it.
            OutcomeUnknown: It may still appear: it was sent a moment ago.
            RetryableError: The exchange could not be asked.
        """
        order = await _in_thread(self._desk.load, client_order_id)
        if order is None:
            raise OperatorError(f"There is no order {client_order_id}. Name one of `fks status`.")
        if order.state.is_final:
            raise OperatorError(f"{order.name} is {order.state} already. There is nothing to withdraw.")
        if order.state is not OrderState.NEW:
            attempted_at, asked_at = order.attempts[-1].attempted_at, self._clock.now()
            report = await self._venue.find(order.intent.symbol, client_order_id, since=attempted_at)
            if report is not None:
                return await self._end_found(order, report)
            if asked_at < attempted_at + self._rules.grace:
                raise OutcomeUnknown(f"{order.name} was sent a moment ago and may still appear. Start this again.")
        return await self._change(order, OrderState.REJECTED, reason=f"Withdrawn by hand: {note}")

    async def _end_found(self, order: Order, report: OrderReport) -> Order:
        order, _ = await self._accept(order, report)
        if not order.state.is_final:
            raise OperatorError(f"The exchange has {order.name}: it is {order.state}. Cancel it there.")
        return order

    async def _drive(self, order: Order, *, may_send: bool, until_final: bool = False) -> Order:
        deadline = self._clock.now() + self._rules.patience
        while not order.state.is_final:
            if order.state is OrderState.NEW and not may_send:
                return order
            order, must_wait = await self._step(order)
            may_rest = order.intent.may_rest and not until_final
            if order.state.is_at_exchange and may_rest and not must_wait:
                return order
            if must_wait or (until_final and order.state.is_at_exchange):
                if self._clock.now() >= deadline:
                    logger.warning("%s is %s after %s.", order.name, order.state, self._rules.patience)
                    return order
                await self._wait(self._rules.poll_seconds)
        return order

    async def _step(self, order: Order) -> tuple[Order, bool]:
        """Do the one thing that the state asks for; return the order, and whether to wait before the next step."""
        if order.state is OrderState.NEW:
            [order], must_wait = await self._attempt([order])
            return order, must_wait
        if order.state is OrderState.ATTEMPTED:  # by a process that ended before it stored the answer
            order = await self._answer(order, OrderState.UNKNOWN, AttemptOutcome.UNKNOWN, "The process ended.")
        return await self._look_up(order)

    async def _attempt(self, orders: Sequence[Order]) -> tuple[Sequence[Order], bool]:
        """Check and send new orders that go in one request; return them, and whether to wait before the next step."""
        first = orders[0]
        sent = sum(attempt.outcome is not AttemptOutcome.NOT_SENT for attempt in first.attempts)
        if sent >= self._rules.max_attempts:
            reason = f"Sent {sent} times, the exchange never had it. Look at `fks status`, then order anew."
            return await self._reject(orders, reason), False
        try:
            await self._check(first.intent)
        except CheckRefused as error:
            return await self._reject(orders, str(error), error.code), False
        attempt = Attempt(len(first.attempts) + 1, self._clock.now())
        attempted = [
            replace(one, state=OrderState.ATTEMPTED, attempts=(*one.attempts, attempt), changed_at=attempt.attempted_at)
            for one in orders
        ]
        return await self._submit(await _in_thread(self._desk.save_all, orders, attempted), attempt)

    async def _submit(self, orders: Sequence[Order], attempt: Attempt) -> tuple[Sequence[Order], bool]:
        intents = [order.intent for order in orders]
        try:
            if len(intents) == 1:
                reports: Sequence[OrderReport] = [await self._venue.submit(intents[0], attempt.attempted_at)]
            else:
                reports = await self._venue.submit_list(intents, attempt.attempted_at)
        except OrderNotSent as error:
            return await self._answer_all(orders, OrderState.NEW, AttemptOutcome.NOT_SENT, str(error)), True
        except OrderRefused as error:  # looked up all the same: an earlier request may be why it was refused
            return await self._answer_all(orders, OrderState.UNKNOWN, AttemptOutcome.REFUSED, str(error)), False
        except OutcomeUnknown as error:
            logger.warning("%s may have been placed: %s It is looked up.", orders[0].name, error)
            return await self._answer_all(orders, OrderState.UNKNOWN, AttemptOutcome.UNKNOWN, str(error)), False
        accepted = [await self._accept(order, report) for order, report in zip(orders, reports, strict=True)]
        return [order for order, _ in accepted], any(must_wait for _, must_wait in accepted)

    async def _look_up(self, order: Order) -> tuple[Order, bool]:
        attempt, asked_at = order.attempts[-1], self._clock.now()
        try:
            report = await self._venue.find(
                order.intent.symbol, order.intent.client_order_id, since=attempt.attempted_at
            )
        except ASK_AGAIN as error:
            logger.warning("%s could not be looked up: %s", order.name, error)
            return order, True
        if report is not None:
            return await self._accept(order, report)
        if order.state.is_at_exchange:
            logger.error("The exchange has forgotten %s, which it had. Compare it with the account there.", order.name)
            return order, True
        if attempt.outcome is AttemptOutcome.REFUSED:
            return await self._change(order, OrderState.REJECTED, reason=attempt.detail), False
        if asked_at < attempt.attempted_at + self._rules.grace:
            return order, True
        return await self._answer(order, OrderState.NEW, AttemptOutcome.ABSENT, attempt.detail), False

    async def _accept(self, order: Order, report: OrderReport) -> tuple[Order, bool]:
        """Take over what the exchange says. Wait where it must go on: it does not rest, or fills are still missing."""
        if difference := find_difference(order.intent, report):
            raise OperatorError(
                f"The exchange has another order under the name of {order.name}: {difference}. Compare both there."
            )
        fills = await self._load_fills(order, report)
        state = to_state(report, fills)
        accepted = replace(order.attempts[-1], outcome=AttemptOutcome.ACCEPTED)
        reason = "The exchange took it and rejected it." if state is OrderState.REJECTED else ""
        after = replace(
            order,
            state=state,
            attempts=(*order.attempts[:-1], accepted),
            order_id=report.order_id,
            fills=fills,
            reason=reason,
        )
        must_wait = not state.is_final and (report.state.is_final or not order.intent.may_rest)
        if after == order:
            return order, must_wait
        return await self._save(order, after), must_wait

    async def _load_fills(self, order: Order, report: OrderReport) -> tuple[Fill, ...]:
        if report.executed <= order.executed_quantity:
            return order.fills
        try:
            told = await self._venue.fetch_order_fills(report)
        except ASK_AGAIN as error:
            logger.warning("The fills of %s could not be read: %s", order.name, error)
            return order.fills
        known = {fill.fill_id: fill for fill in (*told, *order.fills)}
        return tuple(known[fill_id] for fill_id in sorted(known))

    async def _answer(self, order: Order, state: OrderState, outcome: AttemptOutcome, detail: str) -> Order:
        """Store what became of the last attempt."""
        [answered] = await self._answer_all([order], state, outcome, detail)
        return answered

    async def _answer_all(
        self, orders: Sequence[Order], state: OrderState, outcome: AttemptOutcome, detail: str
    ) -> Sequence[Order]:
        now, answered = self._clock.now(), []
        for order in orders:
            last = replace(order.attempts[-1], outcome=outcome, detail=detail)
            attempts = (*order.attempts[:-1], last)
            answered.append(replace(order, state=state, attempts=attempts, changed_at=now))
        return await _in_thread(self._desk.save_all, orders, answered)

    async def _reject(self, orders: Sequence[Order], reason: str, refusal: str = "") -> Sequence[Order]:
        return [await self._change(one, OrderState.REJECTED, reason=reason, refusal=refusal) for one in orders]

    async def _change(self, order: Order, state: OrderState, *, reason: str, refusal: str = "") -> Order:
        logger.warning("%s is %s: %s", order.name, state, reason)
        return await self._save(order, replace(order, state=state, reason=reason, refusal=refusal))

    async def _save(self, before: Order, after: Order) -> Order:
        return await _in_thread(self._desk.save, before, replace(after, changed_at=self._clock.now()))
