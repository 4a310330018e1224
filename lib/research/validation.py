"""Validating strategies: who fails on recent data gives no signals from then on, and people hear of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.errors import OperatorError, RetryableError, StrategyRefused
from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.ports import Clock
from lib.research.backtest import Backtest
from lib.research.promotion import Judge, try_promotion
from lib.research.verdict import ValidationLimits, describe_numbers, find_failures
from lib.results import Item, Status, TaskResult, calc_status, failed_item
from lib.strategy.history import ChangeLine, build_changes, render_changes
from lib.strategy.stores import StoredCandidate, StoredStrategy, StrategyState, StrategyStore

TASK = "validate_strategies"
LATELY = timedelta(days=30)  # whose changes are shown; set-strategy-state shows all of one strategy
TITLES = {True: "disabled", False: "fails, and is pinned"}
Draw = Callable[[Backtest], Attachment]
logger = logging.getLogger(__name__)


class ValidationLine(BaseModel):
    """What was found of one strategy."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    version: int
    verdict: str
    numbers: str
    held: str
    symbols: int
    candidate: str = ""


class ValidationResult(TaskResult):
    """The result of `validate_strategies`.

    Attributes:
        lines: Each strategy that could be judged.
        changes: What was changed of strategies lately, by whomever, the newest first.
    """

    lines: tuple[ValidationLine, ...] = ()
    changes: tuple[ChangeLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown with a row a strategy, and one a change."""
        if not self.lines:
            return render_changes(self.changes)
        rows = [list(one.model_dump().values()) for one in self.lines]
        heads = ("strategy", "parameters", "verdict", "recently", "bought and held", "symbols", "candidate")
        judged = tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)
        return [judged, *render_changes(self.changes)]


def validate_strategies(
    *,
    strategy: str | None,
    judge: Judge,
    draw: Draw,
    store: StrategyStore,
    limits: ValidationLimits,
    clock: Clock,
    show: Callable[[int, int, str], None],
) -> ValidationResult:
    """Judge strategies on recent data by their own parameters, and disable those that fail.

    * A failing strategy that is active is disabled: its state with the reason, its history and the message to people
      are one transaction, and only if nobody changed it since it was read. Nothing steps in for it.
    * One whose code raises, gives what cannot be traded, or looks ahead fails as well.
    * A candidate that passes comes into force, whether what was in force passes or not (`lib.research.promotion`).
    * A pinned one stays; people are reminded once a week while it fails.
    * What cannot be judged (too little history, old candles) changes nothing and is reported.
    * A disabled one is judged only when it is named, and stays disabled.

    Args:
        strategy: Only this one; None means all that give signals.
        judge: Tests a strategy on recent data.
        draw: Draws what was tested, for the message.
        store: Strategies.
        limits: What they must reach.
        clock: Now.
        show: Told ``(done, total, what)``.

    Raises:
        OperatorError: There is no such strategy.
        AllItemsFailed: None could be judged.
    """
    started_at = clock.now()
    chosen = choose_strategies(store.load_strategies(), strategy)
    candidates = store.load_candidates()
    items: list[Item] = []
    outcomes: list[Outcome] = []
    for number, one in enumerate(chosen):
        show(number, len(chosen), one.name)
        if one.state is StrategyState.DISABLED and strategy is None:
            since = f"disabled since {one.changed_at:%Y-%m-%d %H:%M} UTC: {one.why}"
            items.append(Item(name=one.name, status=Status.SKIPPED, detail=since))
            continue
        try:
            outcome = _validate(one, candidates.get(one.name), judge, draw, store, limits, clock.now())
        except RetryableError:
            raise
        except Exception as error:  # counted as a failed item: one that cannot be judged does not stop another
            logger.warning("Strategy %s cannot be judged", one.name, exc_info=error)
            items.append(failed_item(one.name, error))
            continue
        items.append(outcome.item)
        outcomes.append(outcome)
    return ValidationResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={
            "strategies judged": sum(one.line is not None for one in outcomes),
            "disabled": sum(one.is_disabled for one in outcomes),
            "promoted": sum(one.is_promoted for one in outcomes),
        },
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
        lines=tuple(one.line for one in outcomes if one.line is not None),
        changes=build_changes(one for one in store.load_changes() if one.changed_at > started_at - LATELY),
    )


def choose_strategies(stored: Sequence[StoredStrategy], name: str | None) -> list[StoredStrategy]:
    """Return the one of that name, or all.

    Raises:
        OperatorError: There is no such strategy.
    """
    chosen = [one for one in stored if name in (None, one.name)]
    if name is not None and not chosen:
        known = ", ".join(one.name for one in stored) or "none: run signals first"
        raise OperatorError(f"Unknown strategy {name!r}. Expected one of {known}.")
    return chosen


@dataclass(frozen=True)
class Outcome:
    """What became of one strategy; without a line where its code cannot be used."""

    item: Item
    line: ValidationLine | None
    is_disabled: bool
    is_promoted: bool = False


def _validate(
    one: StoredStrategy,
    candidate: StoredCandidate | None,
    judge: Judge,
    draw: Draw,
    store: StrategyStore,
    limits: ValidationLimits,
    now: datetime,
) -> Outcome:
    """Judge one strategy and its candidate, and do what follows."""
    try:
        done = judge(one)
    except StrategyRefused as error:
        is_off = _switch_off(one, [str(error)], None, store, now)
        return Outcome(Item(name=one.name, status=Status.OK, detail=f"{_say(one, is_off)}: {error}"), None, is_off)
    failures = find_failures(done.metrics, limits)
    is_promoted, words = try_promotion(one, candidate, judge, store, limits, now)
    is_off = False
    if failures and not is_promoted:
        is_off = _switch_off(one, failures, (done, draw(done)), store, now)
    verdict = "passes" if not failures else "fails, and is replaced" if is_promoted else _say(one, is_off)
    line = ValidationLine(
        strategy=one.name,
        version=one.version,
        verdict=verdict,
        numbers=describe_numbers(done.metrics),
        held=f"return {100 * done.metrics.held.total_return:.1f} %",
        symbols=len(done.candles.symbols),
        candidate=words,
    )
    detail = f"{verdict}: {'; '.join(failures) or line.numbers}" + (f". {words}" if words else "")
    return Outcome(Item(name=one.name, status=Status.OK, detail=detail), line, is_off, is_promoted)


def _say(one: StoredStrategy, is_off: bool) -> str:
    if is_off:
        return "fails, and is disabled"
    if one.state is StrategyState.ACTIVE:
        return "fails; it was changed meanwhile, and stays as it is now"
    return f"fails, and stays {one.state}"


def _switch_off(
    one: StoredStrategy,
    failures: Sequence[str],
    done: tuple[Backtest, Attachment] | None,
    store: StrategyStore,
    now: datetime,
) -> bool:
    """Disable an active strategy, or remind people of a pinned one; return whether it was disabled."""
    if one.state is StrategyState.DISABLED:
        return False
    is_active = one.state is StrategyState.ACTIVE
    message = write_failure(one, failures, done, now)
    if not is_active:
        store.tell(message)
        return False
    why = f"validation of {now:%Y-%m-%d}: {'; '.join(failures)}"
    return store.disable(one, why, message, now)


def write_failure(
    one: StoredStrategy, failures: Sequence[str], done: tuple[Backtest, Attachment] | None, now: datetime
) -> Message:
    """Write the message of a strategy that fails: the numbers, and what to do next."""
    is_active = one.state is StrategyState.ACTIVE
    lines = [f"{failure}." if not failure.endswith(".") else failure for failure in failures]
    if done is not None:
        tested, _ = done
        opened_at = tested.candles.opened_at
        days = f"{opened_at[0].astype('datetime64[D]')} to {opened_at[-1].astype('datetime64[D]')}"
        lines.append(
            f"Tested {days} on {len(tested.candles.symbols)} symbols, {tested.candles.timeframe}, parameters version "
            f"{one.version}: {describe_numbers(tested.metrics)}. Buying and holding them: "
            f"{100 * tested.metrics.held.total_return:.1f} %."
        )
    lines.append(_advise(one.name, is_active=is_active))
    key = f"{now:%Y-%m-%dT%H:%M}" if is_active else f"pinned:{now:%G-%V}"
    return Message(
        type=MessageType.STRATEGY,
        severity=Severity.WARNING,
        title=f"⚠️ Strategy {one.name} {TITLES[is_active]}: {failures[0]}"[:120],
        body="\n".join(lines),
        deduplication_key=f"strategy:validation:{one.name}:{one.version}:{key}",
        created_at=now,
        attachments=(done[1],) if done is not None else (),
    )


def _advise(name: str, *, is_active: bool) -> str:
    run = f"run set-strategy-state with strategy {name} and state"
    if is_active:
        after = f"{name} gives no signals from now on; nothing steps in for it."
        return f"{after}\nWhat to do: nothing, or {run} pinned to use it all the same."
    after = "It goes on giving signals because it is pinned."
    return f"{after}\nWhat to do: {run} disabled, or active to let validation decide."
