"""Analyzing the risk of an account, and telling people when it is HIGH."""

from __future__ import annotations

from datetime import datetime

from lib.market.matrix import CandleHistory
from lib.portfolio.state import AccountState
from lib.ports import Clock
from lib.results import Item, Status, calc_status
from lib.risk.alarm import AlarmStep
from lib.risk.drawdown import EquityStore
from lib.risk.measures import RiskMeasures, measure_risk
from lib.risk.messages import write_risk
from lib.risk.options import RiskOptions
from lib.risk.report import RiskResult
from lib.risk.rules import Cause, RiskAssessment, assess_risk, describe_rule
from lib.risk.stores import RiskSnapshot, RiskStore

TASK = "analyze_risk"
TOLD = {
    AlarmStep.RAISE: "people are told",
    AlarmStep.WORSEN: "people are told what else makes it HIGH",
    AlarmStep.REPEAT: "people are told again",
    AlarmStep.END: "people are told that it is over",
}


def analyze_risk(
    *,
    account: str,
    state: AccountState | None,
    history: CandleHistory,
    equity: EquityStore,
    store: RiskStore,
    clock: Clock,
    options: RiskOptions,
) -> RiskResult:
    """Apply the rules to an account, measure what it may lose, store both, and tell people of HIGH risk.

    * People are told when risk becomes HIGH, when another rule or another symbol makes it HIGH too, again after
      `options.realert` while it stays, and once when it is over. MEDIUM and LOW are in the result only.
    * It is over when it would not be HIGH at the lower `options.clear_limits` either, every position has a price and
      the state is current: what is not known never gives the all-clear. So it is with each of several causes: one that
      was over and comes back is told again.
    * The message is stored in one transaction with what was noted of it and with the snapshot, and one run of an
      account waits for the other: nothing is told twice, and nothing is lost with a process that is killed.

    Args:
        account: Name of the account.
        state: What it holds; None when nothing is known of it yet, which is reported and changes no alarm.
        history: Daily candles.
        equity: History of the account's equity.
        store: Where snapshots and alarms are, together with the outbox.
        clock: Now.
        options: Limits and what the numbers are made of.

    Raises:
        DatabaseUnavailable: Nothing was stored and nobody told; trying again is safe.
    """
    started_at = clock.now()
    if state is None:
        detail = "nothing is known yet of what it holds, so its risk is not known. update_positions imports it."
        item = Item(name=account, status=Status.SKIPPED, detail=detail)
        return _report((), {}, (item,), started_at, clock.now())
    assessment = assess_risk(state, options.limits)
    measures, failed = measure_risk(state, history=history, equity=equity, now=started_at, options=options)
    snapshot, step = _settle(state, assessment, measures, store, started_at, options)
    counts = {f"{assessment.level} risk": 1, "alerts": int(step is not None)}
    items = (_describe(snapshot, step, options), *failed)
    return _report((snapshot,), counts, items, started_at, clock.now())


def _settle(
    state: AccountState,
    assessment: RiskAssessment,
    measures: RiskMeasures,
    store: RiskStore,
    now: datetime,
    options: RiskOptions,
) -> tuple[RiskSnapshot, AlarmStep | None]:
    """Store the snapshot, and with it the message that is due."""
    standing = _find_standing(state, assessment, now, options)
    with store.open_risk(state.account) as book:
        alarm = book.load_alarm()
        if standing is not None:
            alarm = alarm.keep(standing)
        causes, is_over = assessment.high_causes, standing is not None and not standing
        step = alarm.find_step(causes, is_over=is_over, now=now, realert=options.realert)
        if step is not None:
            book.record(write_risk(step, alarm, state, assessment, measures, options, now))
            alarm = alarm.take(step, causes, now)
        snapshot = RiskSnapshot(now, state, assessment, options.limits, measures, alarm)
        book.save(snapshot)
    return snapshot, step


def _find_standing(
    state: AccountState, assessment: RiskAssessment, now: datetime, options: RiskOptions
) -> frozenset[Cause] | None:
    """Return what would make it HIGH at the lower limits; an alarm ends with nothing. None where that is not known."""
    is_known = not assessment.unpriced_positions and options.is_current(state, now)
    return assess_risk(state, options.clear_limits).high_causes if is_known else None


def _describe(snapshot: RiskSnapshot, step: AlarmStep | None, options: RiskOptions) -> Item:
    state, assessment = snapshot.state, snapshot.assessment
    parts = [f"{assessment.level}", *(describe_rule(one, state.quote_asset) for one in assessment.fired)]
    if assessment.unpriced_positions:
        parts.append(f"no price: {', '.join(assessment.unpriced_positions)}. See why update_positions gave none")
    if assessment.unpriced_assets:
        parts.append(f"not counted, as nothing prices them: {', '.join(assessment.unpriced_assets)}")
    is_current = options.is_current(state, snapshot.at)
    if not is_current:
        parts.append(f"balances and prices are as old as {state.at:%Y-%m-%d %H:%M} UTC, so this may not hold now")
    if outdated := options.find_outdated(state, snapshot.at):
        parts.append(f"counted at an old price: {', '.join(outdated)}")
    if step is not None:
        parts.append(TOLD[step])
    elif snapshot.alarm.raised_at is not None:
        parts.append(f"the alarm of {snapshot.alarm.raised_at:%Y-%m-%d %H:%M} UTC stands")
    is_sound = is_current and not assessment.unpriced_positions and state.equity >= 0
    return Item(name=state.account, status=Status.OK if is_sound else Status.PARTIAL, detail="; ".join(parts))


def _report(
    risks: tuple[RiskSnapshot, ...],
    counts: dict[str, int],
    items: tuple[Item, ...],
    started_at: datetime,
    finished_at: datetime,
) -> RiskResult:
    return RiskResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts=counts,
        items=items,
        started_at=started_at,
        finished_at=finished_at,
        risks=risks,
    )
