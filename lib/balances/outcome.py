"""What a run has done, as items that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from lib.balances.alerts import describe_difference
from lib.balances.breaks import SMALLEST_STEP, Break, BreakState
from lib.balances.picture import Picture
from lib.balances.reading import may_pass
from lib.balances.snapshots import Snapshot
from lib.portfolio.money import format_number
from lib.portfolio.position_report import describe_import
from lib.results import Item, Status, failed_item
from lib.units import format_money


@dataclass(frozen=True)
class Outcome:
    """What a run wrote down.

    Attributes:
        new_flows: How many cash flows are new or changed.
        compared: Whether an earlier opening was there to compare with.
        breaks: Suspected and open ones.
        snapshot: None where there were no prices.
    """

    new_flows: int
    compared: bool
    breaks: Sequence[Break]
    snapshot: Snapshot | None


def list_items(picture: Picture, outcome: Outcome) -> list[Item]:
    """Return what the run did and what it could not do."""
    name = picture.owner.name
    imported = describe_import(name, tuple(picture.reading.asked.reasons), picture.reading.booked)
    return [
        *(item for item in imported if item.status is Status.FAILED),
        _tell_value(picture, outcome),
        _tell_flows(picture, outcome),
        _tell_comparison(picture, outcome),
        *(_tell_break(one, picture.owner.quote_asset) for one in outcome.breaks),
        *_tell_unpriced(picture, outcome.snapshot),
        *_tell_uncovered(picture),
    ]


def _tell_value(picture: Picture, outcome: Outcome) -> Item:
    name, snapshot = f"{picture.owner.name} balance", outcome.snapshot
    if snapshot is None:
        return failed_item(name, picture.quotes.error or RuntimeError("no prices"))
    detail = f"equity {format_money(snapshot.equity, picture.owner.quote_asset)}"
    if snapshot.day_pnl is None:
        detail += "; the day's profit is unknown: something had a price at only one end of it"
    return Item(name=name, status=Status.OK, detail=detail)


def _tell_flows(picture: Picture, outcome: Outcome) -> Item:
    name, error = f"{picture.owner.name} cash flows", picture.reading.flows_error
    if error is None:
        status = Status.OK if outcome.new_flows else Status.SKIPPED
        return Item(name=name, status=status, detail=f"{outcome.new_flows} new" if outcome.new_flows else "none new")
    failed = failed_item(name, error)
    if may_pass(error):
        return failed
    remedy = (
        f"{failed.detail} Until deposits and withdrawals can be read (the key's permission to read is enough), each "
        "shows as a break, which someone classifies with classify-break."
    )
    return Item(name=name, status=Status.PARTIAL, detail=remedy)


def _tell_comparison(picture: Picture, outcome: Outcome) -> Item:
    name = f"{picture.owner.name} ledger"
    if not outcome.compared:
        if picture.reading.moving:
            detail = "not compared yet: holdings moved while they were read; the next run begins"
            return Item(name=name, status=Status.SKIPPED, detail=detail)
        return Item(name=name, status=Status.OK, detail="what is held now is where expected holdings begin")
    if may_pass(picture.reading.flows_error):
        return Item(name=name, status=Status.SKIPPED, detail=_tell_outage(picture, outcome.snapshot))
    uncertain = ", ".join(sorted(picture.uncertain))
    if uncertain:
        detail = f"{uncertain} not compared: moved while they were read, or their fills are not known"
        return Item(name=name, status=Status.SKIPPED, detail=detail)
    return Item(name=name, status=Status.OK, detail="compared" if outcome.breaks else "agrees with the exchange")


def _tell_outage(picture: Picture, snapshot: Snapshot | None) -> str:
    detail = "not compared: the cash flows could not be read"
    if snapshot is None or not snapshot.unexplained_value:
        return detail
    value = format_money(snapshot.unexplained_value, picture.owner.quote_asset)
    return f"{detail}; {value} that differ from it are in no profit or loss meanwhile"


def _tell_break(one: Break, quote_asset: str) -> Item:
    is_open = one.state is BreakState.OPEN
    detail = f"{describe_difference(one.difference, quote_asset)}; a guess: {one.why}"
    if not is_open:
        detail = f"suspected, a fill may still come in: {detail}"
    return Item(
        name=f"{one.account} {one.asset} break", status=Status.PARTIAL if is_open else Status.SKIPPED, detail=detail
    )


def _tell_unpriced(picture: Picture, snapshot: Snapshot | None) -> list[Item]:
    """What had a price once is missed; what never had one is only named."""
    return [
        Item(
            name=f"{picture.owner.name} {name}",
            status=Status.PARTIAL if "/" in name or name in picture.ever_priced else Status.SKIPPED,
            detail="no price, so it is in no value",
        )
        for name in (snapshot.unpriced if snapshot else ())
    ]


def _tell_uncovered(picture: Picture) -> list[Item]:
    """Positions that the account does not wholly hold any more, because a part left and nobody said how."""
    items = []
    for one in picture.held:
        balance = picture.reading.balances.get(one.symbol.partition("/")[0])
        there = balance.total if balance else Decimal(0)
        if one.position.quantity - there >= max(one.position.quantity_step, SMALLEST_STEP):
            detail = (
                f"the position has {format_number(one.position.quantity)}, the account holds {format_number(there)}; "
                "only that counts, but the stop loss watches the whole position until its break is classified"
            )
            items.append(Item(name=f"{one.name} coverage", status=Status.SKIPPED, detail=detail))
    return items
