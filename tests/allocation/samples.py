"""Accounts and markets to plan for, written as a person would note them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.limits import PlanLimits
from lib.allocation.plan import RebalanceRules
from lib.allocation.targets import TargetRules
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Balance
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AccountState, AssetPrice, Holding
from lib.portfolio.stores import Listing
from tests.portfolio.samples import ACCOUNT, START

MAINS, ALTS = ("BTC", "ETH", "BNB"), ("ADA", "SOL", "DOT", "POL", "AVAX", "LINK", "ATOM")
TARGETS = TargetRules(MAINS, ALTS)
PAIR = TargetRules(("BTC",), ("SOL",))
LIMITS = PlanLimits(timedelta(minutes=30), Decimal(2), Decimal(1), Decimal("0.005"))


def asset(name: str, quantity: str, price: str | None, *, locked: str = "0", is_quoted: bool = True) -> Asset:
    """``asset("SOL", "2", "100")``: two SOL at 100."""
    total = Decimal(quantity)
    return Asset(
        name,
        total,
        total - Decimal(locked),
        Decimal(price) if price is not None else None,
        START if price is not None else None,
        is_quoted=is_quoted and price is not None,
    )


def hold(cash: str, *assets: Asset, locked: str = "0") -> Portfolio:
    """An account with that free cash."""
    return Portfolio(ACCOUNT, "USDT", Decimal(cash), Decimal(locked), {one.name: one for one in assets})


def listing(
    step: str = "0.001",
    *,
    notional: str = "5",
    quantity: str | None = None,
    status: SymbolStatus = SymbolStatus.TRADING,
) -> Listing:
    """A market's filters."""
    return Listing(status, Decimal(step), Decimal("0.01"), Decimal(quantity or step), Decimal(notional))


def pair_rules(fee: str = "0", targets: TargetRules = PAIR, smallest: str = "0.005") -> RebalanceRules:
    """Half BTC, half SOL, 20 % cash."""
    return RebalanceRules(targets, fee_ratio=Decimal(fee), smallest_leg=Decimal(smallest))


def state(cash: str, minutes_old: str = "0", **holdings: str) -> AccountState:
    """``state("1000", SOL="2 @ 100")``: 1 000 USDT and two SOL last seen at 100; "2" alone has no price."""
    seen_at = START - timedelta(minutes=float(minutes_old))
    held = []
    for name, words in holdings.items():
        quantity, _, price = words.partition(" @ ")
        known = AssetPrice(Decimal(price), f"{name}/USDT", seen_at) if price else None
        held.append(Holding(Balance(name, Decimal(quantity), Decimal(0)), known))
    return AccountState(ACCOUNT, "USDT", seen_at, Decimal(cash), Decimal(0), {}, holdings=tuple(held), seen_at=seen_at)


def quotes(**prices: str) -> Quotes:
    """What the exchange answers, by base."""
    return Quotes({f"{base}/USDT": Decimal(price) for base, price in prices.items()}, START)
