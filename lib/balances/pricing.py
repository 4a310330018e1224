"""What one unit of each asset is worth in the quote asset, from one answer with all prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext

from lib.portfolio.money import EXACT, SMALLEST
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import PRICE_LASTS, AssetPrice
from lib.portfolio.valuation import ABSURD_FACTOR, ABSURD_WITHIN

BRIDGES = ("BTC", "ETH", "BNB")
EARNING = "LD"  # Binance lists what is lent in Simple Earn in the spot account: LDUSDT, redeemable one for one


def price_assets(
    assets: Iterable[str],
    quote_asset: str,
    quotes: Quotes,
    known: Mapping[str, AssetPrice],
    bridges: Sequence[str] = BRIDGES,
) -> dict[str, AssetPrice]:
    """Price assets in the quote asset; one that has no price to believe is left out.

    Each by its own market with the quote asset, else through the first bridge that has both markets. A market counts in
    either direction: with USDT/TRY at 40, one TRY is 0.025 USDT. What is lent (LDBNB) and has no market is worth what
    it can be redeemed for. Without any, and where the price is more than ten
    times away from one of the last hour (an exchange's mistake), the last known price stands for a day.

    Args:
        assets: The quote asset itself among them is worth 1.
        quote_asset: "USDT".
        quotes: What the exchange answered.
        known: The last stored price of each.
        bridges: Assets to go through, the first one preferred.
    """
    prices: dict[str, AssetPrice] = {}
    with localcontext(EXACT):
        for asset in assets:
            last = known.get(asset)
            if last is not None and abs(quotes.at - last.at) > PRICE_LASTS:
                last = None
            price = _find_price(asset, quote_asset, quotes, bridges)
            if price is None and asset.startswith(EARNING):
                price = _find_price(asset.removeprefix(EARNING), quote_asset, quotes, bridges)
            if price is None or (last is not None and _is_absurd(price, last)):
                price = last
            if price is not None:
                prices[asset] = price
    return prices


def _find_price(asset: str, quote_asset: str, quotes: Quotes, bridges: Sequence[str]) -> AssetPrice | None:
    if asset == quote_asset:
        return AssetPrice(Decimal(1), "quote", quotes.at)
    if direct := _find_rate(asset, quote_asset, quotes):
        return _to_price(direct[0], direct[1], quotes)
    for bridge in bridges:
        first, second = _find_rate(asset, bridge, quotes), _find_rate(bridge, quote_asset, quotes)
        if first and second:
            return _to_price(first[0] * second[0], f"{first[1]}, {second[1]}", quotes)
    return None


def _find_rate(base: str, quote: str, quotes: Quotes) -> tuple[Decimal, str] | None:
    """Return what one base is worth in quote, and the market that says so."""
    if (price := quotes.find(f"{base}/{quote}")) is not None:
        return price, f"{base}/{quote}"
    if (price := quotes.find(f"{quote}/{base}")) is not None:
        return 1 / price, f"{quote}/{base}"
    return None


def _to_price(price: Decimal, priced_by: str, quotes: Quotes) -> AssetPrice | None:
    """Round what a division made to eighteen decimals; a market's own price has fewer."""
    rounded = price if price == round(price, 18) else price.quantize(SMALLEST)
    return AssetPrice(rounded, priced_by, quotes.at) if rounded else None


def _is_absurd(price: AssetPrice, last: AssetPrice) -> bool:
    is_recent = abs(price.at - last.at) < ABSURD_WITHIN
    return is_recent and not last.price / ABSURD_FACTOR <= price.price <= last.price * ABSURD_FACTOR
