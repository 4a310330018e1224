"""Sections: a report in words and tables, the same for every rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Tone(StrEnum):
    """How a rendering with colours shows something."""

    PLAIN = ""
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"


@dataclass(frozen=True)
class Cell:
    """One field of a table."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Section:
    """A table under a title.

    Attributes:
        title: A few words.
        headers: Of the columns; the first letter says how a column is aligned: "<symbol" left, ">price" right.
        rows: A cell a column.
        notes: Sentences below; all there is where there is no row.
    """

    title: str
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The headers without their alignment."""
        return [header[1:] for header in self.headers]

    @property
    def aligned_right(self) -> list[bool]:
        """Whether each column is."""
        return [header.startswith(">") for header in self.headers]


def make_section(title: str, headers: Sequence[str], rows: Sequence[Sequence[Cell | str]], *notes: str) -> Section:
    """Return a section; plain texts become cells, and one without rows has no columns either."""
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Section(title, tuple(headers) if cells else (), cells, tuple(note for note in notes if note))


def signed(text: str) -> Cell:
    """Return a cell that is good where the text begins with a plus and bad where it begins with a minus."""
    has_value = any(digit in text for digit in "123456789")
    tones = {"+": Tone.GOOD, "-": Tone.BAD}
    return Cell(text, tones.get(text[:1], Tone.PLAIN) if has_value else Tone.PLAIN)


def format_price(price: Decimal | None) -> str:
    """Render a price with two decimals, or with as many as its first four digits take: ``0.4413``."""
    if price is None:
        return "unknown"
    decimals = 2 if abs(price) >= 100 or not price else max(2, 3 - price.adjusted())
    return f"{price:,.{decimals}f}"


def format_value(amount: Decimal) -> str:
    """Render money in the report's quote asset, which is said once above everything."""
    return f"{amount:,.2f}"


def format_amount(amount: Decimal) -> str:
    """Render a quantity with at most eight decimals, without the zeros at its end."""
    text = f"{amount:,.8f}"
    return text.rstrip("0").rstrip(".") or "0"


def format_instant(at: datetime) -> str:
    """``11-22 23:30``: the year is that of the report."""
    return f"{at:%m-%d %H:%M}"
