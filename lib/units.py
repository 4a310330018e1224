"""Instants and numbers: the few conversions that everything shares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the UTC instant of Unix milliseconds, exactly (no float on the way)."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(instant: datetime) -> int:
    """Return Unix milliseconds of an aware instant, rounded down.

    Raises:
        ValueError: When the instant is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"Expected an aware instant, was {instant!r}. Attach a time zone.")
    return (instant - EPOCH) // timedelta(milliseconds=1)


def to_utc(instant: datetime) -> datetime:
    """Return the instant in UTC; one without a time zone, as a form may send it, is UTC."""
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def to_decimal(value: float | int | str | Decimal) -> Decimal:
    """Cross from float to Decimal by the shortest text that reads back as the same float.

    This is the only such crossing: ``to_decimal(0.1) == Decimal("0.1")``.

    Raises:
        ValueError: When the value is not a finite number.
    """
    number = Decimal(str(value)) if not isinstance(value, Decimal) else value
    if not number.is_finite():
        raise ValueError(f"Expected a finite number, was {value!r}.")
    return number


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `value` (for `value` >= 0, `step` > 0).

    >>> floor_to_step(Decimal("1.2345"), Decimal("0.01"))
    Decimal('1.23')
    """
    return (value / step).to_integral_value(rounding=ROUND_DOWN) * step


def format_money(amount: Decimal, asset: str = "USDT") -> str:
    """Render an amount for people: two decimals, thousands separated, sign kept."""
    return f"{amount:,.2f} {asset}"
