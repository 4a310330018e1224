"""Accounts to test with, written as a person would note them."""

from __future__ import annotations

from decimal import Decimal

from lib.portfolio.state import AccountState
from tests.portfolio.samples import ACCOUNT, START


def hold(
    cash: str = "0", *, pnl: str = "0", other: str = "0", unpriced: tuple[str, ...] = (), **values: str
) -> AccountState:
    """``hold("2000", SOL="8000")``: 2 000 USDT free and 8 000 USDT worth of SOL."""
    return AccountState(
        account=ACCOUNT,
        quote_asset="USDT",
        at=START,
        cash_free=Decimal(cash),
        cash_locked=Decimal(0),
        market_values={f"{base}/USDT": Decimal(value) for base, value in values.items()},
        other_value=Decimal(other),
        unrealized_pnl=Decimal(pnl),
        unpriced=unpriced,
    )
