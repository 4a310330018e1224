"""The words people get: one emoji a family, a line that says it all, the numbers, and what to do next."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256

from lib.errors import OperatorError
from lib.notifications.cleaning import clean_text
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import Backlog
from lib.results import render_count

FAMILIES = {
    MessageType.SIGNAL: "🚀",
    MessageType.RISK: "⚠️",
    MessageType.STOP_LOSS: "🛑",
    MessageType.REBALANCE: "💼",
    MessageType.REPORT: "📊",
    MessageType.STRATEGY: "⚠️",
    MessageType.OPERATIONS: "⚠️",
}
ALL_CLEAR = "✅"  # what people were told of is over
LONGEST_HEADLINE = 80


def compose(
    kind: MessageType,
    severity: Severity,
    headline: str,
    body: str,
    *,
    key: str,
    at: datetime,
    is_over: bool = False,
) -> Message:
    """Return a message whose title begins with its family's emoji.

    Args:
        kind: What it is about.
        severity: How much it matters.
        headline: One line without emoji: "STOP LOSS triggered: SOL/USDT".
        body: The numbers that matter and what to do next.
        key: What makes it this event and no other; the family's name is put before it.
        at: When it happened, UTC.
        is_over: What people were told of before is over; the title begins with `ALL_CLEAR` then.

    Raises:
        ValueError: When headline or body is blank.
    """
    if not headline.strip():
        raise ValueError("Expected a headline, was a blank one. Say in one line what happened.")
    sign = ALL_CLEAR if is_over else FAMILIES[kind]
    return Message(kind, severity, f"{sign} {headline}", body, f"{kind}:{key}", at)


def write_note(kind: MessageType, text: str, *, urgent: bool, key: str, at: datetime) -> Message:
    """Return a message in a person's own words; its first line becomes the title.

    Args:
        kind: What it is about.
        text: What to say.
        urgent: Whether a person must see it now.
        key: The flow run's id, so that a retried task says it once.
        at: The time, UTC.

    Raises:
        OperatorError: When the text is blank.
    """
    first = next((line.strip() for line in clean_text(text).splitlines() if line.strip()), "")
    if not first:
        raise OperatorError("Expected a message, was an empty one. Write what people must know.")
    headline = first if len(first) <= LONGEST_HEADLINE else first[: LONGEST_HEADLINE - 1] + "…"
    severity = Severity.URGENT if urgent else Severity.INFO
    return compose(kind, severity, headline, text, key=f"note:{key}", at=at)


def write_clock_off(exchange: str, offset_ms: int, *, at: datetime) -> Message:
    """Return the message that our clock and the exchange's differ; one a day.

    Args:
        exchange: Its name.
        offset_ms: The exchange's clock minus ours, milliseconds.
        at: When it was measured, UTC.
    """
    direction = "behind" if offset_ms > 0 else "ahead"
    body = (
        f"This machine's clock is {abs(offset_ms)} ms {direction} the clock of {exchange}. Requests are corrected.\n"
        "What to do: switch time synchronisation (NTP) on; price ages and schedules follow this machine's clock."
    )
    headline = f"Clock {abs(offset_ms)} ms {direction}"
    key = f"clock:{exchange}:{at:%Y-%m-%d}"
    return compose(MessageType.OPERATIONS, Severity.WARNING, headline, body, key=key, at=at)


def write_channel_refused(channel: str, backlog: Backlog, *, at: datetime) -> Message:
    """Return the urgent message that a channel takes nothing until a person mends something.

    Its key names the day of the oldest message that waits there: what lasts is told once, and what comes and goes at
    most once a day.

    Args:
        channel: Its name.
        backlog: What waits for it, and the reason with the remedy.
        at: When, UTC.
    """
    waiting = (
        f"{render_count(backlog.waiting, 'messages')} for it, the oldest of {backlog.oldest_at:%Y-%m-%d %H:%M} UTC"
    )
    body = (
        f"{backlog.reason.rstrip('.')}.\nWaiting: {waiting}. Urgent ones go to the next channel at once.\n"
        f"What to do: mend that within three days (FKS_CHANNELS__{channel.upper()}__URL). The next runs then deliver "
        "what waits; what is older is given up."
    )
    key = f"channel refused:{channel}:{backlog.oldest_at:%Y-%m-%d}"
    return compose(
        MessageType.OPERATIONS, Severity.URGENT, f"Channel refuses messages: {channel}", body, key=key, at=at
    )


def write_import_failed(what: str, error: str, *, at: datetime) -> Message:
    """Return the urgent message that fills cannot be imported until a person mends something; one a day and reason.

    Numbers in the reason do not count: they may be ids and times, which differ with every try.

    Args:
        what: Whose: "demo fills" of a whole account, "demo SOL/USDT fills" of a symbol.
        error: Why, with the remedy.
        at: When, UTC.
    """
    body = (
        f"{error}\nWhat was bought since is unknown here, so nothing watches it; what was sold still counts as held.\n"
        "What to do: mend that; until then watch these positions on the exchange."
    )
    reason = sha256(re.sub(r"\d+", "", error).encode()).hexdigest()[:12]
    key = f"import:{what}:{at:%Y-%m-%d}:{reason}"
    return compose(MessageType.OPERATIONS, Severity.URGENT, f"Cannot be imported: {what}", body, key=key, at=at)
