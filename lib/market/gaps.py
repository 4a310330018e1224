"""Gaps: candles that are not stored, as half-open spans of time.

Pure arithmetic on aligned open times. A gap stays open until enough valid answers of the exchange lacked it and it is
so old that nothing will arrive late; then it is verified absent, and never asked for again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

CONFIRMATIONS = 2  # one answer without a candle may be a glitch
RECHECK_AT_LEAST = timedelta(minutes=5)
RECHECK_AT_MOST = timedelta(days=1)
ABSENT = "not in the exchange's answer"
IN_ARCHIVE = "in the archive"
WITHHELD = "the exchange shows only its newest candles, which begin later"


class Span(NamedTuple):
    """Open times from `start` (inclusive) to `end` (exclusive), both aligned to the timeframe."""

    start: datetime
    end: datetime

    def count(self, width: timedelta) -> int:
        """Return how many candles of this width open in it."""
        return max(0, (self.end - self.start) // width)


class GapState(StrEnum):
    """`OPEN` is asked for again; `VERIFIED_ABSENT` is what the exchange itself does not have.

    `ARCHIVED` was stored and is in the archive now: it is restored from there, never asked for again.
    """

    OPEN = "open"
    VERIFIED_ABSENT = "verified_absent"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Gap:
    """A run of candles that are not stored.

    Attributes:
        span: The missing open times.
        found_at: When it was noticed, exchange time.
        state: Whether it is asked for again.
        reason: Why it is missing, as far as known: absent from an answer, or what was impossible about the candle.
        attempts: Valid answers that lacked it; an impossible candle in its place does not count.
        checked_at: When it was last asked for; None to ask at once.
    """

    span: Span
    found_at: datetime
    state: GapState = GapState.OPEN
    reason: str = ABSENT
    attempts: int = 0
    checked_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether to ask for it now: at first at once, then at intervals that double up to a day."""
        if self.state is not GapState.OPEN:
            return False
        if self.checked_at is None:
            return True
        age = self.checked_at - self.found_at
        return now - self.checked_at >= min(max(age, RECHECK_AT_LEAST), RECHECK_AT_MOST)


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the union as rising spans that neither touch nor overlap; empty ones vanish."""
    merged: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def subtract_spans(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Return what is in `spans` and not in `taken`, rising."""
    holes = merge_spans(taken)
    left: list[Span] = []
    first = 0
    for span in merge_spans(spans):
        start = span.start
        while first < len(holes) and holes[first].end <= start:
            first += 1
        index = first
        while index < len(holes) and holes[index].start < span.end:
            left.append(Span(start, holes[index].start))
            start = holes[index].end
            index += 1
        left.append(Span(start, span.end))
    return [span for span in left if span.start < span.end]


def intersect_spans(spans: Iterable[Span], window: Span) -> list[Span]:
    """Return the part of `spans` inside the window, rising."""
    return merge_spans(Span(max(span.start, window.start), min(span.end, window.end)) for span in spans)


def is_inside(opened_at: datetime, spans: Sequence[Span]) -> bool:
    """Return whether one of these rising, separate spans holds the open time."""
    index = bisect_right(spans, opened_at, key=lambda span: span.start) - 1
    return index >= 0 and opened_at < spans[index].end


def find_missing(opens: Iterable[datetime], window: Span, width: timedelta) -> list[Span]:
    """Return the spans of an aligned window in which no candle opens; `opens` rises, and may reach outside."""
    missing: list[Span] = []
    expected = window.start
    for opened_at in opens:
        if not expected <= opened_at < window.end:
            continue
        if opened_at > expected:
            missing.append(Span(expected, opened_at))
        expected = opened_at + width
    if expected < window.end:
        missing.append(Span(expected, window.end))
    return missing


def plan_request(spans: Sequence[Span], width: timedelta, page: int) -> tuple[datetime, int]:
    """Return the first request for these rising spans: where it starts, and its number of candles.

    It reaches over as many spans as one page holds, and one candle further: only a candle at or behind a gap's end
    shows that the answer went over the gap and did not just stop before it.
    """
    start = spans[0].start
    horizon = start + (page - 1) * width
    end = max(min(span.end, horizon) for span in spans if span.start < horizon)
    return start, (end - start) // width + 1


@dataclass(frozen=True)
class Seen:
    """What a valid answer showed of one series.

    Attributes:
        opens: Rising open times that were received.
        rejected: Reasons of impossible candles by open time; these stay open whatever their age.
        at: Exchange time.
        width: Width of one candle.
        settle: How long after its end a gap may still fill by itself.
        proven_from: What is missing before this instant is no proof of anything; None when all is.
    """

    opens: Sequence[datetime]
    rejected: Mapping[datetime, str]
    at: datetime
    width: timedelta
    settle: timedelta
    proven_from: datetime | None = None


def update_gaps(known: Sequence[Gap], asked: Sequence[Span], seen: Seen) -> list[Gap]:
    """Return the gaps after a valid answer, rising.

    Args:
        known: The gaps before it.
        asked: The open times the answer had to hold and went over; whatever of them was not received is missing.
        seen: The answer.
    """
    missing = [span for part in asked for span in find_missing(seen.opens, part, seen.width)]
    gaps = [replace(gap, span=span) for gap in known for span in subtract_spans([gap.span], asked)]
    for gap in known:
        for span in intersect_spans(missing, gap.span):
            gaps.extend(_judge(gap, span, seen, is_new=False))
    for span in subtract_spans(missing, [gap.span for gap in known]):
        gaps.extend(_judge(Gap(span, seen.at), span, seen, is_new=True))
    return sorted(gaps, key=lambda gap: gap.span)


def _judge(gap: Gap, span: Span, seen: Seen, *, is_new: bool) -> Iterator[Gap]:
    """Yield what is left of a gap in this span, after an answer that did not have it."""
    impossible = [Span(at, at + seen.width) for at in sorted(seen.rejected) if span.start <= at < span.end]
    for part in impossible:
        yield replace(gap, span=part, reason=seen.rejected[part.start], checked_at=None if is_new else seen.at)
    withheld = intersect_spans([span], Span(span.start, seen.proven_from)) if seen.proven_from else []
    for part in withheld:
        yield replace(gap, span=part, reason=WITHHELD, checked_at=seen.at)
    attempts = gap.attempts + 1
    confirmed = attempts >= CONFIRMATIONS
    for part in subtract_spans([span], [*impossible, *withheld]):
        absent = confirmed and part.end + seen.settle <= seen.at
        yield replace(
            gap,
            span=part,
            state=GapState.VERIFIED_ABSENT if absent else GapState.OPEN,
            reason=ABSENT,
            attempts=attempts,
            checked_at=seen.at if confirmed else None,
        )
