"""One run's picture of an account: what was read, what it is worth, and what is settled by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from lib.balances.pricing import BRIDGES
from lib.balances.reading import Reading
from lib.portfolio.accounts import Account
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AssetPrice
from lib.portfolio.stores import HeldPosition


@dataclass(frozen=True)
class BalanceOptions:
    """What the operator settles.

    Attributes:
        tolerance_quote: A difference between ledger and exchange worth less is no break.
        dust_quote: An asset worth less is listed as dust.
        settle: How long a difference must last before it is a break: an exchange may show a fill late.
        bridges: Assets to price others through, the first one preferred.
    """

    tolerance_quote: Decimal = Decimal(1)
    dust_quote: Decimal = Decimal(1)
    settle: timedelta = timedelta(minutes=10)
    bridges: tuple[str, ...] = BRIDGES


@dataclass(frozen=True)
class Picture:
    """What a run knows of an account before it is written down.

    Attributes:
        owner: The account.
        run_at: The run's full minute, UTC; what it writes carries it.
        reading: From the exchange.
        quotes: All prices.
        held: Open positions after the import, with their valuations.
        prices: Of every asset held or in a break that has one.
        ever_priced: Assets that had a price at some time.
        uncertain: Assets whose holding cannot be compared now.
    """

    owner: Account
    run_at: datetime
    reading: Reading
    quotes: Quotes
    held: Sequence[HeldPosition]
    prices: Mapping[str, AssetPrice]
    ever_priced: frozenset[str]
    uncertain: frozenset[str]
