"""What people got, against what was recorded for them, and what should have been."""

from __future__ import annotations

from collections import Counter

from tests.soak.log import Log
from tests.soak.stage import Stage


def audit_messages(stage: Stage, log: Log) -> None:
    """Hold the outbox to the channel's own memory, and to what was expected."""
    recorded = stage.query("SELECT * FROM notifications ORDER BY notification_id")
    log.events["messages recorded"] += len(recorded)
    deliveries = stage.query("SELECT * FROM notification_deliveries")
    delivered = Counter(row.notification_id for row in deliveries if row.state == "delivered")
    for row in recorded:
        if delivered[row.notification_id] != 1:
            log.breach(f"message {row.deduplication_key} was delivered {delivered[row.notification_id]} times")
    for row in deliveries:
        if row.last_error:
            log.breach(f"delivery {row.delivery_id} has an error: {row.last_error}")
    posts = len(stage.webhooks.messages)
    parts = sum(row.parts_sent for row in deliveries)
    log.events["posts on the channel"] += posts
    if posts != parts:
        log.breach(f"the channel got {posts} posts, the outbox knows of {parts}")
    _find_titles(stage, log)
    _find_expected(stage, log)


def _find_titles(stage: Stage, log: Log) -> None:
    """Each recorded title is on the channel as often as it was recorded."""
    texts = Counter(" ".join(one.content.split()) for one in stage.webhooks.messages)
    for row in stage.query("SELECT title, count(*) AS times FROM notifications GROUP BY title"):
        seen = sum(count for content, count in texts.items() if row.title in content)
        if seen < row.times:
            log.breach(f"{row.title!r} was recorded {row.times} times, and the channel saw it {seen} times")


def _find_expected(stage: Stage, log: Log) -> None:
    found = [
        (row.deduplication_key, row.created_at)
        for row in stage.query("SELECT deduplication_key, created_at FROM notifications")
    ]
    for one in log.expected:
        if one.until > stage.clock.now():
            continue
        if not any(key.startswith(one.key) and one.since <= at <= one.until for key, at in found):
            log.breach(f"{one.what} at {one.until:%m-%d %H:%M}: no message {one.key}…")
    for what, key in log.expected_fills:
        if all(known != key for known, _ in found):
            log.breach(f"{what}: no message {key}")
    log.events["messages expected, and there"] += len(log.expected) + len(log.expected_fills)
