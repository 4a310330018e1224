"""Keeping protective orders on the exchange as positions and their limits are: `protect_positions`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from lib.errors import AccountBusy, CheckRefused, DatabaseUnavailable, FksError
from lib.execution.checks import Refusal, check_halt
from lib.execution.dealing import learn_unfinished
from lib.execution.gate import Gate, Halted
from lib.execution.placing import Placing, open_placing
from lib.execution.protecting import describe_orders, has_sold, place_protection, release_protections
from lib.execution.protection import Guard, ProtectionStore, count_locked, free_up
from lib.execution.protection_messages import write_halted, write_protecting_failed
from lib.execution.protection_needs import Need, judge
from lib.execution.protection_plan import Market, Planned, plan_protection
from lib.platform import Platform
from lib.portfolio.stores import HeldPosition
from lib.results import Item, Status, TaskResult, calc_status, failed_item
from lib.tasks.order_facts import check_imported, find_held, load_listing
from lib.tasks.portfolio import update_positions
from lib.tasks.protected import is_on, judge_positions, load_known, settle_protections
from lib.tasks.trading import make_gate, placing_rules_of

TASK = "protect_positions"
ROOM_SECONDS = 1.5  # between two symbols: an exit that waits for the account asks each second (PlacingRules)
logger = logging.getLogger(__name__)


async def protect_positions(
    platform: Platform, account: str | None, halted: Halted, *, again: bool = False
) -> TaskResult:
    """Place, replace and cancel the protective orders of one account, or of all, until they are as is wanted.

    During a trading halt nothing is placed and nothing cancelled: what rests goes on protecting.

    Args:
        platform: The parts.
        account: Whose; None for every account's.
        halted: Says why trading is halted; None when it is not.
        again: Whether what somebody cancelled, and what was refused within the hour, is placed again.

    Raises:
        AllItemsFailed: Nothing could be brought up to date; the next chain tries again.
        OperatorError: The account is unknown or cannot be used.
    """

    async def protect(name: str) -> TaskResult:
        started_at = platform.clock.now()
        items = await _protect_account(platform, name, halted, again=again)
        rested = await load_known(platform, name)
        return TaskResult(
            task=TASK,
            status=calc_status(TASK, items),
            counts={"protected positions": sum(one.is_resting for one in rested)},
            items=items,
            started_at=started_at,
            finished_at=platform.clock.now(),
        )

    return await platform.for_each_account(account, protect)


async def _protect_account(platform: Platform, account: str, halted: Halted, *, again: bool) -> tuple[Item, ...]:
    name = f"{account} protections"
    judged = await judge_positions(platform, account, again=again)
    due = [symbol for symbol, one in judged.items() if one.is_due]
    items = [
        Item(name=f"{account} {symbol}", status=Status.SKIPPED, detail=one.why)
        for symbol, one in judged.items()
        if symbol not in due
    ]
    if not due:
        return tuple(items) or (Item(name=name, status=Status.SKIPPED, detail="nothing to protect"),)
    if reason := await halted():
        detail = f"trading is halted: {reason}. Nothing is placed or cancelled; what rests on the exchange stays"
        for symbol in due:
            await _tell_of_halt(platform, account, symbol, f"Trading is halted: {reason}")
        return (*items, Item(name=name, status=Status.SKIPPED, detail=detail))
    gate = await _make_gate(platform, account, halted)
    try:
        for number, symbol in enumerate(due):
            if number:
                await asyncio.sleep(ROOM_SECONDS)
            items.append(await _bring_up_to_date(platform, account, gate, symbol, again=again))
    except AccountBusy as error:  # it holds the lock for a sale, or for this; the next chain looks again
        return (*items, Item(name=name, status=Status.SKIPPED, detail=str(error)))
    return tuple(items)


async def _bring_up_to_date(platform: Platform, account: str, gate: Gate, symbol: str, *, again: bool) -> Item:
    """Do what the protection of one symbol needs; its trouble is an item, and told, at most once an hour."""
    try:
        async with _open_placing(platform, account, gate) as placing:
            await learn_unfinished(placing, symbol)
            await update_positions(platform, account)  # what an order has sold is not protected again
            item = await _Work(platform, account, gate, placing, again).bring_up_to_date(symbol)
        await settle_protections(platform, account)
    except (AccountBusy, DatabaseUnavailable):
        raise
    except Exception as error:  # the other positions are to be protected all the same
        if isinstance(error, CheckRefused) and error.code == Refusal.HALTED:
            await _tell_of_halt(platform, account, symbol, str(error))
            return Item(name=f"{account} {symbol}", status=Status.SKIPPED, detail=str(error))
        logger.warning("The protection of %s %s: %s", account, symbol, error, exc_info=not isinstance(error, FksError))
        failed = failed_item(f"{account} {symbol}", error)
        is_held = await find_held(platform, account, symbol) is not None
        message = write_protecting_failed(account, symbol, failed.detail, platform.clock.now(), is_held=is_held)
        await asyncio.to_thread(platform.notifications.record, message)
        return failed
    return item


async def _tell_of_halt(platform: Platform, account: str, symbol: str, why: str) -> None:
    """Tell, once, that a halt keeps a position bare whose protection has ended."""
    held, known = await find_held(platform, account, symbol), await load_known(platform, account, symbol)
    now, wanted = platform.clock.now(), is_on(platform, account)
    of_it = [one for one in known if held and one.protection.opened_by == held.position.opened_by]
    if of_it and judge(held, known, is_on=wanted, now=now).need is Need.PLACE:
        message = write_halted(of_it[-1].protection, why, now)
        await asyncio.to_thread(platform.notifications.record, message)


async def _make_gate(platform: Platform, account: str, halted: Halted) -> Gate:
    """Return the checks without the limits of an order and of a day, which are for what people and plans want.

    A limit that keeps a stop loss from the exchange would cost more than it saves.
    """
    gate = await make_gate(platform, account, halted, is_exit=True)
    return replace(gate, limits=replace(gate.limits, max_order_notional=None))


@asynccontextmanager
async def _open_placing(platform: Platform, account: str, gate: Gate) -> AsyncIterator[Placing]:
    """Become the account's only writer."""
    rules = placing_rules_of(platform.settings)
    async with open_placing(
        account,
        store=platform.trading.orders,
        venue=platform.trading.venues[account],
        check=gate.check,
        clock=platform.clock,
        rules=rules,
        lock_patience=rules.patience,
    ) as placing:
        yield placing


