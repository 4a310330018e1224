"""Fills to test with, written as a person would note them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from lib.portfolio.fills import BookedFill, Fill, Side
from lib.units import EPOCH

START = EPOCH + timedelta(days=20_000)  # 2024-10-04
ACCOUNT = "demo"


def at(minutes: float) -> datetime:
    """The instant that many minutes after the start."""
    return START + timedelta(minutes=minutes)


def make_fill(
    side: str, quantity: str, price: str, fee: str = "0 USDT", symbol: str = "SOL/USDT", number: int = 1
) -> Fill:
    """``make_fill("buy", "2", "100", "0.2 USDT")``; `number` is the id and the minute."""
    amount, _, asset = fee.partition(" ")
    return Fill(
        account=ACCOUNT,
        symbol=symbol,
        fill_id=number,
        order_id=f"order-{number}",
        side=Side(side),
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(amount),
        fee_asset=asset,
        filled_at=at(number),
    )


def book(fill: Fill, fee_quote: str | None = None, step: str = "0.01") -> BookedFill:
    """Book a fill; the fee's value in quote is worked out for fees in base and quote, and given for others."""
    values = {fill.quote: fill.fee, fill.base: fill.fee * fill.price}
    value = Decimal(fee_quote) if fee_quote is not None else values.get(fill.fee_asset)
    return BookedFill(fill, value, "test", Decimal(step))


def trade(
    side: str,
    quantity: str,
    price: str,
    fee: str = "0 USDT",
    worth: str | None = None,
    *,
    number: int,
    symbol: str = "SOL/USDT",
    step: str = "0.01",
) -> BookedFill:
    """A booked buy or sell; `worth` is the value of a fee in a third asset."""
    return book(make_fill(side, quantity, price, fee, symbol, number), worth, step)


buy, sell = partial(trade, "buy"), partial(trade, "sell")
