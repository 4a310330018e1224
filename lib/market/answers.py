"""Reading one answer of the exchange: which candles it holds, and which stretch of time it went over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from lib.errors import BadAnswer
from lib.market.candles import Candle
from lib.market.series import Series
from lib.market.timeframes import calc_newest_closed, floor_to_timeframe
from lib.ports import CandlePage


@dataclass(frozen=True)
class Answer:
    """A valid answer to a request for candles from some instant on.

    Attributes:
        candles: The closed ones, rising.
        rejected: Reasons of impossible closed candles, by open time.
        unusable: Reasons of candles whose time was unusable as well.
        closed_until: Close time of the last closed candle, impossible or not; None without one.
        through: The answer went over every open time before this one: a candle there or later was in it. The running
            candle counts, so this reaches the present where `closed_until` may not.
        proven_from: What is missing before this instant may exist all the same; None without such a doubt.
    """

    candles: tuple[Candle, ...] = ()
    rejected: Mapping[datetime, str] = field(default_factory=dict)
    unusable: tuple[str, ...] = ()
    closed_until: datetime | None = None
    through: datetime | None = None
    proven_from: datetime | None = None

    @property
    def opens(self) -> list[datetime]:
        """Open times of the closed candles."""
        return [candle.opened_at for candle in self.candles]


def read_answer(page: CandlePage, series: Series, *, since: datetime, limit: int, now: datetime) -> Answer:
    """Return what an answer says.

    Args:
        page: The answer; the running candle may be in it, and is left out.
        series: What was asked for.
        since: The open time it was asked from.
        limit: The number of candles it was asked for.
        now: Exchange time.

    Raises:
        BadAnswer: It cannot be the answer to this question; nothing of it may be stored.
    """
    opens = [candle.opened_at for candle in page.candles]
    _check(opens, series, since, now)
    if len(opens) + len(page.rejected) > limit:
        raise BadAnswer(f"{series}: expected at most {limit} candles, were {len(opens) + len(page.rejected)}.")
    newest_closed = calc_newest_closed(now, series.timeframe)
    usable = {at: reason for at, reason in page.rejected if at is not None and _is_usable(at, series, since, now)}
    rejected = {at: reason for at, reason in usable.items() if at <= newest_closed}
    closed = tuple(candle for candle in page.candles if candle.opened_at <= newest_closed)
    ends = [*rejected, *(candle.opened_at for candle in closed[-1:])]
    shown = [*usable, *opens[-1:]]
    return Answer(
        candles=closed,
        rejected=rejected,
        unusable=tuple(reason for at, reason in page.rejected if at not in usable),
        closed_until=max(ends) + series.width if ends else None,
        through=min(max(shown), newest_closed) + series.width if shown else None,
        proven_from=page.proven_from,
    )


def _is_usable(opened_at: datetime, series: Series, since: datetime, now: datetime) -> bool:
    """Return whether an impossible candle's time can be believed."""
    return since <= opened_at <= now and opened_at == floor_to_timeframe(opened_at, series.timeframe)


def _check(opens: list[datetime], series: Series, since: datetime, now: datetime) -> None:
    for before, after in pairwise(opens):
        if after <= before:
            raise BadAnswer(f"{series}: candles out of order, {after.isoformat()} after {before.isoformat()}.")
    if opens and opens[0] < since:
        raise BadAnswer(f"{series}: asked from {since.isoformat()}, was given {opens[0].isoformat()}.")
    if opens and opens[-1] > now + series.width:
        raise BadAnswer(f"{series}: candle {opens[-1].isoformat()} is from the future; it is {now.isoformat()}.")
