"""Accounts that left the settings with open positions: nothing watches their stop losses any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import Outbox
from lib.notifications.texts import compose
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition, PortfolioStore
from lib.results import Item, Status

PLAY_MONEY = "simulator"


def tell_of_unwatched(
    *, known: Collection[str], exchange: str, store: PortfolioStore, outbox: Outbox, now: datetime
) -> tuple[Item, ...]:
    """Record one message a day about each account that is not known and holds open positions.

    An account of another exchange than the one in the settings counts only when it is live: a demo on the simulator
    that was left behind is nobody's money.

    Args:
        known: Every account of the settings, usable or not.
        exchange: The exchange of the settings.
        store: Where accounts and positions are.
        outbox: Where messages are recorded.
        now: UTC.

    Returns:
        A failed item for each, for the report.
    """
    items = []
    for account in store.load_holders():
        if account.name in known or not _counts(account, exchange):
            continue
        held = store.load_held(account.name)
        outbox.record(write_unwatched(account, held, at=now))
        detail = f"holds {', '.join(one.symbol for one in held)} and is not in the settings: nothing watches its stops"
        items.append(Item(name=account.name, status=Status.FAILED, detail=detail))
    return tuple(items)


def write_unwatched(account: Account, held: Sequence[HeldPosition], *, at: datetime) -> Message:
    """Write the message that an account's open positions are watched no more; one a day."""
    lines = [f"{one.symbol}: {_describe(one)}" for one in held]
    body = (
        f"The account {account.name} is no longer in the settings, and held when it was last imported:\n"
        + "\n".join(lines)
        + "\nNothing imports its fills and nothing watches its stop losses.\n"
        f"What to do: put it back into the settings (FKS_ACCOUNTS__{account.name.upper()}__KIND={account.kind} and its "
        "keys) and restart. Positions that you sold meanwhile are closed by the next run; then it may go."
    )
    severity = Severity.URGENT if account.kind is AccountKind.LIVE else Severity.WARNING
    headline = f"Not watched: {account.name} ({len(held)} open positions)"
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
