"""Which symbols trade: the exchange's list, refreshed hourly, and the quarantine of those that do not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.errors import BadAnswer, DatabaseUnavailable, EnvironmentRefused, FksError
from lib.market.symbols import Symbol, SymbolGroup, SymbolState, SymbolStatus
from lib.market.writing import WritingDesk
from lib.ports import Exchange

log = logging.getLogger(__name__)

REFRESH_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class SymbolReview:
    """What is on record of the symbols of a run.

    Attributes:
        states: By symbol; one that is missing here was never reviewed, and counts as trading.
        quarantined: Those that this review found not to trade any more.
        released: Those that this review found to trade again.
        asked: Whether the exchange was asked for its list.
        error: Why the list could not be refreshed.
    """

    states: Mapping[str, SymbolState]
    quarantined: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    asked: bool = False
    error: Exception | None = None

    def find_obstacle(self, symbol: str) -> str | None:
        """Return why the symbol is in quarantine, or None when it trades."""
        state = self.states.get(symbol)
        if state is None or state.status is SymbolStatus.TRADING:
            return None
        return f"quarantined: {state.status} on the exchange"


async def review_symbols(
    exchange: Exchange,
    desk: WritingDesk,
    names: Collection[str],
    groups: Mapping[str, SymbolGroup],
    *,
    now: datetime,
    at_once: bool = False,
) -> SymbolReview:
    """Return what is on record of these symbols, asking the exchange when that is older than an hour.

    Args:
        exchange: Asked for its whole list, by one request.
        desk: Stores it, with all filters.
        names: The symbols of this run.
        groups: Main and alt symbols; the others are `other`.
        now: Exchange time.
        at_once: Ask whatever the age, because a symbol has just failed.
    """
    before = await desk.call(desk.session.load_symbols, names)
    if not at_once and all(name in before and _is_recent(before[name], now) for name in names):
        return SymbolReview(before)
    try:
        listed = await exchange.fetch_symbols()
        _check(listed, {name for name, state in before.items() if state.status is SymbolStatus.TRADING})
        missing = [name for name in names if name not in listed]
        await desk.call(desk.session.save_symbols, listed.values(), missing=missing, groups=groups, at=now)
    except (DatabaseUnavailable, EnvironmentRefused):
        raise
    except Exception as error:  # told as the item "symbols"; candles must not wait for a list
        if not isinstance(error, FksError):
            log.exception("The list of symbols failed in a way nobody foresaw")
        return SymbolReview(before, asked=True, error=error)
    after = await desk.call(desk.session.load_symbols, names)
    was_trading = {name for name in names if name not in before or before[name].status is SymbolStatus.TRADING}
    trades = {name for name, state in after.items() if state.status is SymbolStatus.TRADING}
    return SymbolReview(after, frozenset(was_trading - trades), frozenset(trades - was_trading), asked=True)


def _is_recent(state: SymbolState, now: datetime) -> bool:
    return timedelta(0) <= now - state.refreshed_at < REFRESH_EVERY


def _check(listed: Mapping[str, Symbol], traded: Collection[str]) -> None:
    """Refuse a list that would quarantine most of our symbols at once: that is a broken answer, not a market."""
    gone = [name for name in traded if name not in listed or listed[name].status is not SymbolStatus.TRADING]
    if not listed or len(gone) > max(1, len(traded) / 2):
        raise BadAnswer(
            f"The exchange's list of {len(listed)} symbols has {len(gone)} of our {len(traded)} not trading; it is not "
            "believed. If it is right, take these symbols out of the settings."
        )
