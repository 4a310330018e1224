"""Exits: which closing runs are due, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from lib.errors import OrderRefused
from lib.execution.ticket_messages import write_exit_failed
from lib.execution.tickets import make_ticket_id
from lib.platform import Platform
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.exits import Exit, ExitPolicy, ExitState
from lib.portfolio.fills import Side
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition
from lib.results import Item, Status, TaskResult
from lib.tasks.order_facts import find_best, find_held
from lib.tasks.portfolio import exit_policies_of
from lib.units import floor_to_step

TASK = "settle_exit"


async def load_open_exits(platform: Platform) -> Sequence[Exit]:
    """Return what is still to be sold on the accounts that can be used."""
    return await asyncio.to_thread(platform.trading.exits.load_open, tuple(platform.accounts))


def find_policy(platform: Platform, wanted: Exit) -> ExitPolicy:
    """Return what the account's settings say now of such a crossing."""
    return exit_policies_of(platform.settings.effective_accounts[wanted.account])[wanted.kind]


async def find_obstacle(platform: Platform, wanted: Exit) -> str | None:
    """Return why an open exit is to be given up, or None while its reason holds.

    The form of a stop loss outlives a price that flaps: people are asked again only after a real recovery
    (`lib.portfolio.stops`), so until then nothing else would ask.
    """
    policy = find_policy(platform, wanted)
    if policy is ExitPolicy.ALERT:
        return f"the account's policy is {policy} now"
    held = await find_held(platform, wanted.account, wanted.symbol)
    if held is None:
        return "the position is closed"
    alarm = held.alarms.get(wanted.kind, Alarm())
    is_flapping = wanted.kind is AlarmKind.STOP_LOSS and policy is ExitPolicy.APPROVE and alarm.alerted_at is not None
    return None if alarm.raised_at is not None or is_flapping else "the price is back within the limit"


def has_to_begin_anew(platform: Platform, started: Exit, *, is_suspended: bool) -> bool:
    """Tell whether the run that an exit waits for cannot do what the account's policy says now.

    Args:
        platform: The parts.
        started: The exit.
        is_suspended: Whether its run waits for a person, whom a policy that sells at once asks nothing.
    """
    policy = find_policy(platform, started)
    return policy is not started.policy or (policy is ExitPolicy.EXIT and is_suspended)


async def begin_anew(platform: Platform, known: Exit) -> Exit:
    """Have an exit tried again by the policy of now, once its present run is over; return it as it is then."""
    policy, store = find_policy(platform, known), platform.trading.exits
    note = f"begins anew: the account's policy is {policy} now"
    await asyncio.to_thread(store.begin_anew, known, policy, note=note, now=platform.clock.now())
    return await asyncio.to_thread(store.load, known.exit_id)


async def give_up(platform: Platform, wanted: Exit, why: str) -> None:
    """End an exit that is not wanted any more."""
    await asyncio.to_thread(platform.trading.exits.end, wanted, ExitState.VOID, note=why, now=platform.clock.now())


async def begin_exit(platform: Platform, wanted: Exit, run: str) -> None:
    """Note the closing run that was started for an exit."""
    await asyncio.to_thread(platform.trading.exits.begin, wanted, run, platform.clock.now())


async def take_over(platform: Platform, started: Exit, *, cancelled: bool, crashed: bool) -> Exit:
    """End an exit whose run has ended without saying what came of it, or have it tried again; return it as it is now.

    Args:
        platform: The parts.
        started: The exit.
        cancelled: Whether a person cancelled the run.
        crashed: Whether its process died.
    """
    state, note = ExitState.WANTED, "its run failed"
    if cancelled:
        state, note = ExitState.REJECTED, "its run was cancelled by hand"
    elif crashed:
        note = "its run died"
    elif ExitPolicy.EXIT not in (started.policy, find_policy(platform, started)) and (
        await _was_unanswered(platform, started)
    ):
        state, note = ExitState.REJECTED, "nobody approved it in time"
    await asyncio.to_thread(platform.trading.exits.end, started, state, note=note, now=platform.clock.now())
    return await asyncio.to_thread(platform.trading.exits.load, started.exit_id)


