"""What people are told of HIGH risk: the rule that fired, the numbers, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.state import AccountState
from lib.results import render_count
from lib.risk.alarm import AlarmStep, RiskAlarm
from lib.risk.measures import RiskMeasures
from lib.risk.options import RiskOptions
from lib.risk.rules import (
    Cause,
    FiredRule,
    RiskAssessment,
    RiskLevel,
    RiskLimits,
    Rule,
    describe_rule,
    format_limit,
    format_percent,
)
from lib.units import format_money, to_decimal

URGENT_RULES = frozenset({Rule.LOSS, Rule.NO_EQUITY})
SHOWN = 5  # holdings in a message


def write_risk(
    step: AlarmStep,
    alarm: RiskAlarm,
    state: AccountState,
    assessment: RiskAssessment,
    measures: RiskMeasures,
    options: RiskOptions,
    now: datetime,
) -> Message:
    """Write the message of a step of the alarm, as it was before the step.

    A loss beyond its limit is urgent: it grows by itself. Too much in one place is a warning: nothing is lost by
    reading it in the morning. The all-clear is a warning too, so that who was told hears that it is over.
    """
    lines = [f"{one.level}: {describe_rule(one, state.quote_asset)}." for one in assessment.fired]
    if alarm.raised_at is not None:
        verb = "had been" if step is AlarmStep.END else "has been"
        lines.append(f"It {verb} HIGH since {alarm.raised_at:%Y-%m-%d %H:%M} UTC.")
    lines += describe_account(state, assessment, measures)
    if not options.is_current(state, now):
        lines.append(f"Balances and prices are as old as {state.at:%Y-%m-%d %H:%M} UTC.")
    if outdated := options.find_outdated(state, now):
        lines.append(f"Counted at an old price: {', '.join(outdated)}.")
    todo = (
        "nothing; this is the all-clear." if step is AlarmStep.END else _advise(state, assessment, options.clear_limits)
    )
    lines.append(f"What to do: {todo}")
    return compose(
        MessageType.RISK,
        Severity.URGENT if URGENT_RULES & {one.rule for one in assessment.high_causes} else Severity.WARNING,
        _headline(step, alarm, state, assessment),
        "\n".join(lines),
        key=f"{state.account}:{alarm.alerts}:{step}",
        at=now,
        is_over=step is AlarmStep.END,
    )


def _headline(step: AlarmStep, alarm: RiskAlarm, state: AccountState, assessment: RiskAssessment) -> str:
    if step is AlarmStep.END:
        return f"Risk is no longer HIGH: {assessment.level} ({state.account})"
    high = [one for one in assessment.fired if one.level is RiskLevel.HIGH]
    if step is AlarmStep.WORSEN:
        high = [one for one in high if Cause(one.rule, one.symbol) not in alarm.told]
    more = f" and {render_count(len(high) - 1, 'more rules')}" if len(high) > 1 else ""
    opening = {
        AlarmStep.RAISE: "HIGH risk: ",
        AlarmStep.WORSEN: "HIGH risk, now also: ",
        AlarmStep.REPEAT: "Still HIGH risk: ",
    }[step]
    return f"{opening}{describe_rule(high[0], state.quote_asset)}{more} ({state.account})"


def describe_account(state: AccountState, assessment: RiskAssessment, measures: RiskMeasures) -> list[str]:
    """Describe where the money is and what it may lose, a line each."""
    quote = state.quote_asset
    held = sum(state.market_values.values(), Decimal(0))
    parts = [
        f"cash {format_money(state.cash_free + state.cash_locked, quote)}",
        f"positions {format_money(held, quote)}",
    ]
    if state.other_value:
        parts.append(f"other assets {format_money(state.other_value, quote)}")
    word = "loss" if state.unrealized_pnl < 0 else "profit"
    parts.append(f"unrealized {word} {format_money(abs(state.unrealized_pnl), quote)}")
    lines = [f"Equity {format_money(state.equity, quote)}: {', '.join(parts)}."]
    if assessment.shares:
        largest = list(assessment.shares.items())[:SHOWN]
        lines.append(f"Largest holdings: {', '.join(f'{name} {format_percent(share)}' for name, share in largest)}.")
    if unpriced := assessment.unpriced_positions + assessment.unpriced_assets:
        lines.append(f"Without a price, so in no number here: {', '.join(unpriced)}.")
    return lines + _describe_measures(state, measures)


def _describe_measures(state: AccountState, measures: RiskMeasures) -> list[str]:
    lines = []
    if measures.value_at_risk is not None:
        tail = measures.value_at_risk.tail_95
        lines.append(
            f"On 95 of 100 days these holdings lost at most {describe_loss(tail.value_at_risk, state)}; on the others "
            f"{describe_loss(tail.expected_shortfall, state)} on average."
        )
    if measures.drawdown is not None and measures.drawdown.ratio < 0:
        lines.append(f"Below the account's peak: {format_percent(-measures.drawdown.ratio)}.")
    return lines


def describe_loss(ratio: float, state: AccountState) -> str:
    """Render a loss, a ratio of equity: ``3.20 % (320.00 USDT)``."""
    loss = to_decimal(round(ratio, 6))
    return f"{format_percent(loss)} ({format_money(loss * state.equity, state.quote_asset)})"


def _advise(state: AccountState, assessment: RiskAssessment, clear: RiskLimits) -> str:
    high: Sequence[FiredRule] = [one for one in assessment.fired if one.level is RiskLevel.HIGH]
    return "; ".join(dict.fromkeys(_advise_on(one, state, clear) for one in high)) + "."


def _advise_on(fired: FiredRule, state: AccountState, clear: RiskLimits) -> str:
    """Say how much to sell until the alarm ends; a sale turns value into cash, so equity stays (but for the fee)."""
    if fired.rule is Rule.EXPOSURE:
        excess = state.market_value - clear.high_exposure * state.equity
        share = format_limit(clear.high_exposure)
        return f"sell about {format_money(excess, state.quote_asset)} worth to bring exposure to {share}"
    if fired.rule is Rule.POSITION and fired.symbol is not None:
        excess = state.total_values[fired.symbol] - clear.high_position * state.equity
        share = format_limit(clear.high_position)
        return f"sell about {format_money(excess, state.quote_asset)} of {fired.symbol} to bring it to {share}"
    if fired.rule is Rule.LOSS:
        return "decide for each losing position whether to sell it, and give the others stop losses with set-stop-loss"
    return "look at the account on the exchange: balances or prices are missing here"
