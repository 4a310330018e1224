"""Where an account's equity should be: cash, mains, alts, and what is held besides.

The total comes first: equity less the cash reserve, less what is held besides and stays, is the capital that is split.
Nothing is worked out on a running sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal, localcontext
from enum import StrEnum

from lib.errors import SettingsError
from lib.portfolio.money import EXACT, SMALLEST

ZERO, ONE = Decimal(0), Decimal(1)


class Bucket(StrEnum):
    """The parts of an account's equity."""

    MAINS = "mains"
    ALTS = "alts"
    OTHER = "other"
    CASH = "cash"


@dataclass(frozen=True)
class TargetRules:
    """How an operator wants equity split.

    Attributes:
        mains: Their assets.
        alts: Their assets.
        mains_ratio: Of the invested capital, 0 to 1; the alts get the rest. An empty group leaves all to the other one.
        cash_reserve_ratio: Of equity, at least 0 and below 1.
        weights: Of assets within their group, 1 where none is given: with {"BTC": 2}, two of four parts of the mains
            (BTC, ETH, BNB) are BTC's. 0: none of it is wanted.
        sells_others: Whether what is held besides mains and alts is to be sold; else it stays, and is named.

    Raises:
        SettingsError: They contradict each other, or a weight names something else.
    """

    mains: tuple[str, ...]
    alts: tuple[str, ...]
    mains_ratio: Decimal = Decimal("0.5")
    cash_reserve_ratio: Decimal = Decimal("0.2")
    weights: Mapping[str, Decimal] = field(default_factory=dict)
    sells_others: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.mains_ratio <= 1:
            raise SettingsError(f"Expected a share of the mains from 0 to 1, was {self.mains_ratio}. 0.5 is half.")
        if not 0 <= self.cash_reserve_ratio < 1:
            raise SettingsError(
                f"Expected a cash reserve of at least 0 and below 1, was {self.cash_reserve_ratio}. 0.2 is 20 %."
            )
        if unknown := sorted(set(self.weights) - set(self.universe)):
            raise SettingsError(f"Expected weights of mains and alts only, was also {', '.join(unknown)}. Remove it.")
        if wrong := [name for name, weight in self.weights.items() if not (weight.is_finite() and weight >= 0)]:
            raise SettingsError(f"Expected weights of at least 0, {wrong[0]} was {self.weights[wrong[0]]}. 1 is usual.")
        for bucket, group in ((Bucket.MAINS, self.mains), (Bucket.ALTS, self.alts)):
            if group and not any(self._weight_of(asset) for asset in group):
                raise SettingsError(f"Every weight of the {bucket} is 0. Give at least one of them a weight above 0.")

    @property
    def universe(self) -> tuple[str, ...]:
        """Mains and alts."""
        return self.mains + self.alts

    def bucket_of(self, asset: str) -> Bucket:
        """Return where an asset that is not the cash belongs."""
        if asset in self.mains:
            return Bucket.MAINS
        return Bucket.ALTS if asset in self.alts else Bucket.OTHER

    def calc_shares(self) -> dict[str, Decimal]:
        """Return each asset's share of the invested capital; together exactly 1."""
        mains = ONE if not self.alts else self.mains_ratio if self.mains else ZERO
        with localcontext(EXACT):
            return self._split(self.mains, mains) | self._split(self.alts, ONE - mains)

    def _split(self, group: tuple[str, ...], whole: Decimal) -> dict[str, Decimal]:
        """Split by weight; what rounding leaves goes to the last one that has a weight."""
        total = sum((self._weight_of(asset) for asset in group), ZERO)
        shares = {
            asset: (whole * self._weight_of(asset) / total).quantize(SMALLEST, rounding=ROUND_DOWN) for asset in group
        }
        if group:
            last = [asset for asset in group if self._weight_of(asset)][-1]
            shares[last] += whole - sum(shares.values(), ZERO)
        return shares

    def _weight_of(self, asset: str) -> Decimal:
        return self.weights.get(asset, ONE)


@dataclass(frozen=True)
class Targets:
    """Target weights, ratios of equity; together exactly 1.

    Attributes:
        assets: Of mains and alts.
        other: Of what is held besides and stays.
        cash: The reserve; less where what stays leaves no room for it.
    """

    assets: Mapping[str, Decimal]
    other: Decimal
    cash: Decimal


def calc_targets(rules: TargetRules, kept: Decimal = ZERO) -> Targets:
    """Return the target weights.

    With a reserve of 20 %, mains and alts get 40 % each: of three mains 13.33 %, of seven alts 5.71 %. When 10 % is
    held besides and stays, 70 % is left to split.

    Args:
        rules: How equity is to be split.
        kept: What is held besides and stays, ratio of equity.
    """
    with localcontext(EXACT):
        invested = max(ZERO, ONE - rules.cash_reserve_ratio - kept)
        assets = {asset: invested * share for asset, share in rules.calc_shares().items()}
        return Targets(assets, kept, ONE - kept - invested)
