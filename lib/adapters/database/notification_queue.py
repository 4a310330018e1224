"""The queue of each channel, in SQL: who is next, who steps aside, what waits, and what nobody has been told."""

from __future__ import annotations

from sqlalchemy import text

from lib.notifications.outbox import SPARE_AFTER_DOUBTS, STUCK_AFTER

# One claim at a time per channel. Row locks alone do not keep the order: whether it waits for a locked row or skips it,
# PostgreSQL then goes on to the next one, and a second sender would overtake the first.
CHANNEL_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('notification channel'), hashtext(:channel))")

# It fails on and on, while the channel does not ask us to wait (no error is recorded then).
STUCK = f"(waiting.attempts - waiting.parts_sent >= {STUCK_AFTER} AND waiting.last_error <> '')"
# What stands behind it went through meanwhile: the message is to blame, not the channel.
OVERTAKEN = f"""({STUCK} AND EXISTS (
    SELECT FROM notification_deliveries AS behind
    WHERE behind.channel = waiting.channel AND behind.delivered_at > waiting.created_at
      AND (behind.priority, behind.notification_id) > (waiting.priority, waiting.notification_id)))"""
# People have its text, or may have had it twice: what fails of it is not worth that others wait.
SPARE = f"((waiting.text_sent OR waiting.doubts >= {SPARE_AFTER_DOUBTS}) AND waiting.last_error <> '')"
NOBODY_WAITS = f"({OVERTAKEN} OR {SPARE})"
# The channel answered so when this message was last tried; only a person can mend it.
REFUSED = "(waiting.refusals > 0 AND NOT waiting.text_sent)"
STEPS_ASIDE = f"(({STUCK} AND :probing) OR {NOBODY_WAITS})"
# The first in the order of the index, so that a claim reads as much of a queue of ten thousand as of a queue of ten.
_NEXT = """
    SELECT delivery_id FROM notification_deliveries AS waiting
    WHERE channel = :channel AND state IN ('pending', 'in_doubt') AND next_attempt_at <= :now AND {which}
    ORDER BY priority, notification_id LIMIT 1"""
CLAIM = text(f"""
    UPDATE notification_deliveries AS taken
    SET attempts = attempts + 1,
        doubts = doubts + (claimed_until IS NOT NULL)::int,
        state = CASE WHEN claimed_until IS NULL THEN state ELSE 'in_doubt' END,
        claimed_by = :owner, claimed_until = :until
    FROM notifications AS message
    WHERE message.notification_id = taken.notification_id AND taken.delivery_id = (
        SELECT coalesce(({_NEXT.format(which=f"NOT {STEPS_ASIDE}")}), ({_NEXT.format(which=STEPS_ASIDE)}))
        WHERE NOT EXISTS (
            SELECT FROM notification_deliveries AS waiting
            WHERE channel = :channel AND state IN ('pending', 'in_doubt') AND next_attempt_at > :now
              AND NOT {STEPS_ASIDE})
          AND NOT EXISTS (
            SELECT FROM notification_deliveries WHERE channel = :channel AND claimed_until > :now))
    RETURNING taken.delivery_id, taken.channel, taken.attempts, taken.parts_sent, taken.doubts, taken.refusals,
        taken.text_sent, message.notification_id, message.type, message.severity, message.title, message.body,
        message.deduplication_key, message.created_at, message.link
""")  # noqa: S608 - made of constants of this module only
BACKLOG = text(f"""
    SELECT queue.*, first.last_error AS reason
    FROM (
        SELECT channel, count(*) AS waiting, min(message.created_at) AS oldest_at,
            greatest(
                coalesce(max(next_attempt_at) FILTER (WHERE NOT {NOBODY_WAITS}), min(next_attempt_at)),
                max(claimed_until)
            ) AS resume_at,
            count(*) FILTER (WHERE {NOBODY_WAITS}) AS passed_by, bool_or({REFUSED}) AS refused
        FROM notification_deliveries AS waiting JOIN notifications AS message USING (notification_id)
        WHERE state IN ('pending', 'in_doubt')
        GROUP BY channel
    ) AS queue CROSS JOIN LATERAL (
        SELECT last_error FROM notification_deliveries AS waiting
        WHERE waiting.channel = queue.channel AND state IN ('pending', 'in_doubt')
        ORDER BY {NOBODY_WAITS}, NOT {REFUSED}, priority, notification_id LIMIT 1
    ) AS first
""")  # noqa: S608 - made of constants of this module only
ROUTE = text("""
    INSERT INTO notification_deliveries
        (notification_id, channel, priority, state, attempts, parts_sent, doubts, refusals, text_sent, created_at,
         next_attempt_at, last_error)
    SELECT key, channel, CASE severity WHEN 'urgent' THEN 0 ELSE 1 END, route.state, 0, 0, 0, 0, false, :now, :now, ''
    FROM unnest(CAST(:keys AS bigint[]), CAST(:channels AS text[]), CAST(:states AS text[]))
        AS route (key, channel, state)
    JOIN notifications ON notification_id = key
    ON CONFLICT (notification_id, channel) DO NOTHING
""")
UNDELIVERED = text("""
    SELECT type, severity, title, message.created_at, routed_at,
        array_remove(array_agg(channel ORDER BY channel), NULL) AS channels,
        array_agg(channel || ': ' || last_error ORDER BY channel) FILTER (WHERE last_error <> '') AS errors
    FROM notifications AS message LEFT JOIN notification_deliveries USING (notification_id)
    WHERE message.created_at >= :since
    GROUP BY notification_id
    HAVING bool_or(text_sent OR state IN ('held', 'digested')) IS NOT TRUE
    ORDER BY severity <> 'urgent', message.created_at DESC
    LIMIT :limit
""")
URGENT = text(f"""
    SELECT notification_id, channel, CASE WHEN text_sent THEN 'delivered' ELSE state END AS state,
        CASE WHEN last_error <> '' AND delivery.created_at = routed_at THEN message.created_at
            ELSE delivery.created_at END AS since,
        channel IN (
            SELECT channel FROM notification_deliveries AS waiting
            WHERE state IN ('pending', 'in_doubt') AND {REFUSED}) AS refused
    FROM notification_deliveries AS delivery JOIN notifications AS message USING (notification_id)
    WHERE severity = 'urgent' AND message.created_at >= :since
    ORDER BY notification_id
""")  # noqa: S608 - made of constants of this module only
