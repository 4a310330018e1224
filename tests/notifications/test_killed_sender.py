"""A sender killed, or cut off from the database, between sending and recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from lib.notifications.delivery import Pace, deliver_due
from lib.notifications.parts import REPEAT_NOTE
from tests.notifications.samples import PostOffice
from tests.webhooks import WebhookServer

ROOT = Path(__file__).parents[2]
SENDER = """
import sys
from tests.notifications.samples import open_post_office
from lib.adapters.channels import make_channel
from lib.notifications.channels import Subscriber

with open_post_office(sys.argv[1]) as office:
    office.deliver(Subscriber(make_channel("discord", sys.argv[2])))
"""


def test_a_message_whose_sender_was_killed_is_repeated_once_and_says_so(
    post_office: PostOffice, webhooks: WebhookServer, database_url: str
) -> None:
    post_office.record("first", "second", "third")
    webhooks.answer_next(200, takes=True)
    in_flight = webhooks.answer_next(200, takes=True, held=webhooks.never)
    sender = subprocess.Popen([sys.executable, "-c", SENDER, database_url, webhooks.url], cwd=ROOT)
    try:
        assert in_flight.arrived.wait(60)
    finally:
        sender.kill()
        sender.wait()
    discord = post_office.subscribe("discord", webhooks)

    post_office.deliver(discord)
    assert len(webhooks.messages) == 2
    post_office.clock.pass_by(minutes=2)
    post_office.deliver(discord)
    post_office.deliver(discord)

    assert [(content.split()[0], REPEAT_NOTE in content) for content in webhooks.contents] == [
        ("first", False),
        ("second", False),
        ("second", True),
        ("third", False),
    ]
    assert {row.state for row in post_office.rows()} == {"delivered"}


def test_a_database_that_is_away_for_a_moment_after_sending_repeats_nothing(
    post_office: PostOffice, webhooks: WebhookServer, database_url: str
) -> None:
    url = make_url(database_url)
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

    def allow_connections(allowed: bool) -> None:
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS {allowed}'))
            if not allowed:
                ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                connection.execute(text(ours), {"name": url.database})

    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        allow_connections(True)

    post_office.record("first", "second")
    webhooks.answer_next(200, takes=True, before=lambda: allow_connections(False))
    discord = post_office.subscribe("discord", webhooks)
    try:
        deliver_due(post_office.store, [discord], post_office.clock, Pace(sleep=sleep))
    finally:
        allow_connections(True)
        admin.dispose()

    assert pauses == [0.5]
    assert [content.split()[0] for content in webhooks.contents] == ["first", "second"]
    assert {row.state for row in post_office.rows()} == {"delivered"}
