"""Accounts with open positions that left the settings or cannot be used: nothing watches their stop losses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import Outbox
from lib.notifications.texts import compose
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition, PortfolioStore
from lib.results import Item, Status, render_count

PLAY_MONEY = "simulator"
WHY_GONE = "is not in the settings: nothing watches its stops"


def tell_of_unwatched(
    *,
    watched: Collection[str],
    refused: Mapping[str, Exception],
    exchange: str,
    store: PortfolioStore,
    outbox: Outbox,
    now: datetime,
) -> tuple[Item, ...]:
    """Record one message a day about each account that is not watched and holds open positions.

    An account of another exchange than the one in the settings counts only when it is live: a demo on the simulator
    that was left behind is nobody's money.

    Args:
        watched: Every account that can be used.
        refused: Why others of the settings cannot.
        exchange: The exchange of the settings.
        store: Where accounts and positions are.
        outbox: Where messages are recorded.
        now: UTC.

    Returns:
        A failed item for each, for the report.
    """
    items = []
    for account in store.load_holders():
        if account.name in watched or not _counts(account, exchange):
            continue
        held = store.load_held(account.name)
        reason = refused.get(account.name)
        outbox.record(write_unwatched(account, held, reason, at=now))
        why = f"cannot be used: nothing watches its stops. {reason}" if reason else WHY_GONE
        detail = f"holds {', '.join(one.symbol for one in held)} and {why}"
        items.append(Item(name=account.name, status=Status.FAILED, detail=detail))
    return tuple(items)


def write_unwatched(
    account: Account, held: Sequence[HeldPosition], reason: Exception | None, *, at: datetime
) -> Message:
    """Write the message that an account's open positions are watched no more; one a day.

    Args:
        account: As it is stored.
        held: Its open positions.
        reason: Why it cannot be used; None when it is not in the settings.
        at: UTC.
    """
    lines = "\n".join(f"{one.symbol}: {_describe(one)}" for one in held)
    if reason is None:
        why = "is no longer in the settings"
        remedy = (
            f"put it back into the settings (FKS_ACCOUNTS__{account.name.upper()}__KIND={account.kind} and its keys) "
            "and restart. Positions that you sold meanwhile are closed by the next run; then it may go."
        )
    else:
        why = "cannot be used"
        remedy = f"mend its settings and restart; until then watch these positions on the exchange. {reason}"
    body = (
        f"The account {account.name} {why}, and held when it was last imported:\n{lines}\n"
        f"Nothing imports its fills and nothing watches its stop losses.\nWhat to do: {remedy}"
    )
    severity = Severity.URGENT if account.kind is AccountKind.LIVE else Severity.WARNING
    headline = f"Not watched: {account.name} ({render_count(len(held), 'open positions')})"
    return compose(
        MessageType.OPERATIONS, severity, headline, body, key=f"unwatched:{account.name}:{at:%Y-%m-%d}", at=at
    )


def _counts(account: Account, exchange: str) -> bool:
    return account.exchange == exchange or (account.kind is AccountKind.LIVE and account.exchange != PLAY_MONEY)


def _describe(held: HeldPosition) -> str:
    base, _, _ = held.symbol.partition("/")
    return f"{format_number(held.position.quantity)} {base}, stop loss {_number(held.stop_loss)}"


def _number(number: Decimal | None) -> str:
    return "none" if number is None else format_number(number)
