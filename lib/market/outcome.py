"""What a run did for one series, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lib.errors import FksError, RetryableError, SymbolHalted, UnknownSymbol
from lib.market.series import Series
from lib.results import Item, Status, render_count

FRESH = "fresh"


def describe_error(error: Exception) -> str:
    """Return what to tell about an error; one that nobody foresaw is named as such."""
    if isinstance(error, FksError):
        return str(error)
    return f"Unexpected {type(error).__name__}: {error}. The log has the traceback."


@dataclass
class Outcome:
    """What was done so far.

    Attributes:
        inserted: New candles.
        revised: Stored candles that the exchange gave with other values.
        gaps_found: Runs of candles noticed to be missing.
        verified_absent: Runs of candles found not to exist on the exchange.
        rejected: Open time and reason of impossible candles.
        archived: Candles of the window asked for that are in the archive, and were left there.
        late_since: Close time of the first closed candle that the exchange does not show yet.
        is_unfinished: Long work was cut short and goes on in the next run.
        skipped: Why nothing was done.
        error: Why it failed.
    """

    inserted: int = 0
    revised: int = 0
    gaps_found: int = 0
    verified_absent: int = 0
    rejected: list[str] = field(default_factory=list)
    archived: int = 0
    late_since: datetime | None = None
    is_unfinished: bool = False
    skipped: str | None = None
    error: Exception | None = None

    @property
    def is_about_symbol(self) -> bool:
        """Whether it failed because of the symbol itself."""
        return isinstance(self.error, UnknownSymbol | SymbolHalted)

    @property
    def is_late(self) -> bool:
        """Whether it is well but for the newest closed candle, which is missing."""
        return self.late_since is not None and self.error is None and not self.rejected

    def to_item(self, series: Series, *, now: datetime, settle: timedelta) -> Item:
        """Return the item to report.

        A late candle is normal within seconds of its close; after `settle` it is a failure. An impossible candle is a
        failure too, of a part when something else was stored.
        """
        if problem := self.find_problem(now=now, settle=settle):
            is_part = self.error is None and self.inserted > 0
            status = Status.PARTIAL if is_part else Status.FAILED
            return Item(
                name=str(series), status=status, detail=problem, retryable=isinstance(self.error, RetryableError)
            )
        if self.skipped is not None:
            return Item(name=str(series), status=Status.SKIPPED, detail=self.skipped)
        if self.inserted or self.revised or self.verified_absent or self.is_unfinished:
            return Item(name=str(series), status=Status.OK, detail=self._describe())
        if self.archived:
            return Item(name=str(series), status=Status.SKIPPED, detail=self._describe())
        if self.late_since is not None:
            return Item(
                name=str(series), status=Status.SKIPPED, detail="late: the newest closed candle is not there yet"
            )
        return Item(name=str(series), status=Status.SKIPPED, detail=FRESH)

    def find_problem(self, *, now: datetime, settle: timedelta) -> str | None:
        """Return what a person should know went wrong, or None."""
        if self.error is not None:
            return describe_error(self.error)
        if self.rejected:
            more = f"; and {len(self.rejected) - 3} more" if len(self.rejected) > 3 else ""
            return f"Impossible candles were not stored: {'; '.join(self.rejected[:3])}{more}."
        if self.late_since is not None and now - self.late_since >= settle:
            return f"The exchange shows no candle that closed at {self.late_since.isoformat()} or later."
        return None

    def _describe(self) -> str:
        """Say what is out of the ordinary; one new candle, as expected, needs no words."""
        words = [
            render_count(self.inserted, "new candles") if self.inserted > 1 else "",
            render_count(self.revised, "revised") if self.revised else "",
            render_count(self.gaps_found, "gaps found") if self.gaps_found else "",
            render_count(self.verified_absent, "verified absent") if self.verified_absent else "",
            f"{self.archived:,} in the archive (restore-archive brings them back)" if self.archived else "",
            "late: the newest closed candle is not there yet" if self.late_since else "",
            "history goes on in the next run" if self.is_unfinished else "",
        ]
        return ", ".join(word for word in words if word)


def find_silent(outcomes: Mapping[Series, Outcome]) -> dict[str, datetime]:
    """Return the symbols that lack the newest closed candle of the shortest timeframe, and when their last one closed.

    Longer timeframes tell nothing sooner, and their candles come late more often.
    """
    shortest = min((series.width for series in outcomes), default=None)
    return {
        series.symbol: outcome.late_since - series.width
        for series, outcome in outcomes.items()
        if outcome.late_since is not None and series.width == shortest
    }
