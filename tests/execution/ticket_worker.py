"""A process that opens a position by a ticket, sells it as its account's policy says, and dies where it is told.

It does what the flows do, step after step, on the platform's own parts: `flows.ordering` for one order, and
`flows.exits` for the exits that a crossed stop loss wants. A process that follows a killed one begins at the top.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine

from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.account import BinanceAccount
from lib.allocation.stores import Decision
from lib.errors import AllItemsFailed, BadAnswer, EnvironmentRefused, FksError, OperatorError, RetryableError
from lib.execution.approval import ApprovalForm
from lib.execution.opening import OpeningWish
from lib.execution.ticket_report import OrderReview
from lib.execution.tickets import Ticket
from lib.platform import Platform
from lib.portfolio.accounts import AccountKind
from lib.portfolio.exits import Exit, ExitPolicy, ExitState
from lib.settings import AccountSettings, Settings
from lib.tasks import dealing, exits, orders, portfolio, protected, protecting
from lib.tasks.order_facts import find_held
from lib.wiring import open_platform
from tests.execution.mishaps import DisturbedOrders, OtherHand
from tests.execution.worker import AFTER_POST, POINTS, SECRET, WINDOW, Fate, MortalStore
from tests.simulators import Control

COMMITS = ("open_books", "save_limits", "save_alarm", "add", "decide", "settle", "begin", "end", "release")
TICKET_POINTS = (*POINTS, AFTER_POST, *(f"{when}_{name}" for name in COMMITS for when in ("before", "after")))
MOST_ATTEMPTS = 12  # of one exit; what nobody can sell by then stays wanted, with the reason
GRACE_SECONDS, PATIENCE_SECONDS = 1.5, 6
AGAIN = (RetryableError, BadAnswer, AllItemsFailed, EnvironmentRefused)


@dataclass(frozen=True)
class TicketTask:
    """What a worker is to do.

    Attributes:
        database_url: Migrated, with the symbols.
        simulator_url: With an account whose key is its name.
        account: Who trades.
        symbol: What; no other account does.
        price: Of it, at the start.
        policy: What a crossed stop loss does; `alert`: the position is closed by hand.
        opens: What the form of the purchase says.
        sells: What the forms of sales say.
        protects: Whether the stop loss rests on the exchange, too.
        notes: A file: what each step came to.
        other_hand: Uses the account beside it.
        die_at: One of `TICKET_POINTS`; None to live.
        die_after: How often that point is passed alive.
    """

    database_url: str
    simulator_url: str
    account: str
    symbol: str
    price: Decimal
    policy: ExitPolicy
    opens: Decision
    sells: Decision
    protects: bool
    notes: Path
    other_hand: OtherHand | None = None
    die_at: str | None = None
    die_after: int = 0


class Mortal:
    """A store that meets its fate before and after each of its commits."""

    def __init__(self, store: Any, fate: Fate) -> None:
        self._store, self._fate = store, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._die_around(name, found) if name in COMMITS else found

    def _die_around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def meet(*given: Any, **named: Any) -> Any:
            self._fate.reach(f"before_{name}")
            result = call(*given, **named)
            if hasattr(result, "__enter__"):
                return _Mortal(result, name, self._fate)
            self._fate.reach(f"after_{name}")
            return result

        return meet


class _Mortal:
    """A transaction that meets its fate before and after its commit."""

    def __init__(self, transaction: Any, name: str, fate: Fate) -> None:
        self._transaction, self._name, self._fate = transaction, name, fate

    def __enter__(self) -> Any:
        return self._transaction.__enter__()

    def __exit__(self, *raised: Any) -> Any:
        self._fate.reach(f"before_{self._name}")
        done = self._transaction.__exit__(*raised)
        self._fate.reach(f"after_{self._name}")
        return done


def trade(task: TicketTask) -> None:
    """Do everything; return when nothing is left to do."""
    asyncio.run(_work(task))


async def _work(task: TicketTask) -> None:
    engine, fate = make_engine(task.database_url), Fate(task.die_at, task.die_after)
    while True:
        try:
            async with open_platform(engine, _settings_of(task)) as opened:
                await Trader(_make_mortal(opened, task, fate, engine), task).go_on()
            break
        except AGAIN:  # the database is away, or an answer was lost
            await asyncio.sleep(0.05)
    engine.dispose()


def _settings_of(task: TicketTask) -> Settings:
    account = AccountSettings(
        kind=AccountKind.LIVE,
        api_key=SecretStr(task.account),
        api_secret=SecretStr(SECRET),
        stop_policy=task.policy,
        protective_orders=task.protects,
    )
    settings = Settings(
        _env_file=None,
        exchange_url=task.simulator_url,
        exchange_timeout_seconds=0.5,
        exchange_weight_per_minute=1_000_000,
        mains=(task.symbol.partition("/")[0],),
        alts=(),
        accounts={task.account: account},
    )
    quick = {"order_grace_seconds": GRACE_SECONDS, "order_patience_seconds": PATIENCE_SECONDS}
    return settings.model_copy(update=quick)  # quicker than any operator may set


def _make_mortal(platform: Platform, task: TicketTask, fate: Fate, engine: Engine) -> Platform:
    account = platform.accounts[task.account]
    assert isinstance(account, BinanceAccount)
    venue = DisturbedOrders(account.link, task.account, window=WINDOW)
    venue.fate, venue.other_hand = fate, task.other_hand
    store = MortalStore(engine)
    store.fate = fate
    trading = replace(
        platform.trading,
        orders=store,
        tickets=Mortal(platform.trading.tickets, fate),
        exits=Mortal(platform.trading.exits, fate),
        protections=Mortal(platform.trading.protections, fate),
        venues={task.account: venue},
    )
    return replace(platform, trading=trading, portfolio=Mortal(platform.portfolio, fate))


class Trader:
    """Goes on with a task from wherever a killed process has left it."""

    def __init__(self, platform: Platform, task: TicketTask) -> None:
        self._platform, self._task = platform, task

    async def go_on(self) -> None:
        """Buy, let the price fall, sell, and look until nothing is left to do."""
        task = self._task
        await self._step("opening", self._open)
        await self._chain()
        held = await find_held(self._platform, task.account, task.symbol)
        if held is not None and task.policy is ExitPolicy.ALERT:
            await self._step("closing", self._close)
        elif held is not None:
            await asyncio.to_thread(self._let_price_fall)
        await self._chain()
        while not await self._is_over():
            await self._chain()

    async def _open(self) -> None:
        wish = OpeningWish(
            self._task.account,
            self._task.symbol,
            notional=Decimal(1000),
            stop_loss=(self._task.price * Decimal("0.95")).normalize(),
            take_profit=(self._task.price * Decimal("1.2")).normalize(),
        )
        review = await orders.review_opening(
            self._platform, wish, timeframe=None, run="opening", execute=True, halted=_not_halted
        )
        await self._conclude(review, self._task.opens)

    async def _close(self) -> None:
        review = await self._review_closing("closing", None)
        await self._conclude(review, self._task.sells)

    async def _review_closing(self, run: str, exit_id: int | None) -> OrderReview:
        task, all_of_it = self._task, Decimal(100)
        return await orders.review_closing(
            self._platform,
            task.account,
            task.symbol,
            None,
            all_of_it,
            exit_id=exit_id,
            run=run,
            execute=True,
            halted=_not_halted,
        )

    async def _conclude(self, review: OrderReview, answer: Decision) -> str:
        """Answer the form, send the order, import its fills; return who rejected it, or nothing."""
        ticket = review.ticket
        assert isinstance(ticket, Ticket)
        if review.asks:
            form = ApprovalForm(approved_by="Ada", decision=answer)
            await dealing.decide_order(self._platform, ticket.account, ticket.client_order_id, form)
            ticket = await asyncio.to_thread(
                self._platform.trading.tickets.load, ticket.account, ticket.client_order_id
            )
            assert isinstance(ticket, Ticket)
        if ticket.approval is not None and ticket.approval.decision is Decision.REJECTED:
            return f"rejected by {ticket.approval.who}"
        await dealing.place_order(self._platform, ticket.account, ticket.client_order_id, _not_halted)
        await portfolio.update_positions(self._platform, ticket.account)
        return ""

    async def _step(self, name: str, step: Callable[[], Any]) -> None:
        """Do a step of a person; note why it was refused."""
        try:
            await step()
        except OperatorError as error:
            with self._task.notes.open("a") as notes:
                notes.write(f"{name}: {error}\n")

    async def _chain(self) -> None:
        """What a run of the critical path does, with the runs of exits that it starts."""
        await portfolio.update_positions(self._platform, self._task.account)
        await portfolio.check_stop_loss(self._platform, self._task.account)
        for one in await exits.load_open_exits(self._platform):
            await self._follow(one)
        if await protected.find_due(self._platform):
            await protecting.protect_positions(self._platform, self._task.account, _not_halted)

    async def _follow(self, one: Exit) -> None:
        if why := await exits.find_obstacle(self._platform, one):
            return await exits.give_up(self._platform, one, why)
        if one.state is ExitState.STARTED:  # by a process that is gone
            one = await exits.take_over(self._platform, one, cancelled=False, crashed=True)
        if one.state is not ExitState.WANTED:
            return None
        await exits.begin_exit(self._platform, one, one.next_key)
        rejected, error = "", ""
        try:
            review = await self._review_closing(one.next_key, one.exit_id)
            rejected = await self._conclude(review, self._task.sells)
        except FksError as raised:
            error = str(raised)
        await exits.settle_exit(self._platform, one.exit_id, rejected=rejected, error=error)
        return None

    def _let_price_fall(self) -> None:
        control = Control(self._task.simulator_url)
        control.set_price(self._task.symbol.replace("/", ""), self._task.price * Decimal("0.94"))
        control.close()

    async def _is_over(self) -> bool:
        account, trading = self._task.account, self._platform.trading
        held = await find_held(self._platform, account, self._task.symbol)
        unfinished = await asyncio.to_thread(trading.orders.load_unfinished, account)
        rests = [one for one in unfinished if held and one.intent.may_rest and one.state.is_at_exchange]
        unsettled = await asyncio.to_thread(trading.tickets.load_unsettled, account)
        guards = await protected.load_known(self._platform, account)
        is_settled = held is not None or all(one.protection.settled_at is not None for one in guards)
        wanted = await exits.load_open_exits(self._platform)
        return len(rests) == len(unfinished) and is_settled and not unsettled and not _find_due(wanted)


def _find_due(wanted: Collection[Exit]) -> list[Exit]:
    return [one for one in wanted if one.attempts < MOST_ATTEMPTS or not one.note]


async def _not_halted() -> str | None:
    return None
