"""Imports that failed: people are told, because what they do not see is not watched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import Outbox
from lib.notifications.texts import compose, write_import_failed
from lib.portfolio.position_report import FILLS
from lib.portfolio.stores import ImportState, PortfolioStore
from lib.results import Item, Status

PASSES_WITHIN = timedelta(minutes=15)


def tell_of_failed_imports(
    account: str, items: Sequence[Item], store: PortfolioStore, outbox: Outbox, now: datetime
) -> None:
    """Record a message a day about each import that failed.

    What may pass by itself is told once it has lasted a quarter of an hour, by what is stored: the next runs try again.

    Args:
        account: Whose imports.
        items: Of this run of `update_positions`, which is stored.
        store: Where imports are noted.
        outbox: Where messages are recorded.
        now: UTC.
    """
    failed = [item for item in items if item.status is Status.FAILED and item.name.endswith(FILLS)]
    if not failed:
        return
    begun = _find_begun(account, store.load_import_state(account))
    for item in failed:
        since = begun.get(item.name)
        if not item.retryable:
            outbox.record(write_import_failed(item.name, item.detail, at=now))
        elif since is not None and now - since >= PASSES_WITHIN:
            outbox.record(write_import_late(item.name, item.detail, since, at=now))


def write_import_late(what: str, error: str, since: datetime, *, at: datetime) -> Message:
    """Return the urgent message that fills could not be imported for a while; one a day, whatever the errors say.

    Args:
        what: Whose: "demo fills" of a whole account, "demo SOL/USDT fills" of a symbol.
        error: Why not this time.
        since: Of an account's last import that succeeded, or of a symbol's first that failed, UTC.
        at: When, UTC.
    """
    body = (
        f"Not imported since {since:%Y-%m-%d %H:%M} UTC; each run tries again. The last try: {error}\n"
        "What was bought since is unknown here, so nothing watches it; what was sold still counts as held.\n"
        "What to do: watch these positions on the exchange. If it is well, see the runs of critical-path for the cause."
    )
    key = f"import late:{what}:{at:%Y-%m-%d}"
    return compose(MessageType.OPERATIONS, Severity.URGENT, f"Not imported: {what}", body, key=key, at=at)


def _find_begun(account: str, state: ImportState) -> dict[str, datetime]:
    """Return since when each import has failed, by its item's name."""
    begun = {f"{account} {symbol}{FILLS}": since for symbol, since in state.failing_since.items()}
    return begun | {f"{account}{FILLS}": state.imported_at} if state.imported_at else begun
