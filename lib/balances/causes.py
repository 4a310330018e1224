"""What a difference between ledger and exchange looks like: a guess for people, never a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from lib.balances.breaks import Break, Difference

CANCELS_RATIO = Decimal("0.05")  # a trade's fee, or that of turning dust into BNB, is well below


def guess_causes(breaks: Sequence[Break], *, history_known: bool) -> tuple[Break, ...]:
    """Write into each break what it looks like.

    Args:
        breaks: All that an account has now: a trade in a market that is not watched shows in two assets at once.
        history_known: Whether the exchange tells deposits and withdrawals, so that those are not the cause.
    """
    differences = [one.difference for one in breaks]
    return tuple(replace(one, why=_guess(one.difference, differences, history_known)) for one in breaks)


def _guess(difference: Difference, all_of_them: Sequence[Difference], history_known: bool) -> str:
    if others := _find_counterparts(difference, all_of_them):
        names = ", ".join(others)
        gave, got = (difference.asset, names) if difference.amount < 0 else (names, difference.asset)
        return (
            f"it cancels out against {names}: looks like {gave} turned into {got} by a conversion or in a market "
            "that is not watched"
        )
    if difference.amount > 0:
        deposit = "" if history_known else "a deposit (the exchange does not tell them), "
        return f"looks like {deposit}a transfer from another wallet, interest or an airdrop"
    withdrawal = "" if history_known else "a withdrawal (the exchange does not tell them), "
    return f"looks like {withdrawal}a transfer to another wallet or a charge"


def _find_counterparts(difference: Difference, all_of_them: Sequence[Difference]) -> list[str]:
    """Return the assets that gained what this one lost, or the reverse: one of like value, or all together."""
    value = difference.value_quote
    if not value:
        return []
    against = {one.asset: one.value_quote for one in all_of_them if one.value_quote and one.value_quote * value < 0}
    nearest = min(against, key=lambda asset: abs(value + against[asset]), default=None)
    if nearest is not None and _cancels(value, against[nearest]):
        return [nearest]
    along = sum((one.value_quote for one in all_of_them if one.value_quote and one.value_quote * value > 0), Decimal(0))
    return sorted(against) if against and _cancels(along, sum(against.values(), Decimal(0))) else []


def _cancels(one: Decimal, other: Decimal) -> bool:
    return abs(one + other) <= CANCELS_RATIO * max(abs(one), abs(other))
