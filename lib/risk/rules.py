"""The rules that make an account's risk HIGH, MEDIUM, LOW or NONE, each with its number and its limit.

What is not known never makes the risk look smaller. A position without a price makes it MEDIUM at least, since what is
held is more than what is counted. Assets without a price that are no position (an airdrop that nobody trades) are named
and fire nothing: they would keep an account's risk unknown for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_CEILING, Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from lib.errors import SettingsError
from lib.portfolio.money import EXACT, SMALLEST, format_number
from lib.portfolio.state import AccountState
from lib.units import format_money

ZERO = Decimal(0)


class RiskLevel(StrEnum):
    """How risky an account is. `NONE`: nothing is held."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"

    @property
    def rank(self) -> int:
        """0 for none up to 3 for high."""
        return list(RiskLevel).index(self)


class Rule(StrEnum):
    """What makes risk MEDIUM or HIGH."""

    EXPOSURE = "exposure"
    LOSS = "unrealized loss"
    POSITION = "position"
    UNPRICED = "unpriced"
    NO_EQUITY = "no equity"


class Cause(NamedTuple):
    """What people are told of once: a rule, and the symbol where it is about one asset."""

    rule: Rule
    symbol: str | None = None


@dataclass(frozen=True)
class RiskLimits:
    """Limits as ratios of equity; a rule fires above its limit, not at it.

    Attributes:
        high_exposure: Market value that makes risk HIGH.
        medium_exposure: Market value that makes it MEDIUM.
        high_loss: Unrealized loss that makes it HIGH.
        medium_loss: Unrealized loss that makes it MEDIUM.
        high_position: Market value of a single asset, in a position or not, that makes it HIGH.

    Raises:
        SettingsError: When a limit is not above 0, or a medium limit is above the high one.
    """

    high_exposure: Decimal = Decimal("0.80")
    medium_exposure: Decimal = Decimal("0.50")
    high_loss: Decimal = Decimal("0.10")
    medium_loss: Decimal = Decimal("0.05")
    high_position: Decimal = Decimal("0.20")

    def __post_init__(self) -> None:
        for name, limit in self._by_name().items():
            if not limit.is_finite() or limit <= 0:
                raise SettingsError(f"Expected a risk limit {name} above 0, was {limit}. 0.8 means 80 % of equity.")
        for kind in ("exposure", "loss"):
            medium, high = self._by_name()[f"medium_{kind}"], self._by_name()[f"high_{kind}"]
            if medium > high:
                raise SettingsError(
                    f"Expected the MEDIUM limit of {kind} not above the HIGH one, was {medium} above {high}. Swap them."
                )

    def scale(self, factor: Decimal) -> RiskLimits:
        """Return limits that are `factor` times these."""
        return replace(self, **{name: limit * factor for name, limit in self._by_name().items()})

    def _by_name(self) -> dict[str, Decimal]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class FiredRule:
    """A rule that fired.

    Attributes:
        rule: Which.
        level: What it makes the risk at least.
        value: The number: a ratio of equity; for `UNPRICED` how many positions; for `NO_EQUITY` the equity in quote.
        limit: The limit it is above; for `NO_EQUITY` the one it is not above.
        symbol: Of the asset, where the rule is about one.
    """

    rule: Rule
    level: RiskLevel
    value: Decimal
    limit: Decimal
    symbol: str | None = None


@dataclass(frozen=True)
class RiskAssessment:
    """What the rules say of an account.

    Attributes:
        level: The highest level of the rules that fired; without any, LOW when something is held and NONE when not.
        fired: The rules that fired, highest level first; of one level the loss first.
        exposure_ratio: Market value / equity; None when equity is not above zero.
        loss_ratio: Unrealized loss / equity, 0 for a profit; None when equity is not above zero.
        shares: Market value / equity of each asset, in a position or not, by its symbol, largest first; empty when
            equity is not above zero.
        unpriced_positions: Symbols of positions without a price; what they are worth is in no number here.
        unpriced_assets: Assets without a price that are no position.
    """

    level: RiskLevel
    fired: tuple[FiredRule, ...]
    exposure_ratio: Decimal | None
    loss_ratio: Decimal | None
    shares: Mapping[str, Decimal]
    unpriced_positions: tuple[str, ...] = ()
    unpriced_assets: tuple[str, ...] = ()

    @property
    def high_causes(self) -> frozenset[Cause]:
        """What makes it HIGH."""
        return frozenset(Cause(one.rule, one.symbol) for one in self.fired if one.level is RiskLevel.HIGH)


