"""What people are told of a signal that cannot be reproduced."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.strategy.parity_report import Comparison, Finding

MOST_SINGLE = 12  # differing signals of a day; of more, one message tells of them all
MOST_LINES = 30
REMEDIES = {
    Finding.CORRECTED: (
        "What to do: if you bought by it, look at the stop loss and the take profit of the position; they come from "
        "the price as it was first told. Otherwise nothing."
    ),
    Finding.LATE: (
        "What to do: nothing, if it happens now and then. If it happens every day, see in signal-generation why "
        "candles are not there when signals are given."
    ),
    Finding.DIFFERENT: (
        "What to do: was {strategy}'s code, or FKS_SIGNAL_MIN_SENTIMENT, changed since the signal? Then this is the "
        "change at work. Otherwise candles before it came or changed later: compare them with the exchange (run "
        "backfill-market-data for {symbol}). If neither explains it, run set-strategy-state with strategy {strategy} "
        "and state disabled: what trades is not what was tested."
    ),
}


def write_parity(told: Sequence[Comparison], at: datetime) -> list[Message]:
    """Return a message for each signal, or one for all when there are many; the same ones have the same keys."""
    if len(told) <= MOST_SINGLE:
        return [_write_one(one, at) for one in told]
    keys = sorted(one.key for one in told)
    digest = hashlib.sha256(repr([(*key[2:], key[0], key.opened_at.isoformat()) for key in keys]).encode()).hexdigest()
    lines = [_describe(one) for one in told[:MOST_LINES]]
    if rest := len(told) - MOST_LINES:
        lines.append(f"And {rest} more: see the artifact of strategy-validation.")
    finding = Finding.DIFFERENT if any(one.finding is Finding.DIFFERENT for one in told) else told[0].finding
    remedy = REMEDIES[finding].format(strategy="each strategy", symbol="these symbols")
    return [_compose(f"{len(told)} signals differ when recomputed", [*lines, remedy], finding, digest, at)]


def _write_one(one: Comparison, at: datetime) -> Message:
    key = one.key
    title = f"Signal differs when recomputed: {key.symbol} ({key.strategy.replace('_', ' ')} {key.timeframe})"
    remedy = REMEDIES[one.finding].format(strategy=key.strategy, symbol=key.symbol)
    unique = f"{key.strategy}:{key.symbol}:{key.timeframe}:{key.opened_at:%Y-%m-%dT%H:%MZ}"
    return _compose(title, [_describe(one), remedy], one.finding, unique, at)


def _compose(title: str, lines: Sequence[str], finding: Finding, unique: str, at: datetime) -> Message:
    severity = Severity.WARNING if finding is Finding.DIFFERENT else Severity.INFO
    return compose(MessageType.STRATEGY, severity, title, "\n".join(lines), key=f"parity:{unique}", at=at)


def _describe(one: Comparison) -> str:
    key, version = one.key, one.stored.version if one.stored else "?"
    fields = "; ".join(
        f"{each.field} was {each.stored} and is {each.again}" + (f" ({each.amount})" if each.amount else "")
        for each in one.differences
    )
    why = f" {one.why[:1].upper()}{one.why[1:]}." if one.why else " Nothing that is stored explains it."
    return (
        f"{key.symbol}, {key.strategy.replace('_', ' ')} (parameters version {version}), {key.timeframe} candle of "
        f"{key.opened_at:%Y-%m-%d %H:%M} UTC, recomputed from the stored candles: {fields}.{why}"
    )
