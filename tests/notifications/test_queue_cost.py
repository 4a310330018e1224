"""What a delivery pass costs does not grow with what is queued: counted in pages that PostgreSQL reads, not in time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from lib.adapters.database.notification_queue import CLAIM
from lib.notifications.channels import Subscriber
from lib.notifications.routing import route_new
from tests.notifications.samples import PickyChannel, PostOffice

QUEUE = text(
    "INSERT INTO notifications (type, severity, title, body, deduplication_key, created_at)"
    " SELECT 'risk', 'warning', 'message ' || number, 'text', 'key ' || number, :now"
    " FROM generate_series(:first, :last) AS number"
)


def fill(office: PostOffice, first: int, last: int) -> None:
    with office.store._engine.begin() as connection:
        connection.execute(QUEUE, {"first": first, "last": last, "now": office.clock.now()})
    route_new(office.store, [Subscriber(PickyChannel())], office.clock.now())
    with office.store._engine.begin() as connection:
        connection.execute(text("ANALYZE notifications, notification_deliveries"))


def count_pages(office: PostOffice, statement: TextClause, **given: Any) -> int:
    with office.store._engine.connect() as connection:
        explained = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"), given)
        plan = json.loads(json.dumps(explained.scalar_one()))[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize("probing", [False, True])
def test_a_claim_reads_as_little_of_ten_thousand_queued_messages_as_of_a_hundred(
    post_office: PostOffice, probing: bool
) -> None:
    now = post_office.clock.now()
    claim = {"channel": "mail", "owner": "us", "now": now, "until": now + timedelta(minutes=2), "probing": probing}
    fill(post_office, 1, 100)
    few = count_pages(post_office, CLAIM, **claim)

    fill(post_office, 101, 10_000)

    assert count_pages(post_office, CLAIM, **claim) <= few + 20  # trees of indexes are a page or two higher


def test_a_message_that_is_stuck_does_not_make_the_claims_behind_it_dear(post_office: PostOffice) -> None:
    now = post_office.clock.now()
    claim = {"channel": "mail", "owner": "us", "now": now, "until": now + timedelta(minutes=2), "probing": True}
    fill(post_office, 1, 10_000)
    with post_office.store._engine.begin() as connection:
        stuck = "UPDATE notification_deliveries SET attempts = 9, last_error = 'no answer' WHERE delivery_id <= 20"
        connection.execute(text(stuck))

    assert count_pages(post_office, CLAIM, **claim) < 300
