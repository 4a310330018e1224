"""What a fill costs: a share of what is received, or BNB at a discount."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from lib.simulator.records import Account

EIGHT_DECIMALS = Decimal("0.00000001")
BNB = "BNB"
BNB_SHARE = Decimal("0.75")  # 25 % off the standard commission


@dataclass(frozen=True)
class Fee:
    """An amount of an asset."""

    amount: Decimal
    asset: str


def calc_fee(account: Account, received: Fee, *, is_maker: bool) -> Fee:
    """Return the fee of a fill in the asset it brings."""
    rate = account.maker_rate if is_maker else account.taker_rate
    return Fee(cut_off(received.amount * rate), received.asset)


def calc_bnb_fee(account: Account, quote_quantity: Decimal, bnb_price: Decimal, *, is_maker: bool) -> Fee:
    """Return the discounted fee of a fill in BNB; `bnb_price` is what one BNB costs in the fill's quote asset."""
    rate = account.maker_rate if is_maker else account.taker_rate
    return Fee(cut_off(quote_quantity * rate * BNB_SHARE / bnb_price), BNB)


def cut_off(amount: Decimal) -> Decimal:
    """Return an amount without what lies beyond eight decimals, the precision of every asset."""
    return amount.quantize(EIGHT_DECIMALS, ROUND_FLOOR)


def round_up(amount: Decimal) -> Decimal:
    """Return an amount with eight decimals that is not less."""
    return amount.quantize(EIGHT_DECIMALS, ROUND_CEILING)
