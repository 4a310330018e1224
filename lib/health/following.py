"""From record to record: which problems begin, which stand, and which are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from lib.health.bounds import Breach
from lib.health.figures import Problem
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.results import render_count

MOST_NAMED = 3


class Followed(NamedTuple):
    """What became of the problems: all that are on record now, those that begin, and those that are over."""

    problems: tuple[Problem, ...]
    begun: tuple[Problem, ...]
    over: tuple[Problem, ...]


def follow(before: Sequence[Problem], breaches: Sequence[Breach], now: datetime) -> Followed:
    """Compare what is out of bounds with what was an hour ago.

    A problem is over when two records in a row do not have it: a figure that swings around its bound is told once.

    Args:
        before: The problems of the record before.
        breaches: What is out of bounds now.
        now: UTC.
    """
    known = {one.key: one for one in before}
    found = {one.key for one in breaches}
    standing = [
        Problem(key=one.key, what=one.what, remedy=one.remedy, since=known[one.key].since if one.key in known else now)
        for one in breaches
    ]
    absent = [one for one in before if one.key not in found]
    gone = [one.model_copy(update={"is_gone": True}) for one in absent if not one.is_gone]
    return Followed(
        problems=(*standing, *gone),
        begun=tuple(one for one in standing if one.key not in known),
        over=tuple(one for one in absent if one.is_gone),
    )


def write_messages(followed: Followed, now: datetime) -> list[Message]:
    """Return what people are told: one warning about what begins, one about what is over; nothing of what lasts."""
    messages = []
    if followed.begun:
        lines = "\n".join(f"- {one.what}. What to do: {one.remedy}." for one in followed.begun)
        body = f"{lines}\nYou are told again when something else is, and once when this is over; `fks status` has all."
        messages.append(_compose(f"Out of bounds: {_name(followed.begun)}", body, "begun", followed.begun, now))
    if followed.over:
        lines = "\n".join(f"- since {one.since:%Y-%m-%d %H:%M} UTC: {one.what}." for one in followed.over)
        body = f"It was:\n{lines}\nWhat to do: nothing; this is the all-clear."
        messages.append(
            _compose(f"Within bounds again: {_name(followed.over)}", body, "over", followed.over, now, is_over=True)
        )
    return messages


def _name(problems: Sequence[Problem]) -> str:
    """Name three of them: the headline is all that a phone shows."""
    more = len(problems) - MOST_NAMED
    names = ", ".join(one.key for one in problems[:MOST_NAMED])
    return f"{names} and {render_count(more, 'others')}" if more > 0 else names


def _compose(
    headline: str, body: str, step: str, problems: Sequence[Problem], now: datetime, *, is_over: bool = False
) -> Message:
    key = f"health {step}:{now:%Y-%m-%d %H:%M:%S}:{problems[0].key}"
    return compose(MessageType.OPERATIONS, Severity.WARNING, headline, body, key=key, at=now, is_over=is_over)
