"""What follows from decisions, as the flows do it: exits, approvals, single orders, rebalance plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from lib.allocation.stores import Decision, StoredPlan
from lib.errors import OperatorError
from lib.execution.approval import ApprovalForm
from lib.execution.opening import OpeningWish
from lib.execution.rebalance_form import RebalanceForm
from lib.execution.ticket_report import OrderResult, OrderReview
from lib.portfolio.exits import Exit, ExitState
from lib.results import TaskResult
from lib.strategy.stores import Action
from lib.tasks import balances, dealing, exits, orders, portfolio, protected, protecting, rebalancing
from lib.tasks.rebalancing import ReviewResult, Starter
from tests.soak.driver import Driver
from tests.soak.stage import ASKS, PAPER, SELLS

PERSON = "Ada"
APPROVES, REJECTS = 0.8, 0.1  # else nobody answers
FOLLOWS = 0.5
MOST_FOLLOWED = 2  # BUYs of one run


@dataclass
class Orders:
    """Decisions of people, and what the closing and rebalancing flows do with them.

    Attributes:
        driver: Runs the steps.
        waiting: By exit, until when its form waits for a person who never comes.
        plans: Plans whose run has to be started again, with the run's id.
    """

    driver: Driver
    waiting: dict[int, datetime] = field(default_factory=dict)
    plans: dict[int, tuple[str, str]] = field(default_factory=dict)

    async def start_exits(self) -> None:
        """Do what `flows.exits` does, and then the closing runs that it starts."""
        stage = self.driver.stage
        for one in await exits.load_open_exits(stage.platform):
            if stage.clock.now() < self.waiting.get(one.exit_id, stage.clock.now()):
                continue
            was_asked = self.waiting.pop(one.exit_id, None) is not None
            if why := await exits.find_obstacle(stage.platform, one):
                await exits.give_up(stage.platform, one, why)
                continue
            if one.state is ExitState.STARTED:
                one = await exits.take_over(stage.platform, one, cancelled=False, crashed=not was_asked)
            if one.state is ExitState.WANTED:
                await self._close(one)

    async def start_protection(self) -> None:
        """Do what `flows.protection` does, and the runs that it starts."""
        stage = self.driver.stage
        if self.driver.halt is not None:
            return
        for account in await protected.find_due(stage.platform):
            await self.driver.attempt(
                "protect_positions",
                partial(protecting.protect_positions, stage.platform, account, self.driver.halted),
            )

    async def _close(self, wanted: Exit) -> None:
        stage, attempt = self.driver.stage, self.driver.attempt
        run = f"exit {wanted.exit_id} {wanted.attempts + 1}"
        await exits.begin_exit(stage.platform, wanted, run)
        reviewed = await attempt(
            "review_order",
            lambda: orders.review_closing(
                stage.platform,
                wanted.account,
                wanted.symbol,
                None,
                Decimal(100),
                exit_id=wanted.exit_id,
                run=run,
                execute=True,
                halted=self.driver.halted,
            ),
        )
        ended: TaskResult | Exception = reviewed
        rejected = ""
        if isinstance(reviewed, OrderReview):
            decision = self._decide() if reviewed.asks else Decision.APPROVED
            if decision is None:
                self.waiting[wanted.exit_id] = stage.clock.now() + reviewed.answer_within
                return
            ended = await self._execute(reviewed, decision)
            rejected = PERSON if decision is Decision.REJECTED else ""
        error = str(ended) if isinstance(ended, Exception) else ""
        await attempt(
            "settle_exit", lambda: exits.settle_exit(stage.platform, wanted.exit_id, rejected=rejected, error=error)
        )

    async def follow_signals(self) -> None:
        """Buy some of what strategies say now."""
        stage, driver = self.driver.stage, self.driver
        at, timeframe = stage.clock.now(), stage.settings.signal_timeframe
        rows = stage.query(
            "SELECT strategy, symbol FROM signals WHERE action = :buy AND timeframe = :timeframe "
            "AND created_at > :since ORDER BY strategy, symbol",
            buy=Action.BUY.value,
            timeframe=timeframe,
            since=at - timedelta(minutes=10),
        )
        for row in rows[:MOST_FOLLOWED]:
            if driver.choices.random() < FOLLOWS:
                account = driver.choices.choice((ASKS, SELLS, PAPER))
                await self.buy(OpeningWish(account, row.symbol, strategy=row.strategy))

    async def buy(self, wish: OpeningWish) -> None:
        """Open a position as a person does who started the flow."""
        stage = self.driver.stage
        run = f"open {wish.account} {wish.symbol} {stage.clock.now():%Y%m%dT%H%M%S}"
        reviewed = await self.driver.attempt(
            "review_order",
            lambda: orders.review_opening(
                stage.platform, wish, timeframe=None, run=run, execute=True, halted=self.driver.halted
            ),
        )
        if isinstance(reviewed, OrderReview) and (decision := self._decide()) is not None:
            await self._execute(reviewed, decision)

    async def sell(self, account: str, symbol: str, share: int) -> None:
        """Close a part of a position as a person does who started the flow."""
        stage = self.driver.stage
        run = f"close {account} {symbol} {stage.clock.now():%Y%m%dT%H%M%S}"
        reviewed = await self.driver.attempt(
            "review_order",
            lambda: orders.review_closing(
                stage.platform,
                account,
                symbol,
                None,
                Decimal(share),
                exit_id=None,
                run=run,
                execute=True,
                halted=self.driver.halted,
            ),
        )
        if isinstance(reviewed, OrderReview) and (decision := self._decide()) is not None:
            await self._execute(reviewed, decision)

    async def _execute(self, review: OrderReview, decision: Decision) -> TaskResult | Exception:
        """Store the decision, send the order, import its fills; people must be told of every fill."""
        stage, attempt = self.driver.stage, self.driver.attempt
        ticket = review.ticket
        assert ticket is not None
        self.driver.log.events[f"orders {decision}"] += 1
        if review.asks:
            form = ApprovalForm(approved_by=PERSON, decision=decision)
            await attempt(
                "decide_order",
                lambda: dealing.decide_order(stage.platform, ticket.account, ticket.client_order_id, form),
            )
        if decision is Decision.REJECTED:
            return review
        placed = await attempt(
            "place_order",
            lambda: dealing.place_order(stage.platform, ticket.account, ticket.client_order_id, self.driver.halted),
        )
        if isinstance(placed, OrderResult):
            key = f"executed:{ticket.account}:{ticket.client_order_id}"
            self.driver.log.expected_fills.append((f"{ticket.name} was filled", key))
        await attempt("update_positions", lambda: portfolio.update_positions(stage.platform, ticket.account))
        return placed

    def _decide(self) -> Decision | None:
        luck = self.driver.choices.random()
        if luck < APPROVES:
            return Decision.APPROVED
        return Decision.REJECTED if luck < APPROVES + REJECTS else None

    async def decide_on_plans(self) -> None:
        """Look at the plans that were proposed, as a person does in the morning."""
        for row in self.driver.stage.query("SELECT account, plan_id FROM rebalance_plans WHERE state = 'proposed'"):
            run = f"rebalance {row.account} {self.driver.stage.clock.now():%Y%m%dT%H%M%S}"
            await self._rebalance(row.account, row.plan_id, run)

    async def go_on_with_plans(self) -> None:
        """Start the runs again that were left in the middle of a plan."""
        for plan_id, (account, run) in [*self.plans.items()]:
            await self._rebalance(account, plan_id, run)

    async def _rebalance(self, account: str, plan_id: int, run: str) -> None:
        stage, attempt = self.driver.stage, self.driver.attempt
        starter = Starter(run, self.driver.halted, _is_waiting)
        reviewed = await attempt(
            "review_plan", lambda: rebalancing.review_plan(stage.platform, account, plan_id, starter)
        )
        if not isinstance(reviewed, ReviewResult):
            self._note_end(account, plan_id, run, reviewed)
            return
        if reviewed.question is not None and not await self._answer(reviewed.plan, starter):
            return
        self.plans[plan_id] = (account, run)
        done = await attempt(
            "rebalance_portfolio",
            lambda: rebalancing.rebalance_portfolio(stage.platform, account, plan_id, starter),
        )
        self._note_end(account, plan_id, run, done)
        await attempt("update_positions", lambda: portfolio.update_positions(stage.platform, account))
        await attempt("sync_account_balance", lambda: balances.sync_account_balance(stage.platform, account))

    async def _answer(self, plan: StoredPlan, starter: Starter) -> bool:
        decision = self._decide()
        self.driver.log.events[f"plans {decision or 'unanswered'}"] += 1
        if decision is None:
            return False
        form = RebalanceForm(approved_by=PERSON, decision=decision)
        await self.driver.attempt(
            "decide_on_plan", lambda: rebalancing.decide_on_plan(self.driver.stage.platform, plan, form, starter)
        )
        return decision is Decision.APPROVED

    def _note_end(self, account: str, plan_id: int, run: str, ended: TaskResult | Exception) -> None:
        """Forget a plan that came to its end; people must be told of that."""
        if isinstance(ended, TaskResult | OperatorError):
            self.plans.pop(plan_id, None)
        [[state]] = self.driver.stage.query("SELECT state FROM rebalance_plans WHERE plan_id = :id", id=plan_id)
        if state in ("done", "failed"):
            self.plans.pop(plan_id, None)


async def _is_waiting(run: str) -> bool:
    """Nobody waits: runs here end before the next begins."""
    return False