def assess_risk(state: AccountState, limits: RiskLimits) -> RiskAssessment:
    """Apply the rules to an account.

    Equity 10 000, of it 8 500 in positions: exposure 0.85, which is HIGH above 0.80.

    Equity at or below zero has no ratios: with anything held (also a position without a price, which is then all
    there is) risk is HIGH by `NO_EQUITY`. With nothing held it is NONE.
    """
    positions = tuple(name for name in state.unpriced if "/" in name)
    assets = tuple(name for name in state.unpriced if "/" not in name)
    is_held = bool(state.market_values) or state.market_value > 0 or bool(positions)
    exposure = loss = None
    shares: dict[str, Decimal] = {}
    fired = [FiredRule(Rule.UNPRICED, RiskLevel.MEDIUM, Decimal(len(positions)), ZERO)] if positions else []
    if state.equity > 0:
        exposure = _ratio(state.market_value, state.equity)
        loss = _ratio(max(-state.unrealized_pnl, ZERO), state.equity)
        by_value = sorted(state.total_values.items(), key=lambda item: (-item[1], item[0]))
        shares = {symbol: _ratio(value, state.equity) for symbol, value in by_value}
        fired += _apply(exposure, loss, shares, limits)
    elif is_held:
        fired.append(FiredRule(Rule.NO_EQUITY, RiskLevel.HIGH, state.equity, ZERO))
    lowest = RiskLevel.LOW if is_held else RiskLevel.NONE
    return RiskAssessment(
        level=max([lowest, *(one.level for one in fired)], key=lambda level: level.rank),
        fired=tuple(sorted(fired, key=lambda one: -one.level.rank)),
        exposure_ratio=exposure,
        loss_ratio=loss,
        shares=shares,
        unpriced_positions=positions,
        unpriced_assets=assets,
    )


def _apply(exposure: Decimal, loss: Decimal, shares: Mapping[str, Decimal], limits: RiskLimits) -> list[FiredRule]:
    graded = (
        (Rule.LOSS, loss, limits.high_loss, limits.medium_loss),
        (Rule.EXPOSURE, exposure, limits.high_exposure, limits.medium_exposure),
    )
    fired = []
    for rule, value, high, medium in graded:
        if value > high:
            fired.append(FiredRule(rule, RiskLevel.HIGH, value, high))
        elif value > medium:
            fired.append(FiredRule(rule, RiskLevel.MEDIUM, value, medium))
    for symbol, share in shares.items():
        if share > limits.high_position:
            fired.append(FiredRule(Rule.POSITION, RiskLevel.HIGH, share, limits.high_position, symbol))
    return fired


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    """Return the ratio at eighteen decimals, rounded up: what is above a limit stays above it."""
    with localcontext(EXACT):
        return (part / whole).quantize(SMALLEST, rounding=ROUND_CEILING)


def describe_rule(fired: FiredRule, quote_asset: str) -> str:
    """Render it for people: ``exposure 85.00 % of equity is above 80 %``."""
    if fired.rule is Rule.UNPRICED:
        count = int(fired.value)
        return f"{count} position{'' if count == 1 else 's'} without a price: risk is at least what is shown"
    if fired.rule is Rule.NO_EQUITY:
        return f"equity is {format_money(fired.value, quote_asset)} while something is held"
    name = fired.symbol or fired.rule.value
    return f"{name} {format_percent(fired.value)} of equity is above {format_limit(fired.limit)}"


def format_percent(ratio: Decimal) -> str:
    """Render a ratio as percent, rounded up at two decimals: what is above a limit never looks equal to it."""
    return f"{(100 * ratio).quantize(Decimal('0.01'), rounding=ROUND_CEILING):,.2f} %"


def format_limit(ratio: Decimal) -> str:
    """Render a limit as percent with all its digits: ``80 %``."""
    return f"{format_number(100 * ratio)} %"
