"""Saying what a break is: an operator's word becomes a cash flow, and the ledger expects what is there."""

from __future__ import annotations

from dataclasses import replace

from lib.balances.breaks import Break, BreakState
from lib.balances.flows import CashFlow, FlowKind, FlowSource, ValuedFlow
from lib.balances.stores import BalanceStore
from lib.errors import OperatorError
from lib.portfolio.money import format_number
from lib.ports import Clock
from lib.results import Item, Status, TaskResult

TASK = "classify_break"


def classify_break(
    *, account: str, asset: str, kind: FlowKind, note: str, balances: BalanceStore, clock: Clock
) -> TaskResult:
    """Accept an account's break of an asset as a cash flow of its amount, at the time it was first seen.

    A deposit or withdrawal is the owner's money and no profit; a trade in a market that is not watched counts like any
    other; anything else (interest, an airdrop, theft) is profit or loss. The next `sync_account_balance` gives it its
    value and adjusts the position (`lib.portfolio.adjustments`).

    Args:
        account: Whose.
        asset: Of the break.
        kind: What it was.
        note: In the operator's words, kept with the flow.
        balances: Where breaks and cash flows are.
        clock: Ours.

    Raises:
        OperatorError: There is no such break, or the kind contradicts its direction.
    """
    started_at = clock.now()
    with balances.open_records(account) as records:
        known = records.load_breaks()
        if (one := known.get(asset)) is None:
            others = f"It has breaks of {', '.join(known)}." if known else "It has none."
            raise OperatorError(f"Account {account} has no break of {asset}. {others}")
        _check_direction(one, kind)
        flow = CashFlow(
            account=account,
            flow_id=f"break:{asset}:{one.first_seen_at:%Y-%m-%dT%H:%M:%S}",
            kind=kind,
            asset=asset,
            amount=one.difference.amount,
            at=one.first_seen_at,
            is_booked=True,
            source=FlowSource.OPERATOR,
            note=note,
        )
        records.save_flows([ValuedFlow(flow)], started_at)
        records.close_break(replace(one, state=BreakState.ACCEPTED, closed_at=started_at))
    detail = f"{format_number(flow.amount)} {asset} accepted as {kind}; the next sync_account_balance counts it"
    item = Item(name=f"{account} {asset} break", status=Status.OK, detail=detail)
    return TaskResult(
        task=TASK,
        status=Status.OK,
        counts={"breaks accepted": 1},
        items=(item,),
        started_at=started_at,
        finished_at=clock.now(),
    )


def _check_direction(one: Break, kind: FlowKind) -> None:
    fitting = FlowKind.DEPOSIT if one.difference.amount > 0 else FlowKind.WITHDRAWAL
    if kind not in (fitting, FlowKind.TRADE, FlowKind.OTHER):
        direction = "more" if one.difference.amount > 0 else "less"
        raise OperatorError(
            f"There is {direction} {one.asset} than expected, which is no {kind}. "
            f"Expected {fitting}, {FlowKind.TRADE} or {FlowKind.OTHER}."
        )
