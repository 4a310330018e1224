"""Exact arithmetic for money: how many digits are kept, and where anything is rounded at all."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, localcontext

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Sixty digits: products and sums of prices and quantities are exact (the default's 28 can lose their end)."""

SMALLEST = Decimal("1e-18")
"""Divisions end at eighteen decimals; products, sums and differences are never rounded."""


def share_of(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return ``amount * part / whole``, cut towards zero at `SMALLEST`.

    The other share is ``amount - share_of(...)``, so both add up to the amount to the last digit, and what remains of
    a cost is never negative.

    >>> share_of(Decimal(100), Decimal(1), Decimal(3))
    Decimal('33.333333333333333333')
    """
    with localcontext(EXACT):
        if part == whole:
            return amount
        return (amount * part / whole).quantize(SMALLEST, rounding=ROUND_DOWN)


def format_number(number: Decimal) -> str:
    """Render a price or quantity with all its digits, without trailing zeros or an exponent.

    >>> format_number(Decimal("1500.2500"))
    '1,500.25'
    """
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_average(price: Decimal) -> str:
    """Render a price that was worked out, as an average cost: with cents from 100 on, else with four digits.

    >>> format_average(Decimal("152399.29199934")), format_average(Decimal("0.0123456"))
    ('152,399.29', '0.01235')
    """
    decimals = 2 if abs(price) >= 100 or not price else max(2, 3 - price.adjusted())
    return format_number(round(price, decimals))
