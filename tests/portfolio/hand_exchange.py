"""A small exchange in memory whose trades a test makes by hand; it keeps its own balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from lib.balances.flows import CashFlow
from lib.portfolio.fills import Balance, Fill, Side
from tests.portfolio.samples import ACCOUNT, START, make_fill


class HandClock:
    """A clock that the test moves."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def pass_time(self, **how_long: float) -> None:
        self._now += timedelta(**how_long)


class HandExchange:
    """One account on one exchange.

    Attributes:
        prices: What `fetch_prices` answers.
        asked: Symbols whose fills were asked for, with the first id, since the test last cleared it.
        flows: What `fetch_cash_flows` answers.
        refusing: Errors by symbol, or under "prices", "balances" and "cash flows".
        hidden: Fills that `fetch_fills` does not show (yet).
    """

    name = "hand"
    account = ACCOUNT

    def __init__(self, clock: HandClock, **totals: str) -> None:
        self.clock = clock
        self.totals = {asset: Decimal(total) for asset, total in totals.items()}
        self.fills: list[Fill] = []
        self.flows: list[CashFlow] = []
        self.prices: dict[str, Decimal] = {}
        self.asked: list[tuple[str, int]] = []
        self.refusing: dict[str, Exception] = {}
        self.hidden: set[str] = set()

    def trade(self, side: str, quantity: str, price: str, fee: str = "0 USDT", symbol: str = "SOL/USDT") -> Fill:
        """Trade at the present instant and settle it in the balances."""
        number = sum(fill.symbol == symbol for fill in self.fills) + 1
        fill = make_fill(side, quantity, price, fee, symbol, number)
        fill = replace(fill, account=self.account, filled_at=self.clock.now())
        self.fills.append(fill)
        sign = 1 if fill.side is Side.BUY else -1
        self.deposit(fill.base, sign * fill.quantity)
        self.deposit(fill.quote, -sign * fill.quantity * fill.price)
        self.deposit(fill.fee_asset, -fill.fee)
        return fill

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Change a balance without a fill; a negative amount withdraws."""
        self.totals[asset] = self.totals.get(asset, Decimal(0)) + amount

    def price(self, **by_base: str) -> None:
        """Set prices against USDT: ``price(SOL="100")``."""
        self.prices |= {f"{base}/USDT": Decimal(price) for base, price in by_base.items()}

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        self._refuse("prices")
        return dict(self.prices)

    async def fetch_balances(self) -> Mapping[str, Balance]:
        self._refuse("balances")
        return {asset: Balance(asset, total, Decimal(0)) for asset, total in self.totals.items() if total > 0}

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        self.asked.append((symbol, from_id))
        self._refuse(symbol)
        return [
            fill
            for fill in self.fills
            if fill.symbol == symbol and fill.fill_id >= from_id and fill.key not in self.hidden
        ]

    async def fetch_cash_flows(self, since: datetime) -> Sequence[CashFlow]:
        self._refuse("cash flows")
        return [flow for flow in self.flows if flow.at >= since]

    async def fetch_time(self) -> datetime:
        return self.clock.now()

    async def close(self) -> None:
        """Nothing is open."""

    def _refuse(self, what: str) -> None:
        if what in self.refusing:
            raise self.refusing[what]
