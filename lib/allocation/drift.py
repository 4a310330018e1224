"""The current allocation against the target: what is off, and by how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, localcontext

from lib.allocation.holdings import Portfolio
from lib.allocation.targets import Bucket, TargetRules, Targets, calc_targets
from lib.portfolio.money import EXACT, SMALLEST

ZERO = Decimal(0)


@dataclass(frozen=True)
class Drift:
    """An asset or a bucket against its target; ratios are of equity.

    Attributes:
        name: "SOL", or the bucket.
        bucket: Where it belongs.
        value: In quote.
        ratio: What it is now.
        target: What it should be.
    """

    name: str
    bucket: Bucket
    value: Decimal
    ratio: Decimal
    target: Decimal

    @property
    def off(self) -> Decimal:
        """How far it is above its target; below it, negative."""
        return self.ratio - self.target


@dataclass(frozen=True)
class Allocation:
    """Where an account's equity is, and where it should be.

    Attributes:
        quote_asset: "USDT".
        equity: In quote, above zero.
        buckets: Mains, alts, other, cash.
        assets: Mains and alts in the operator's order, then what is held besides, the largest first.
        band: What may be off without anything being recommended, ratio of equity.
    """

    quote_asset: str
    equity: Decimal
    buckets: tuple[Drift, ...]
    assets: tuple[Drift, ...]
    band: Decimal

    @property
    def off(self) -> tuple[Drift, ...]:
        """What is off by more than the band, buckets first."""
        return tuple(one for one in self.buckets + self.assets if self.is_off(one))

    def is_off(self, one: Drift) -> bool:
        """Tell whether it is outside the band; at its edge it is not."""
        return abs(one.off) > self.band


def measure_allocation(portfolio: Portfolio, rules: TargetRules, band: Decimal) -> Allocation:
    """Compare an account with its targets; `portfolio.equity` must be above zero.

    10 000 in all, of it 1 900 of SOL with a target of 5.71 %: 13.29 points too much, with a band of 5 that is off.
    """
    with localcontext(EXACT):
        equity = portfolio.equity
        ratios = {name: _ratio(asset.value, equity) for name, asset in portfolio.assets.items()}
        others = {name: ratio for name, ratio in ratios.items() if rules.bucket_of(name) is Bucket.OTHER}
        kept = ZERO if rules.sells_others else sum(others.values(), ZERO)
        targets = calc_targets(rules, kept)
        wanted = dict(targets.assets) | {name: ZERO if rules.sells_others else others[name] for name in others}
        assets = tuple(
            Drift(name, rules.bucket_of(name), portfolio.assets[name].value, ratios[name], wanted[name])
            for name in (*rules.universe, *sorted(others, key=lambda name: (-others[name], name)))
        )
        return Allocation(portfolio.quote_asset, equity, _measure_buckets(portfolio, assets, targets), assets, band)


def _measure_buckets(portfolio: Portfolio, assets: Iterable[Drift], targets: Targets) -> tuple[Drift, ...]:
    sums = dict.fromkeys((Bucket.MAINS, Bucket.ALTS, Bucket.OTHER), (ZERO, ZERO, ZERO))
    for one in assets:
        value, ratio, target = sums[one.bucket]
        sums[one.bucket] = value + one.value, ratio + one.ratio, target + one.target
    cash = portfolio.cash_free + portfolio.cash_locked
    rest = 1 - sum((ratio for _, ratio, _ in sums.values()), ZERO)  # what rounding leaves is cash
    buckets = [Drift(bucket.value, bucket, *sums[bucket]) for bucket in sums]
    return (*buckets, Drift(Bucket.CASH.value, Bucket.CASH, cash, rest, targets.cash))


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return (part / whole).quantize(SMALLEST, rounding=ROUND_DOWN)
