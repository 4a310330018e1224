"""What one file of the archive holds: a month (UTC) of one series' candles or indicators."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from lib.indicators import names
from lib.market.candles import Candle
from lib.market.gaps import Span
from lib.market.series import Series

Row = tuple[Any, ...]  # an open time, then the other columns of its dataset
Rows = Sequence[Row]


class Dataset(StrEnum):
    """What is archived; named as its table."""

    CANDLES = "candles"
    INDICATORS = "indicators"


# Beside symbol and timeframe. The open time comes first; the others are doubles but for those of INTEGERS.
COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    Dataset.CANDLES: Candle._fields,
    Dataset.INDICATORS: ("opened_at", "close", *names.COLUMNS),
}
INTEGERS = {"trade_count"}
COUNTED: Mapping[Dataset, str] = {Dataset.CANDLES: "candles", Dataset.INDICATORS: "indicator rows"}  # for people


class Partition(NamedTuple):
    """One file's content.

    Attributes:
        dataset: Candles or indicators.
        symbol: As "BTC/USDT".
        timeframe: As "5m".
        month: Its first day.
    """

    dataset: Dataset
    symbol: str
    timeframe: str
    month: date

    def __str__(self) -> str:
        return f"{self.dataset} {self.series} {self.month:%Y-%m}"

    @property
    def series(self) -> Series:
        """Whose rows they are."""
        return Series(self.symbol, self.timeframe)

    @property
    def span(self) -> Span:
        """The open times of the month."""
        start = datetime(self.month.year, self.month.month, 1, tzinfo=UTC)
        return Span(start, (start + timedelta(days=31)).replace(day=1))

    def make_path(self, sha256: str) -> str:
        """Return the place of a file, relative to the archive's folder.

        The name holds the content's checksum, so that a file is only ever written over by an equal one.
        """
        folder = quote(self.symbol.replace("/", "-"), safe="")
        return f"{self.dataset}/{self.timeframe}/{folder}/{self.month:%Y-%m}-{sha256[:12]}.parquet"


def floor_to_month(instant: datetime) -> date:
    """Return the first day of the instant's month, UTC."""
    return instant.astimezone(UTC).date().replace(day=1)


def is_same(one: object, other: object) -> bool:
    """Return whether rows are identical; a NaN is like another, and -0.0 is not like 0.0."""
    return repr(one) == repr(other)


def name_source(market_source: str) -> str:
    """Return a folder's name for where the data comes from: candles of two exchanges never meet in one folder."""
    return re.sub(r"[^a-z0-9.]+", "-", market_source.lower()).strip("-")
