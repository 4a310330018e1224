"""Breaks: what the exchange holds otherwise than the ledger expects.

Expected is what the account held when it was first compared, and everything since: fills and booked cash flows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum

from lib.portfolio.money import EXACT

ZERO = Decimal(0)
SMALLEST_STEP = Decimal("1e-8")  # of an asset whose step is not known; exchanges keep balances to eight decimals
STAYS_OPEN_RATIO = Decimal("0.5")  # of the tolerance: a break that trembles around it is told once


class BreakState(StrEnum):
    """How far a break is.

    `SUSPECTED`: seen, and perhaps only a fill that the exchange shows later than the balance it moved. `OPEN`: seen
    again after the settling time, and told. `RESOLVED`: gone. `ACCEPTED`: an operator has said what it is.
    """

    SUSPECTED = "suspected"
    OPEN = "open"
    RESOLVED = "resolved"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Difference:
    """One asset whose holding is not the expected one.

    Attributes:
        asset: Which.
        expected: By the ledger.
        actual: On the exchange.
        value_quote: Of `amount`, signed; None where the asset has no price.
    """

    asset: str
    expected: Decimal
    actual: Decimal
    value_quote: Decimal | None

    @property
    def amount(self) -> Decimal:
        """What there is more than expected; negative when there is less."""
        with localcontext(EXACT):
            return self.actual - self.expected


@dataclass(frozen=True)
class Break:
    """A difference through time.

    Attributes:
        account: Whose.
        difference: As last seen.
        first_seen_at: With account and asset, its identity.
        last_seen_at: UTC.
        state: How far it is.
        why: What it looks like, for people.
        opened_at: When it was seen to last, and people were told.
        closed_at: When it was resolved or accepted.
    """

    account: str
    difference: Difference
    first_seen_at: datetime
    last_seen_at: datetime
    state: BreakState
    why: str
    opened_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def asset(self) -> str:
        """Which asset differs."""
        return self.difference.asset


@dataclass(frozen=True)
class Judgement:
    """What a comparison makes of the breaks of an account.

    Attributes:
        active: Those that are suspected or open now, as they are then.
        resolved: Those that were open and are gone.
        vanished: Those that were only suspected and are gone, or were of the other direction.
    """

    active: tuple[Break, ...]
    resolved: tuple[Break, ...]
    vanished: tuple[Break, ...]


@dataclass(frozen=True)
class Tolerance:
    """From when on a difference matters.

    Attributes:
        steps: The smallest tradable quantity of each asset, in that asset; a difference up to it is none.
        value_quote: A difference worth less is none, where the asset has a price.
        active: Assets with a break; theirs goes on until it is worth half of that.
    """

    steps: Mapping[str, Decimal]
    value_quote: Decimal
    active: Collection[str]

    def exceeds(self, difference: Difference) -> bool:
        """Tell whether the difference matters."""
        if abs(difference.amount) <= self.steps.get(difference.asset, SMALLEST_STEP):
            return False
        if difference.value_quote is None:
            return True
        least = self.value_quote * (STAYS_OPEN_RATIO if difference.asset in self.active else 1)
        return abs(difference.value_quote) >= least


def find_differences(
    expected: Mapping[str, Decimal],
    actual: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    tolerance: Tolerance,
) -> list[Difference]:
    """Compare holdings by asset; an asset that is missing is held, or expected, with nothing."""
    found = []
    with localcontext(EXACT):
        for asset in sorted({*expected, *actual}):
            should, have = expected.get(asset, ZERO), actual.get(asset, ZERO)
            price = prices.get(asset)
            one = Difference(asset, should, have, None if price is None else (have - should) * price)
            if tolerance.exceeds(one):
                found.append(one)
    return found


def judge_breaks(
    account: str,
    before: Mapping[str, Break],
    differences: Iterable[Difference],
    *,
    uncertain: Collection[str],
    now: datetime,
    settle: timedelta,
) -> Judgement:
    """Carry the breaks of an account on.

    A difference is suspected when it is first seen, and open when it is there again, in the same direction, after the
    settling time: by then the exchange shows every fill.

    Args:
        account: Whose.
        before: Its suspected and open breaks by asset.
        differences: Those of assets whose comparison is sound.
        uncertain: Assets that moved while they were read, or whose fills are not known: they stay as they are.
        now: UTC.
        settle: The settling time.
    """
    found = {one.asset: one for one in differences if one.asset not in uncertain}
    active: dict[str, Break] = {asset: one for asset, one in before.items() if asset in uncertain}
    vanished = []
    for asset, difference in found.items():
        known = before.get(asset)
        if known and known.state is BreakState.SUSPECTED and known.difference.amount * difference.amount < 0:
            vanished.append(known)
            known = None
        active[asset] = _carry_on(account, known, difference, now, settle)
    gone = [one for asset, one in before.items() if asset not in active]
    return Judgement(
        active=tuple(active[asset] for asset in sorted(active)),
        resolved=tuple(
            replace(one, state=BreakState.RESOLVED, closed_at=now) for one in gone if one.state is BreakState.OPEN
        ),
        vanished=(*vanished, *(one for one in gone if one.state is BreakState.SUSPECTED)),
    )


def _carry_on(account: str, known: Break | None, difference: Difference, now: datetime, settle: timedelta) -> Break:
    if known is None:
        return Break(account, difference, now, now, BreakState.SUSPECTED, "")
    seen = replace(known, difference=difference, last_seen_at=now)
    if known.state is BreakState.SUSPECTED and now - known.first_seen_at >= settle:
        return replace(seen, state=BreakState.OPEN, opened_at=now)
    return seen
