"""The rebalance plan: what to sell and what to buy so that an account is at its target, as far as that can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext

from lib.allocation.desk import Desk
from lib.allocation.drift import Allocation, measure_allocation
from lib.allocation.holdings import Portfolio
from lib.allocation.legs import Leg
from lib.allocation.targets import Bucket, TargetRules
from lib.errors import SettingsError
from lib.portfolio.fills import Side
from lib.portfolio.money import EXACT
from lib.portfolio.stores import Listing

ZERO = Decimal(0)
CLOSE_ENOUGH = Decimal("1e-12")  # quote
MOST_ROUNDS = 60


@dataclass(frozen=True)
class RebalanceRules:
    """What an operator may set about rebalancing.

    Attributes:
        targets: How equity is to be split.
        band: What may be off before anything is recommended, ratio of equity.
        smallest_leg: What is not worth a trade, ratio of equity. It also keeps a plan from following another: what the
            fees of one leave over is less.
        fee_ratio: Of a market order's notional; it is counted in cash, also where the exchange takes another asset.
        max_state_age: How old balances may be for a plan.
        alarm_exposure: Invested share of equity above which risk is HIGH; None where nobody watches it.

    Raises:
        SettingsError: One of them makes no sense.
    """

    targets: TargetRules
    band: Decimal = Decimal("0.05")
    smallest_leg: Decimal = Decimal("0.005")
    fee_ratio: Decimal = Decimal("0.001")
    max_state_age: timedelta = timedelta(minutes=30)
    alarm_exposure: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("band", "smallest_leg"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"Expected {name} of rebalancing above 0 and below 1, was {getattr(self, name)}.")
        if not 0 <= self.fee_ratio <= Decimal("0.1"):
            raise SettingsError(f"Expected a fee ratio from 0 to 0.1, was {self.fee_ratio}. 0.001 is 0.1 %.")


@dataclass(frozen=True)
class RebalancePlan:
    """A plan, worked out and not yet decided on.

    Attributes:
        account: Whose.
        quote_asset: Its cash.
        priced_at: The oldest reference price of a leg that is traded, UTC; None without one.
        legs: Sells before buys, each the largest first; those that are skipped keep their place.
        reserve_quote: Cash that it leaves untouched.
        before: The allocation now.
        after: The allocation when every leg is filled at its reference price.
    """

    account: str
    quote_asset: str
    priced_at: datetime | None
    legs: tuple[Leg, ...]
    reserve_quote: Decimal
    before: Allocation
    after: Allocation

    @property
    def trades(self) -> tuple[Leg, ...]:
        """The legs that are traded."""
        return tuple(leg for leg in self.legs if leg.skipped is None)

    @property
    def skipped(self) -> tuple[Leg, ...]:
        """The legs that are not."""
        return tuple(leg for leg in self.legs if leg.skipped is not None)

    @property
    def fees_quote(self) -> Decimal:
        """The fees to be expected."""
        return sum((leg.fee_quote for leg in self.trades), ZERO)

    @property
    def plan_hash(self) -> str:
        """Names what is approved and executed: see `calc_plan_hash`."""
        return calc_plan_hash(self.account, self.quote_asset, self.trades)


def calc_plan_hash(account: str, quote_asset: str, trades: Sequence[Leg]) -> str:
    """Return the SHA-256 of the account and of each trade with its number, side, quantity and reference price.

    Instants are no part of it: the same trades at the same prices are the same plan. Nor are skipped legs.
    """
    legs = [[leg.number, leg.side.value, leg.symbol, _plain(leg.quantity), _plain(leg.price or ZERO)] for leg in trades]
    content = json.dumps(["rebalance-1", account, quote_asset, legs], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(number: Decimal) -> str:
    return f"{number.normalize(EXACT):f}"


def plan_rebalance(portfolio: Portfolio, listings: Mapping[str, Listing], rules: RebalanceRules) -> RebalancePlan:
    """Work out the trades that bring an account to its target; none where nothing is off by more than the band.

    The fees come off first, so that all targets can be met: what is invested afterwards is equity - reserve - what
    stays besides - fees, and each asset gets its share of that. Sells pay for buys. Where cash is short, because a sell
    is skipped, all buys are cut by the same factor.

    Example: 10 000 USDT in cash, SOL and BTC wanted in equal parts, 20 % reserve, no fee: buy 4 000 of each.

    Args:
        portfolio: Cash and assets at one instant; its equity must be above zero.
        listings: The exchange's filters by symbol.
        rules: What the operator wants.
    """
    before = measure_allocation(portfolio, rules.targets, rules.band)
    with localcontext(EXACT):
        reserve = portfolio.equity * rules.targets.cash_reserve_ratio
        legs = _plan_legs(portfolio, listings, rules, reserve) if before.off else ()
        after = portfolio
        for leg in legs:
            quantity = leg.quantity if leg.side is Side.BUY else -leg.quantity
            after = after.move(leg.base, quantity, leg.cash_change)
    return RebalancePlan(
        account=portfolio.account,
        quote_asset=portfolio.quote_asset,
        priced_at=min((leg.priced_at for leg in legs if leg.priced_at and not leg.skipped), default=None),
        legs=legs,
        reserve_quote=reserve,
        before=before,
        after=measure_allocation(after, rules.targets, rules.band),
    )


def _plan_legs(
    portfolio: Portfolio, listings: Mapping[str, Listing], rules: RebalanceRules, reserve: Decimal
) -> tuple[Leg, ...]:
    desk = Desk(portfolio, listings, rules.fee_ratio, portfolio.equity * rules.smallest_leg)
    gaps = _calc_gaps(portfolio, rules, reserve, desk)
    by_size = sorted(gaps, key=lambda name: (-abs(gaps[name]), name))
    sells = [desk.sell(name, -gaps[name]) for name in by_size if desk.is_due(name, -gaps[name])]
    cash = portfolio.cash_free + sum((leg.cash_change for leg in sells), ZERO) - reserve
    buys = desk.buy_all({name: gaps[name] for name in by_size if desk.is_due(name, gaps[name])}, cash)
    return tuple(replace(leg, number=number) for number, leg in enumerate([*sells, *buys], start=1))


def _calc_gaps(portfolio: Portfolio, rules: RebalanceRules, reserve: Decimal, desk: Desk) -> dict[str, Decimal]:
    """Return what each asset lacks to its target after fees, in quote; what it has too much is negative.

    What is invested depends on the fees and they on what is invested; that converges by the fee ratio a round.
    """
    values = {name: asset.value for name, asset in portfolio.assets.items()}
    others = [name for name in values if rules.targets.bucket_of(name) is Bucket.OTHER]
    shares = rules.targets.calc_shares()
    if rules.targets.sells_others:
        shares |= dict.fromkeys(others, ZERO)
    traded = [name for name in shares if desk.find_closed(name) is None]
    capital = portfolio.equity - reserve - sum((values[name] for name in values if name not in shares), ZERO)
    invested = max(ZERO, capital)
    for _ in range(MOST_ROUNDS):
        turnover = sum((abs(invested * shares[name] - values[name]) for name in traded), ZERO)
        last, invested = invested, max(ZERO, capital - rules.fee_ratio * turnover)
        if abs(invested - last) < CLOSE_ENOUGH:
            break
    invested = min(invested, last).quantize(CLOSE_ENOUGH, rounding=ROUND_DOWN)
    return {name: invested * share - values[name] for name, share in shares.items()}