@dataclass
class _Work:
    """One symbol of an account, as the account's only writer."""

    platform: Platform
    account: str
    gate: Gate
    placing: Placing
    again: bool

    async def bring_up_to_date(self, symbol: str) -> Item:
        """Do what the protection of one symbol needs."""
        held = await find_held(self.platform, self.account, symbol)
        known = await load_known(self.platform, self.account, symbol)
        now, wanted = self.platform.clock.now(), is_on(self.platform, self.account)
        judged = judge(held, known, is_on=wanted, now=now, again=self.again)
        live = [one for one in known if one.is_live]
        if judged.need is Need.NOTHING:
            return self._note(symbol, judged.why, Status.SKIPPED)
        if held is None or judged.need is Need.RELEASE:
            check_halt(await self.gate.halted())
            await self._release(live, judged.why)
            return self._note(symbol, f"cancelled: {judged.why}")
        await check_imported(self.platform, self.account, symbol, known)
        planned = await self._plan(held, known)
        if planned is None:
            return self._note(
                symbol, "the price is at the stop loss: left to the account's stop_policy", Status.SKIPPED
            )
        if len(live) == 1 and live[0].is_sound and live[0].protection.note and planned.is_no_better(live[0]):
            await asyncio.to_thread(self._store.note_look, live[0].protection, now)
            return self._note(symbol, judged.why)
        if live:
            await self._check_replacement(planned, known)
        if has_sold(live, await self._release(live, judged.why)):
            return self._note(symbol, "it sold while it was to be replaced; the next chain looks again", Status.PARTIAL)
        return await self._place(symbol, held)

    async def _check_replacement(self, planned: Planned, known: Sequence[Guard]) -> None:
        """Refuse what would be refused once the old one is cancelled, while that one still protects.

        Raises:
            CheckRefused: See `Gate.check`.
        """
        if planned.intents:
            await replace(self.gate, freed=count_locked(known)).check(planned.intents[0])
        else:
            check_halt(await self.gate.halted())

    async def _release(self, live: Sequence[Guard], why: str) -> list[Guard]:
        return await release_protections(
            live, placing=self.placing, store=self._store, why=why, clock=self.platform.clock
        )

    async def _place(self, symbol: str, held: HeldPosition) -> Item:
        """Place what is wanted now; a stop loss whose take profit the exchange refuses is placed alone."""
        for _ in range(2):
            known = await load_known(self.platform, self.account, symbol)
            planned = await self._plan(held, known)
            if planned is None:
                return self._note(symbol, "the price has come to the stop loss: left to stop_policy", Status.PARTIAL)
            if planned.is_refused_again(known):
                await asyncio.to_thread(self._store.note_look, known[-1].protection, self.platform.clock.now())
                return self._note(symbol, planned.protection.refusal, Status.PARTIAL)
            guard = await place_protection(planned, placing=self.placing, store=self._store)
            if not guard.target_was_refused:
                break
        if guard.is_resting:
            note = f" ({guard.protection.note})" if guard.protection.note else ""
            return self._note(symbol, f"protected: {guard.protection.describe()}{note}")
        if any(order.refusal == Refusal.HALTED for order in guard.orders):
            raise CheckRefused(Refusal.HALTED, guard.why_refused)
        return self._note(symbol, guard.protection.refusal or describe_orders(guard), Status.PARTIAL)

    async def _plan(self, held: HeldPosition, known: Sequence[Guard]) -> Planned | None:
        balances = await self.platform.accounts[self.account].fetch_balances()
        base = held.symbol.partition("/")[0]
        market = Market(
            listing=await load_listing(self.platform, held.symbol),
            book=await self.platform.books.fetch_book(held.symbol),
            balance=free_up(balances, count_locked(known)).get(base),
            slippage_pct=self.platform.settings.protective_slippage_pct,
        )
        return plan_protection(held, known, market, self.platform.clock.now())

    def _note(self, symbol: str, detail: str, status: Status = Status.OK) -> Item:
        return Item(name=f"{self.account} {symbol}", status=status, detail=detail)

    @property
    def _store(self) -> ProtectionStore:
        return self.platform.trading.protections
