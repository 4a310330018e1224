"""What people are told about findings: one message a kind and run, with the orders and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from lib.execution.findings import Finding, FindingKind
from lib.execution.halt import Halt
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.results import render_count

MOST_NAMED = 10


@dataclass(frozen=True)
class _Words:
    """How a kind is told; `{account}` in the headline is filled in."""

    severity: Severity
    headline: str
    body: str


WORDS: Mapping[FindingKind, _Words] = {
    FindingKind.BY_HAND: _Words(
        Severity.INFO,
        "Order placed by hand on {account}",
        "By its name it was placed in the exchange's own app. FKS leaves it alone; what it fills goes into the "
        "ledger.\n"
        "What to do: nothing, if it was you. What an open order holds is not free for the orders of FKS. If nobody "
        "knows it, change the password there and look who is logged in.",
    ),
    FindingKind.BY_PROGRAM: _Words(
        Severity.WARNING,
        "Another program trades on {account}",
        "FKS did not place it, and its name is none of the exchange's own app. FKS leaves it alone; what it fills goes "
        "into the ledger.\n"
        "What to do: nothing, if it is a program of yours. If nobody knows it, run `fks halt`, cancel the order, and "
        "remove the account's API keys there.",
    ),
    FindingKind.LOOKALIKE: _Words(
        Severity.URGENT,
        "Order of another FKS on {account}",
        "Its name begins as those of FKS do, and this database does not know it: another installation trades on this "
        "account, or this database was restored from a backup. Neither knows the other's limits and plans.\n"
        "What to do: run `fks halt`. Stop the other installation, or compare the orders since the backup with the "
        "account there; then `fks release`.",
    ),
    FindingKind.FORGOTTEN: _Words(
        Severity.URGENT,
        "The exchange has lost an order on {account}",
        "The exchange had it, and now neither lists it nor knows its name.\n"
        "Until it has ended, FKS buys nothing on the account, and sells nothing of its symbol.\n"
        "What to do: look at the order history there. When it is gone for good, run the flow withdraw-order with its "
        "name, and order anew.",
    ),
    FindingKind.LEFT: _Words(
        Severity.WARNING,
        "An order was never sent on {account}",
        "The run that wanted it has ended, and the exchange does not have it. Only the flow that wanted it may send "
        "it.\n"
        "What to do: start that flow again with the same plan or order; it carries on, or ends it. If nobody wants it "
        "any more, run the flow withdraw-order with its name.",
    ),
    FindingKind.NOT_IMPORTED: _Words(
        Severity.WARNING,
        "Fills are missing in the ledger of {account}",
        "The exchange told fills of this order when it was placed, and its list of the account's fills still lacks "
        "them. Positions and profit are without them; they are asked for again every run.\n"
        "What to do: see `update_positions` in the runs of critical-path for why they are not imported.",
    ),
    FindingKind.CONTRADICTED: _Words(
        Severity.URGENT,
        "The fills of an order contradict each other on {account}",
        "The exchange's list of the account's fills says otherwise than the order itself.\n"
        "What to do: run `fks halt`, compare the order with the history there, and release when you know which is "
        "right. Positions follow the list of fills.",
    ),
}


def write_findings(findings: Sequence[Finding], at: datetime) -> list[Message]:
    """Return one message of each kind among new findings of one account."""
    kinds = [kind for kind in FindingKind if any(one.kind is kind for one in findings)]
    return [_write(kind, [one for one in findings if one.kind is kind], at) for kind in kinds]


def describe_finding(one: Finding) -> str:
    """Render ``sell 2 SOL/USDT at 101.5, 1.5 filled (order 17, web_8f3)``; with what is wrong of an order of ours."""
    price = f" at {format_number(round(one.price, 8))}" if one.price is not None else " at market"
    filled = f", {format_number(one.executed)} filled" if one.executed else ""
    names = ", ".join(name for name in (one.order_id and f"order {one.order_id}", one.client_order_id) if name)
    detail = f": {one.detail}" if one.detail else ""
    return f"{one.side} {format_number(one.quantity)} {one.symbol}{price}{filled} ({names}){detail}"


def write_halt_seen(halt: Halt, at: datetime) -> Message:
    """Return the urgent message that somebody has halted trading in the Prefect UI; once a halt."""
    since = f" since {halt.at:%Y-%m-%d %H:%M} UTC" if halt.at else ""
    body = (
        f"Somebody set the variable trading_halted in the Prefect UI{since}. No order of FKS is sent, not by stop "
        "losses either; alerts go on. Protective orders that rest on the exchange stay there.\n"
        "What to do: what must be sold now, sell on the exchange by hand. `fks release` lets orders be sent again."
    )
    digest = sha256(f"{halt.reason} {halt.at}".encode()).hexdigest()[:16]
    headline = f"Trading is HALTED: {halt.reason[:60]}"
    return compose(MessageType.OPERATIONS, Severity.URGENT, headline, body, key=f"halt:{digest}", at=at)


def _write(kind: FindingKind, findings: Sequence[Finding], at: datetime) -> Message:
    words, account = WORDS[kind], findings[0].account
    named = "\n".join(describe_finding(one) for one in findings[:MOST_NAMED])
    if len(findings) > MOST_NAMED:
        named += f"\nand {render_count(len(findings) - MOST_NAMED, 'more orders')}"
    digest = sha256("\n".join(sorted(one.finding_id for one in findings)).encode()).hexdigest()[:16]
    key = f"orders:{kind}:{account}:{digest}"
    headline = words.headline.format(account=account)
    return compose(MessageType.OPERATIONS, words.severity, headline, f"{named}\n{words.body}", key=key, at=at)
