"""Promoting a candidate: parameters that a search found come into force when the evidence holds; people are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from lib.errors import StrategyRefused
from lib.notifications.messages import Message, MessageType, Severity
from lib.research.backtest import Backtest
from lib.research.verdict import ValidationLimits, describe_numbers, find_failures, find_obstacles
from lib.strategy.registry import STRATEGIES, calc_code_version
from lib.strategy.stores import StoredCandidate, StoredStrategy, StrategyState, StrategyStore

Judge = Callable[[StoredStrategy], Backtest]


def try_promotion(
    one: StoredStrategy,
    candidate: StoredCandidate | None,
    judge: Judge,
    store: StrategyStore,
    limits: ValidationLimits,
    now: datetime,
) -> tuple[bool, str]:
    """Put an active strategy's candidate in force if it passes; return whether it did, and what became of it.

    It must pass what its search says of luck and overfitting, and on recent days the limits that every strategy must.
    The words are empty where there is no candidate to look at.
    """
    if candidate is None or one.state is not StrategyState.ACTIVE or one.name not in STRATEGIES:
        return False, ""
    name = f"candidate version {candidate.version}"
    obstacles = find_obstacles(candidate, calc_code_version(STRATEGIES[one.name]), limits)
    if obstacles:
        return False, f"{name} stays one: {'; '.join(obstacles)}"
    try:
        done = judge(replace(one, version=candidate.version, parameters=candidate.parameters))
    except StrategyRefused as error:
        return False, f"{name} cannot be used: {error}"
    if failures := find_failures(done.metrics, limits):
        return False, f"{name} stays one: {'; '.join(failures)}"
    why = f"validation of {now:%Y-%m-%d}: {name} passes, {describe_numbers(done.metrics)}"
    if not store.promote(one, candidate, why, write_promotion(one, candidate, done, now), now):
        return False, f"{name} passes; the strategy was changed meanwhile, and stays as it is now"
    return True, f"{name} is in force: {describe_numbers(done.metrics)}"


def write_promotion(one: StoredStrategy, candidate: StoredCandidate, done: Backtest, now: datetime) -> Message:
    """Write the message of parameters that changed: which, why, and how to undo it."""
    changed = ", ".join(
        f"{name} {one.parameters.get(name)} → {value}"
        for name, value in candidate.parameters.items()
        if value != one.parameters.get(name)
    )
    metrics = candidate.metrics
    lines = [
        f"Its parameters are now version {candidate.version} instead of {one.version}: {changed}.",
        f"Recently: {describe_numbers(done.metrics)}. Deflated Sharpe {metrics['deflated_sharpe']:.2f} of "
        f"{metrics.get('combinations', 0)} tried, overfitting {100 * metrics['overfitting']:.0f} %.",
        f"What to do: nothing; to stop it, run set-strategy-state with strategy {one.name} and state disabled.",
    ]
    return Message(
        type=MessageType.STRATEGY,
        severity=Severity.WARNING,
        title=f"⚠️ Strategy {one.name} has new parameters: version {candidate.version}",
        body="\n".join(lines),
        deduplication_key=f"strategy:promoted:{one.name}:{candidate.version}",
        created_at=now,
    )
