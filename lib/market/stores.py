"""Where market data is kept, as synchronisation needs it.

Every method is one short transaction, and raises `DatabaseUnavailable` when the database is lost: then nothing of the
call was stored. `EnvironmentRefused` says that its disk is full.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lib.market.candles import Candle
from lib.market.gaps import Gap, Span, merge_spans
from lib.market.series import Series, SeriesState, SyncStatus
from lib.market.symbols import Symbol, SymbolGroup, SymbolState
from lib.ports import Written


@dataclass(frozen=True)
class SeriesChange:
    """What one answer changes of a series; stored all or not at all.

    Attributes:
        series: Whose.
        status: The new status; its `candle_count` is the old one, to which the store adds what it inserted.
        candles: Should be new; one that is stored after all is updated where values differ.
        refetched: Stored ones as the exchange gives them now; updated where values differ.
        dropped: Starts of gaps that are no more.
        gaps: Gaps to write, over those that start at the same instant.
    """

    series: Series
    status: SyncStatus
    candles: Sequence[Candle] = ()
    refetched: Sequence[Candle] = ()
    dropped: Sequence[datetime] = ()
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True)
class Inventory:
    """The candles that are really stored in a window.

    Attributes:
        oldest_at: Open time of the first; None without any.
        newest_at: Open time of the last.
        count: How many.
        holes: Open times missing between the first and the last.
    """

    oldest_at: datetime | None
    newest_at: datetime | None
    count: int
    holes: tuple[Span, ...]

    def find_missing(self, window: Span, width: timedelta) -> list[Span]:
        """Return the spans of the window, which was looked at, without a candle."""
        if self.oldest_at is None or self.newest_at is None:
            return [window]
        ends = Span(window.start, self.oldest_at), Span(self.newest_at + width, window.end)
        return merge_spans([*self.holes, *ends])


class SyncSession(Protocol):
    """One connection to the store. Used by one thread at a time; the locks it took end with it, or with its process."""

    def try_lock(self, series: Collection[Series]) -> set[Series]:
        """Take the locks of those that nobody else holds, and return them."""
        ...

    def unlock(self, series: Collection[Series]) -> None:
        """Give locks back."""
        ...

    def load_states(self, series: Collection[Series]) -> Mapping[Series, SeriesState]:
        """Return status and open gaps of each series, empty ones for those never seen."""
        ...

    def load_gaps(self, series: Series, window: Span) -> Sequence[Gap]:
        """Return the gaps that overlap the window, open or not."""
        ...

    def take_inventory(self, series: Series, window: Span) -> Inventory:
        """Look at every stored candle of the window."""
        ...

    def save(self, changes: Sequence[SeriesChange]) -> Mapping[Series, Written]:
        """Store changes of different series together, all or nothing; return what was written of each."""
        ...

    def load_symbols(self, names: Collection[str]) -> Mapping[str, SymbolState]:
        """Return what is on record of these symbols; unknown ones are left out."""
        ...

    def save_symbols(
        self, symbols: Collection[Symbol], *, missing: Collection[str], groups: Mapping[str, SymbolGroup], at: datetime
    ) -> None:
        """Store the exchange's whole list; those not in it, and `missing` ones we asked for, become delisted."""
        ...


class SyncStore(Protocol):
    """Opens sessions."""

    def open_session(self) -> AbstractContextManager[SyncSession]:
        """Connect; the connection is given back at the end, without its locks."""
        ...