async def check_due(platform: Platform, crossing: Exit | None) -> None:
    """Refuse to sell at once what is not to be sold any more: the run may come late, as when the stack was down.

    The check of the limits goes by the stored price. Where that is too old to say anything, as before the first chain
    of a stack that starts again, the book says whether the price is beyond the limit; the next chain decides then.

    Args:
        platform: The parts.
        crossing: The exit; None: a person sells.

    Raises:
        OrderRefused: The reason is gone.
    """
    if crossing is None or crossing.policy is not ExitPolicy.EXIT:
        return
    why = await find_obstacle(platform, crossing) or await _find_recovery(platform, crossing)
    if why:
        raise OrderRefused(f"{crossing.name} is not due now: {why}. The next chain looks again.")


async def _find_recovery(platform: Platform, crossing: Exit) -> str | None:
    held = await find_held(platform, crossing.account, crossing.symbol)
    oldest = platform.clock.now() - timedelta(seconds=platform.settings.stop_price_max_age_seconds)
    if held is None or (held.valuation is not None and held.valuation.price_at >= oldest):
        return None
    bid = await find_best(platform, crossing.symbol, Side.SELL)
    if crossing.kind is AlarmKind.STOP_LOSS:
        is_back = held.stop_loss is not None and bid > held.stop_loss
    else:
        is_back = held.take_profit is not None and bid < held.take_profit
    return f"the price was {format_number(bid)} when its run began" if is_back else None


async def settle_exit(platform: Platform, exit_id: int, *, rejected: str, error: str) -> TaskResult:
    """Note what came of an exit's run; what failed is told urgently, and is tried again by the next chain.

    Args:
        platform: The parts.
        exit_id: Which.
        rejected: Who rejected it; empty when nobody did.
        error: Why it failed; empty when it did not.

    Raises:
        OperatorError: There is no such exit.
    """
    started_at = platform.clock.now()
    known = await asyncio.to_thread(platform.trading.exits.load, exit_id)
    state, note = await _find_outcome(platform, known, rejected, error)
    message = None
    if error and state is ExitState.WANTED:
        every = timedelta(minutes=platform.settings.stop_realert_minutes)
        message = write_exit_failed(known, error, every, started_at)
    await asyncio.to_thread(
        platform.trading.exits.end, known, state, note=note, now=platform.clock.now(), message=message
    )
    status = Status.PARTIAL if state is ExitState.WANTED else Status.OK
    return TaskResult(
        task=TASK,
        status=status,
        counts={"exits wanted": int(state is ExitState.WANTED), "exits done": int(state is ExitState.DONE)},
        items=(Item(name=known.name, status=status, detail=note),),
        started_at=started_at,
        finished_at=platform.clock.now(),
    )


async def _find_outcome(platform: Platform, known: Exit, rejected: str, error: str) -> tuple[ExitState, str]:
    if not known.state.is_open:
        return known.state, known.note
    if rejected:
        return ExitState.REJECTED, rejected
    held = await find_held(platform, known.account, known.symbol)
    if held is None:
        return ExitState.DONE, "the position is closed"
    if error and (why := await find_obstacle(platform, known)):
        return ExitState.VOID, why
    if error:
        return ExitState.WANTED, error
    if await _can_be_sold(platform, held):
        return ExitState.WANTED, "a part was sold; the rest follows"
    return ExitState.DONE, "sold"


async def _can_be_sold(platform: Platform, held: HeldPosition) -> bool:
    """Tell whether the exchange takes an order of what is still held, as far as is known."""
    listings = await asyncio.to_thread(platform.market.load_listings, {held.symbol})
    listing = listings.get(held.symbol)
    if listing is None or listing.quantity_step is None:
        return True
    quantity = floor_to_step(held.position.quantity, listing.quantity_step)
    worth = listing.min_notional if held.valuation is None else quantity * held.valuation.price
    return quantity >= (listing.min_quantity or listing.quantity_step) and (worth or 0) >= (listing.min_notional or 0)


async def _was_unanswered(platform: Platform, started: Exit) -> bool:
    """Tell whether a person was asked and said nothing: the server has ended such a run."""
    ticket_id = make_ticket_id(started.account, started.run or "")
    ticket = await asyncio.to_thread(platform.trading.tickets.load, started.account, ticket_id)
    return ticket is not None and ticket.approval is None
