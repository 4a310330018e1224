"""Comparing what the exchange holds with what the ledger expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from lib.balances.alerts import write_break_opened, write_break_resolved
from lib.balances.breaks import Break, BreakState, Difference, Tolerance, find_differences, judge_breaks
from lib.balances.causes import guess_causes
from lib.balances.picture import BalanceOptions, Picture
from lib.balances.reading import may_pass
from lib.balances.stores import AccountRecords
from lib.portfolio.adjustments import Opening
from lib.portfolio.money import EXACT


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found.

    Attributes:
        breaks: Those that are suspected or open now.
        unexplained: The differences that are neither profit nor loss, because nothing explains them yet.
    """

    breaks: tuple[Break, ...] = ()
    unexplained: tuple[Difference, ...] = ()


def compare_holdings(
    records: AccountRecords,
    picture: Picture,
    expected: Mapping[str, Decimal],
    steps: Mapping[str, Decimal],
    options: BalanceOptions,
) -> Comparison:
    """Find, carry on and resolve the breaks of an account, and tell people of those that open or are resolved.

    The fills of what is suspected are asked for again by the next import, in whichever chain, before it can be judged.
    Nothing is judged while the cash flows cannot be read for a passing reason: a deposit would look like a break. But
    while they cannot be read, for whatever reason, every difference is unexplained, also of what is uncertain: each may
    be a deposit, which must not be a profit first and a fall once it is told.

    Args:
        records: The account's, open for writing.
        picture: What was read.
        expected: Holdings by asset, by the ledger.
        steps: The smallest tradable quantity of each asset.
        options: The operator's.
    """
    before = records.load_breaks()
    prices = {asset: price.price for asset, price in picture.prices.items()}
    differences = find_differences(
        expected,
        {asset: balance.total for asset, balance in picture.reading.balances.items()},
        prices,
        Tolerance(steps, options.tolerance_quote, before.keys()),
    )
    if may_pass(picture.reading.flows_error):
        return Comparison(tuple(before.values()), tuple(differences))
    active = _judge(records, picture, before, differences, options)
    flows_known = picture.reading.flows_error is None
    return Comparison(active, tuple(one.difference for one in active) if flows_known else tuple(differences))


def _judge(
    records: AccountRecords,
    picture: Picture,
    before: Mapping[str, Break],
    differences: Sequence[Difference],
    options: BalanceOptions,
) -> tuple[Break, ...]:
    judgement = judge_breaks(
        picture.owner.name,
        before,
        differences,
        uncertain=picture.uncertain,
        now=picture.run_at,
        settle=options.settle,
    )
    guessed = guess_causes(judgement.active, history_known=picture.reading.flows_error is None)
    records.save_breaks(replace(judgement, active=guessed))
    quote_asset = picture.owner.quote_asset
    suspects = [one.asset for one in guessed if one.state is BreakState.SUSPECTED and one.asset != quote_asset]
    records.ask_fills_again([f"{asset}/{quote_asset}" for asset in suspects])
    for one in (one for one in guessed if one.opened_at == picture.run_at):
        records.record(write_break_opened(one, quote_asset, at=picture.run_at))
    for one in judgement.resolved:
        records.record(write_break_resolved(one, quote_asset, at=picture.run_at))
    return guessed


def find_expected(records: AccountRecords, opening: Opening) -> Mapping[str, Decimal]:
    """Return what the ledger expects of each asset: the opening, and all fills and booked cash flows since."""
    expected = dict(opening.quantities)
    with localcontext(EXACT):
        for asset, amount in records.load_changes(opening.at).items():
            expected[asset] = expected.get(asset, Decimal(0)) + amount
    return expected
