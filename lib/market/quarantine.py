"""Which symbols trade: the exchange's list, refreshed hourly, and the quarantine of those that do not.

Binance does not refuse a halted symbol: it goes on answering with the candles until the halt and with the last price.
Its list alone says so. That list is therefore asked for at once when candles fail to come, and in every run for a day
after a halt, because nothing watches the stop losses of a symbol in quarantine.
"""

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
REFRESH_HALTED_EVERY = timedelta(minutes=4)  # less than between two runs
HALTED_LATELY = timedelta(days=1)  # one that is halted for longer may never trade again, and waits for the hour
QUIET_RECHECK = timedelta(minutes=15)


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

    def is_doubtful(self, symbol: str, silent_since: datetime, now: datetime) -> bool:
        """Return whether the exchange should be asked at once about a symbol whose candles stopped.

        It should when its list is older than the end of the last candle. One that it has called trading since is
        simply quiet, and asked about again after `QUIET_RECHECK`: it may have been halted in the meantime.

        Args:
            symbol: Which.
            silent_since: Close time of its last candle.
            now: Exchange time.
        """
        state = self.states.get(symbol)
        return state is None or state.refreshed_at < silent_since or now - state.refreshed_at >= QUIET_RECHECK


async def review_symbols(
    exchange: Exchange,
    desk: WritingDesk,
    names: Collection[str],
    groups: Mapping[str, SymbolGroup],
    *,
    now: datetime,
    at_once: bool = False,
    silent: Collection[str] = (),
) -> SymbolReview:
    """Return what is on record of these symbols, asking the exchange when that is too old.

    Args:
        exchange: Asked for its whole list, by one request.
        desk: Stores it, with all filters.
        names: The symbols of this run.
        groups: Main and alt symbols; the others are `other`.
        now: Exchange time.
        at_once: Ask whatever the age, because a symbol has just failed or fallen silent.
        silent: Those whose candles stopped: of these a list is believed that has them halted, however many they are.
    """
    before = await desk.call(desk.session.load_symbols, names)
    if not at_once and all(name in before and _is_recent(before[name], now) for name in names):
        return SymbolReview(before)
    try:
        listed = await exchange.fetch_symbols()
        _check(listed, {name for name, state in before.items() if state.status is SymbolStatus.TRADING} - set(silent))
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
    is_halted_lately = state.status is SymbolStatus.HALTED and now - state.status_since < HALTED_LATELY
    return timedelta(0) <= now - state.refreshed_at < (REFRESH_HALTED_EVERY if is_halted_lately else REFRESH_EVERY)


def _check(listed: Mapping[str, Symbol], traded: Collection[str]) -> None:
    """Refuse a list that would quarantine most of our symbols at once: that is a broken answer, not a market."""
    gone = [name for name in traded if name not in listed or listed[name].status is not SymbolStatus.TRADING]
    if not listed or len(gone) > max(1, len(traded) / 2):
        raise BadAnswer(
            f"The exchange's list of {len(listed)} symbols has {len(gone)} of our {len(traded)} not trading; it is not "
            "believed. If it is right, take these symbols out of the settings."
        )
