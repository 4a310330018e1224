"""What a fee was worth in quote when it was paid."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

from lib.portfolio.fills import Fill
from lib.portfolio.money import EXACT
from lib.portfolio.quotes import Quotes
from lib.portfolio.stores import MarketFacts

UNKNOWN = "no price known yet"
MINUTE = "%Y-%m-%d %H:%M UTC"


def value_fees(fills: Sequence[Fill], market: MarketFacts, quotes: Quotes) -> dict[str, tuple[Decimal | None, str]]:
    """Return each fill's fee in quote and what priced it, by the fill's key.

    A fee in quote is its own value, one in base is valued at the fill's price. One in a third asset (BNB) is valued at
    the close of that asset's newest candle closed before the fill, if that closed within the day before it, else at the
    current price; without either the value is None and the fee waits.
    """
    values: dict[str, tuple[Decimal | None, str]] = {}
    third: dict[str, list[Fill]] = {}
    with localcontext(EXACT):
        for fill in fills:
            if fill.fee_asset == fill.quote or not fill.fee:
                values[fill.key] = fill.fee, "quote"
            elif fill.fee_asset == fill.base:
                values[fill.key] = fill.fee * fill.price, "fill"
            else:
                third.setdefault(f"{fill.fee_asset}/{fill.quote}", []).append(fill)
        for symbol, paid in third.items():
            values |= _value_third(symbol, paid, market, quotes)
    return values


def _value_third(
    symbol: str, fills: Sequence[Fill], market: MarketFacts, quotes: Quotes
) -> dict[str, tuple[Decimal | None, str]]:
    historic = market.load_prices_before(symbol, sorted({fill.filled_at for fill in fills}))
    current = quotes.find(symbol)
    values: dict[str, tuple[Decimal | None, str]] = {}
    for fill in fills:
        if (candle := historic.get(fill.filled_at)) is not None:
            values[fill.key] = fill.fee * candle.price, f"candle {candle.timeframe} closed {candle.closed_at:{MINUTE}}"
        elif current is not None:
            values[fill.key] = fill.fee * current, f"price at {quotes.at:{MINUTE}}"
        else:
            values[fill.key] = None, UNKNOWN
    return values
