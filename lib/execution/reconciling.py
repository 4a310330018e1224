"""Reconciling: what the exchange has of orders, compared with what we know; unfinished ones learn what became of them.

Nothing is ever sent, and no order of somebody else is touched. The account's lock is taken only where an order of ours
is behind the exchange, so that a run that wants to place one is hardly ever kept from it. Without the lock a run may
place orders between two of the questions: none of them is taken for somebody else's, because its name is stored before
it is sent, and every name that we do not expect is looked for among ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lib.errors import AccountBusy, BadAnswer, ExchangeUnavailable, FksError, OperatorError, RateLimited, UnknownSymbol
from lib.execution.finding_alerts import describe_finding, write_findings
from lib.execution.findings import FilledOrder, Finding, FindingKind, FindingStore, classify, find_own
from lib.execution.orders import Order, OrderIntent, OrderReport, OrderState
from lib.execution.placing import PlacingRules, open_placing
from lib.execution.reconciling_report import ReconciliationResult, line_of_finding, line_of_order
from lib.execution.stores import OrderStore
from lib.execution.venue import OrderVenue
from lib.ports import Clock
from lib.results import Item, Status, calc_status, failed_item, render_count

TASK = "reconcile_orders"
LEFT_AFTER = timedelta(
    minutes=15
)  # a run that works on an order holds the account's lock; it is not that slow to begin
IMPORT_SETTLES = timedelta(minutes=30)  # an exchange may show a fill late
OVERLAP = timedelta(days=1)  # fills of that time are looked at again: they may be imported late
MOST_NAMES_ASKED = 20  # of filled orders of others; one question costs weight 4
ASK_AGAIN = (ExchangeUnavailable, RateLimited, BadAnswer)
ASK_ONCE = PlacingRules(patience=timedelta(0))
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReconcilingParts:
    """What reconciling one account needs.

    Attributes:
        orders: Ours.
        findings: What was found before.
        venue: The account's orders at the exchange.
        symbols: Names of symbols, for orders of others.
        import_again: Lets the next import ask for the fills of these symbols.
        may_be_foreign: Whether somebody else can trade on the account: not on a paper account.
    """

    orders: OrderStore
    findings: FindingStore
    venue: OrderVenue
    symbols: Collection[str]
    import_again: Callable[[Collection[str]], None]
    may_be_foreign: bool


async def reconcile_orders(*, account: str, parts: ReconcilingParts, clock: Clock) -> ReconciliationResult:
    """Compare the account's orders with the exchange's, tell people of what differs once, and end what has ended.

    * Unfinished orders of a run that was killed are looked up: they end by themselves, or wait for their flow.
    * Open orders on the exchange that are not ours, and orders not ours whose fills were imported, are classified and
      told, and otherwise left alone. What was filled before the first reconciliation is history, and not told.
    * An order of ours that the exchange had and does not know any more is told.
    * Fills of our orders are compared with the ledger's: both come from the exchange on different ways.

    Args:
        account: Whose.
        parts: What it works on.
        clock: Ours.

    Raises:
        AllItemsFailed: Neither the exchange's open orders nor our unfinished ones could be read.
        DatabaseUnavailable: Trying again is safe.
    """
    run = _Run(account, parts, clock)
    started_at = clock.now()
    await run.look()
    new = await asyncio.to_thread(
        parts.findings.keep,
        account,
        run.found,
        is_complete=run.is_complete,
        now=started_at,
        compose=lambda findings: write_findings(findings, started_at),
    )
    return run.to_result(new, started_at)


def _is_behind(order: Order, listed: Sequence[OrderReport] | None) -> bool:
    """Tell whether the exchange may know more of the order than we do; of a new one it knows nothing."""
    if order.state is OrderState.NEW:
        return False
    if not order.state.is_at_exchange or listed is None:
        return True
    executed = {report.client_order_id: report.executed for report in listed}
    return executed.get(order.intent.client_order_id) != order.executed_quantity


async def _refuse(intent: OrderIntent) -> None:
    raise OperatorError(f"Reconciling sends nothing, and was asked to send {intent.client_order_id}.")


@dataclass
class _Run:
    """One reconciliation of one account."""

    account: str
    parts: ReconcilingParts
    clock: Clock
    found: list[Finding] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    unfinished: list[Order] = field(default_factory=list)
    settled: int = 0
    is_complete: bool = True

    async def look(self) -> None:
        """Ask for everything: our orders before the exchange's, so that none of ours is missed in its list."""
        self.unfinished = list(await asyncio.to_thread(self.parts.orders.load_unfinished, self.account))
        listed = await self._list_open()
        if any(_is_behind(order, listed) for order in self.unfinished):
            await self._settle()
        if listed is not None:
            await self._compare_open(listed)
        self._find_left()
        await self._compare_fills()

    async def _list_open(self) -> Sequence[OrderReport] | None:
        try:
            return await self.parts.venue.fetch_open_orders(self.parts.symbols)
        except FksError as error:  # fills can be compared all the same
            logger.warning("The open orders of %s could not be read: %s", self.account, error)
            self._fail("open orders", error)
            return None

    async def _settle(self) -> None:
        """Learn what became of orders that a killed run has left; one that is at work learns it by itself."""
        try:
            async with open_placing(
                self.account,
                store=self.parts.orders,
                venue=self.parts.venue,
                check=_refuse,
                clock=self.clock,
                rules=ASK_ONCE,
            ) as placing:
                after = await placing.resume(may_send=False)
        except AccountBusy as error:
            self.is_complete = False
            self.items.append(Item(name=f"{self.account} unfinished orders", status=Status.SKIPPED, detail=str(error)))
            return
        except OperatorError as error:
            self._fail("unfinished orders", error)
            return
        ended = [order for order in after if order.state.is_final]
        self.settled = len(ended)
        self.unfinished = [order for order in after if not order.state.is_final]
        for order in ended:
            how = "it rested on the exchange" if order.intent.may_rest else "left by a run that ended"
            detail = f"{how}; it is {order.state}"
            self.items.append(Item(name=f"{self.account} {order.name}", status=Status.OK, detail=detail))

    def _find_left(self) -> None:
        now = self.clock.now()
        for order in self.unfinished:
            if order.state is OrderState.NEW and now - order.intent.created_at >= LEFT_AFTER:
                self.found.append(find_own(order, FindingKind.LEFT, order.intent.why))

    async def _compare_open(self, listed: Sequence[OrderReport]) -> None:
        names = {report.client_order_id for report in listed}
        for order in self.unfinished:
            if order.state.is_at_exchange and order.intent.client_order_id not in names:
                await self._ask_for(order)
        if self.parts.may_be_foreign:
            self.found += await self._classify(listed)

    async def _ask_for(self, order: Order) -> None:
        """An order that is not listed any more has ended a moment ago, waits for its fills, or was forgotten."""
        intent, since = order.intent, order.attempts[-1].attempted_at
        try:
            report = await self.parts.venue.find(intent.symbol, intent.client_order_id, since)
        except ASK_AGAIN as error:
            self._fail(order.name, error)
            return
        if report is None:
            detail = f"it was {order.state} when it was last seen, with the exchange's number {order.order_id}"
            self.found.append(find_own(order, FindingKind.FORGOTTEN, detail))

    async def _classify(self, reports: Sequence[OrderReport]) -> list[Finding]:
        """Return the orders that are not ours; every order of ours is stored before it is sent."""
        names = [report.client_order_id for report in reports]
        ours = await asyncio.to_thread(self.parts.findings.load_own_names, self.account, names)
        return [classify(self.account, report) for report in reports if report.client_order_id not in ours]

    async def _compare_fills(self) -> None:
        done = await asyncio.to_thread(self.parts.findings.load_reconciled, self.account)
        if done is None:
            return  # what was filled before is history
        since = max(done.began_at, done.done_at - OVERLAP)
        if self.parts.may_be_foreign:
            await self._find_foreign(since)
        await self._compare_with_ledger(since)

    async def _find_foreign(self, since: datetime) -> None:
        filled = await asyncio.to_thread(self.parts.findings.load_foreign_fills, self.account, since)
        known = {(one.symbol, one.order_id) for one in self.found}
        fresh = [one for one in filled if (one.symbol, one.order_id) not in known]
        for one in fresh[:MOST_NAMES_ASKED]:  # the others are asked for the next time
            self.found += await self._identify(one)

    async def _identify(self, one: FilledOrder) -> list[Finding]:
        """Ask for the order's name: it may be ours, whose number is not stored yet."""
        try:
            report = await self.parts.venue.fetch_order(one.symbol, one.order_id)
        except UnknownSymbol:
            report = None
        except ASK_AGAIN as error:
            self._fail(f"order {one.order_id} of {one.symbol}", error)
            return []
        if report is not None:
            return [replace(found, price=one.price) for found in await self._classify([report])]
        return [
            Finding(
                account=self.account,
                kind=FindingKind.BY_PROGRAM,
                symbol=one.symbol,
                side=one.side,
                quantity=one.quantity,
                executed=one.quantity,
                price=one.price,
                order_id=one.order_id,
                client_order_id="",
            )
        ]

    async def _compare_with_ledger(self, since: datetime) -> None:
        differing = await asyncio.to_thread(self.parts.findings.load_disagreements, self.account, since)
        if not differing:
            return
        orders = await asyncio.to_thread(self.parts.orders.load_orders, self.account)
        by_name = {order.intent.client_order_id: order for order in orders}
        for name in dict.fromkeys(one.client_order_id for one in differing):
            of_order = [one for one in differing if one.client_order_id == name]
            missing = [one for one in of_order if not one.is_imported]
            await self._import_again(by_name[name], missing=bool(missing))
            wrong = len(of_order) - len(missing)
            if wrong:
                detail = f"the ledger has {render_count(wrong, 'fills')} otherwise than the order"
                self.found.append(find_own(by_name[name], FindingKind.CONTRADICTED, detail))
            elif min(one.filled_at for one in missing) <= self.clock.now() - IMPORT_SETTLES:
                detail = f"the ledger lacks {render_count(len(missing), 'fills')}"
                self.found.append(find_own(by_name[name], FindingKind.NOT_IMPORTED, detail))

    async def _import_again(self, order: Order, *, missing: bool) -> None:
        if missing:
            await asyncio.to_thread(self.parts.import_again, [order.intent.symbol])
            detail = "fills of it are not in the ledger yet; they are asked for again"
            self.items.append(Item(name=f"{self.account} {order.name}", status=Status.OK, detail=detail))

    def _fail(self, what: str, error: Exception) -> None:
        self.is_complete = False
        self.items.append(failed_item(f"{self.account} {what}", error))

    def to_result(self, new: Sequence[Finding], started_at: datetime) -> ReconciliationResult:
        """Return what was found, as people read it."""
        items = list(self.items)
        if not items and not self.found:
            items.append(Item(name=f"{self.account} orders", status=Status.OK, detail="agree with the exchange"))
        fresh = {one.finding_id for one in new}
        for one in self.found:
            told = "people are told now" if one.finding_id in fresh else "told before"
            detail = f"{one.kind}: {describe_finding(one)}; {told}"
            is_harmless = one.kind in (FindingKind.BY_HAND, FindingKind.BY_PROGRAM)
            status = Status.OK if is_harmless else Status.PARTIAL
            items.append(Item(name=f"{self.account} {one.symbol} order", status=status, detail=detail))
        return ReconciliationResult(
            task=TASK,
            status=calc_status(TASK, items),
            counts={
                "orders ended": self.settled,
                "open orders": len(self.unfinished),
                "foreign orders": sum(one.kind.is_foreign for one in self.found),
                "order findings": sum(not one.kind.is_foreign for one in self.found),
            },
            items=tuple(items),
            started_at=started_at,
            finished_at=self.clock.now(),
            orders=tuple(line_of_order(order) for order in self.unfinished),
            findings=tuple(line_of_finding(one) for one in self.found),
        )
