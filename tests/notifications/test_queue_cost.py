"""What a delivery pass costs does not grow with what is queued: counted in pages that PostgreSQL reads, not in time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, event, text

from lib.adapters.database.notification_queue import CLAIM
from lib.notifications.channels import Answer, SendOutcome, Subscriber
from lib.notifications.messages import Severity
from lib.notifications.parts import Part
from lib.notifications.routing import route_new
from tests.notifications.samples import DrivenClock, PickyChannel, PostOffice

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


def count_questions(office: PostOffice) -> int:
    """Return how many statements a pass takes, with a channel that asks to wait."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    engine = office.store._engine
    event.listen(engine, "before_cursor_execute", note)
    office.deliver(Subscriber(Waiting(office.clock)))
    event.remove(engine, "before_cursor_execute", note)
    return len(asked)


class Waiting(PickyChannel):
    """Asks to be left in peace for ten minutes."""

    def __init__(self, clock: DrivenClock) -> None:
        super().__init__()
        self.clock = clock

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        return SendOutcome(Answer.POSTPONED, retry_at=self.clock.now() + timedelta(minutes=10))


def test_a_pass_asks_the_database_as_often_with_ten_thousand_queued_messages_as_with_ten(
    post_office: PostOffice,
) -> None:
    fill(post_office, 1, 10)
    few = count_questions(post_office)
    post_office.clock.pass_by(minutes=11)
    fill(post_office, 11, 10_000)

    assert count_questions(post_office) == few < 30


def test_a_message_that_is_stuck_does_not_make_the_claims_behind_it_dear(post_office: PostOffice) -> None:
    now = post_office.clock.now()
    claim = {"channel": "mail", "owner": "us", "now": now, "until": now + timedelta(minutes=2), "probing": True}
    fill(post_office, 1, 10_000)
    with post_office.store._engine.begin() as connection:
        stuck = "UPDATE notification_deliveries SET attempts = 9, last_error = 'no answer' WHERE delivery_id <= 20"
        connection.execute(text(stuck))

    assert count_pages(post_office, CLAIM, **claim) < 300
