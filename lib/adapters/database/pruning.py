"""Rows that are deleted when they are old; see `lib.archive.stores.Prunable`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from lib.archive.stores import Prunable

# What nobody looks for any more: table, condition.
OLD: dict[Prunable, tuple[str, str]] = {
    Prunable.HOLD_SIGNALS: ("signals", "old.action = 'hold' AND old.opened_at < :before"),
    # While a delivery is under way its files are still wanted.
    Prunable.ATTACHMENTS: (
        "notification_attachments",
        "old.notification_id IN (SELECT notification_id FROM notifications WHERE created_at < :before "
        "AND routed_at IS NOT NULL) AND NOT EXISTS (SELECT FROM notification_deliveries AS way "
        "WHERE way.notification_id = old.notification_id AND way.state IN ('pending', 'in_doubt'))",
    ),
    # One that others repeat goes after them.
    Prunable.NEWS: (
        "news_articles",
        "old.published_at < :before AND old.fetched_at < :before "
        "AND NOT EXISTS (SELECT FROM news_articles AS repeated WHERE repeated.same_as = old.article_key)",
    ),
}


def count(connection: Connection, what: Prunable, before: datetime) -> int:
    """Return how many rows are older."""
    table, is_old = OLD[what]
    found: int = connection.execute(
        text(f"SELECT count(*) FROM {table} AS old WHERE {is_old}"),  # noqa: S608 our own text
        {"before": before},
    ).scalar_one()
    return found


def prune(connection: Connection, what: Prunable, before: datetime, limit: int) -> int:
    """Delete at most `limit` of them."""
    table, is_old = OLD[what]
    query = (
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 our own text
        f"SELECT old.ctid FROM {table} AS old WHERE {is_old} LIMIT :limit FOR UPDATE))"
    )
    return connection.execute(text(query), {"before": before, "limit": limit}).rowcount
