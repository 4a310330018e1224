"""Delivery on a real PostgreSQL, by the real Apprise, to a local server that speaks Discord's contract."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from lib.adapters.database.engine import make_engine
from lib.adapters.database.notifications import NotificationStore
from lib.notifications.links import link_messages
from lib.notifications.messages import MessageType, Severity
from tests.notifications.samples import DrivenClock, PostOffice, make_message, titles
from tests.webhooks import WebhookServer


def test_a_message_is_recorded_once_per_key_for_ever(post_office: PostOffice) -> None:
    assert post_office.store.record(make_message("first", deduplication_key="same"))
    assert not post_office.store.record(make_message("again", deduplication_key="same"))


def test_a_message_reaches_its_channel_once(post_office: PostOffice, webhooks: WebhookServer) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("🛑 STOP LOSS triggered: SOL/USDT")

    first, second = post_office.deliver(discord), post_office.deliver(discord)

    assert webhooks.contents == ["🛑 STOP LOSS triggered: SOL/USDT\r\nPrice 95.00, stop 100.00."]
    assert (first[0].delivered, second[0].delivered) == (1, 0)
    assert [(row.state, row.attempts, row.last_error) for row in post_office.rows()] == [("delivered", 1, "")]


def test_a_message_ends_with_the_link_to_the_run_that_recorded_it(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    run = "http://127.0.0.1:4200/runs/flow-run/1"
    with link_messages(run):
        post_office.record("recorded in a run")
        post_office.record("with its own", link="http://127.0.0.1/own")
    post_office.record("outside")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    last_lines = {content.splitlines()[0]: content.splitlines()[-1] for content in webhooks.contents}
    nothing = "Price 95.00, stop 100.00."
    assert last_lines == {
        "recorded in a run": run,
        "with its own": "http://127.0.0.1/own",
        "outside": nothing,
    }


def test_urgent_messages_go_first_then_the_oldest(post_office: PostOffice, webhooks: WebhookServer) -> None:
    post_office.record("old", "newer")
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.record("newest")

    post_office.deliver(post_office.subscribe("discord", webhooks))

    assert titles(webhooks) == ["urgent", "old", "newer", "newest"]


def test_a_channel_gets_only_the_types_and_severities_it_subscribed_to(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    everything = post_office.subscribe("all", webhooks)
    risks = post_office.subscribe(
        "risks", other_webhooks, types=frozenset({MessageType.RISK}), min_severity=Severity.WARNING
    )
    post_office.record("a stop")
    post_office.record("a high risk", type=MessageType.RISK)
    post_office.record("a small risk", type=MessageType.RISK, severity=Severity.INFO)

    post_office.deliver(everything, risks)

    assert titles(webhooks) == ["a stop", "a high risk", "a small risk"]
    assert titles(other_webhooks) == ["a high risk"]


def test_an_urgent_message_that_nobody_subscribed_to_goes_to_the_first_channel(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    reports_only = post_office.subscribe("reports", webhooks, types=frozenset({MessageType.REPORT}))
    post_office.record("urgent", severity=Severity.URGENT)
    post_office.record("not urgent")

    post_office.deliver(reports_only)

    assert titles(webhooks) == ["urgent"]


def test_a_channel_added_later_gets_no_old_messages(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    first = post_office.subscribe("first", webhooks)
    post_office.deliver()
    post_office.record("told to nobody")
    post_office.deliver()
    post_office.record("told to the first")
    post_office.deliver(first)
    post_office.record("told to both")
    post_office.deliver(first, post_office.subscribe("second", other_webhooks))

    assert titles(webhooks) == ["told to the first", "told to both"]
    assert titles(other_webhooks) == ["told to both"]
    assert [each.title for each in post_office.store.load_undelivered(DrivenClock().now(), 10)] == ["told to nobody"]


def test_a_channel_that_hangs_does_not_delay_another(
    post_office: PostOffice, webhooks: WebhookServer, other_webhooks: WebhookServer
) -> None:
    hangs, works = post_office.subscribe("hangs", webhooks), post_office.subscribe("works", other_webhooks)
    release = threading.Event()
    reply = webhooks.answer_next(503, held=release)
    post_office.record("first", "second")
    delivering = threading.Thread(target=post_office.deliver, args=(hangs, works))
    delivering.start()
    assert reply.arrived.wait(10)
    deadline = threading.Event()
    while len(other_webhooks.messages) < 2 and not deadline.wait(0.02):
        pass
    release.set()
    delivering.join()

    assert titles(other_webhooks) == ["first", "second"]


def test_two_senders_at_once_send_each_message_once_and_in_order(
    post_office: PostOffice, webhooks: WebhookServer, database_url: str
) -> None:
    expected = [f"message {number:02}" for number in range(30)]
    post_office.record(*expected)
    engines = [make_engine(database_url) for _ in range(3)]
    start = threading.Barrier(len(engines))

    def send(office: PostOffice) -> None:
        start.wait()
        for _ in range(10):
            office.deliver(office.subscribe("discord", webhooks))

    threads = [
        threading.Thread(target=send, args=(PostOffice(NotificationStore(engine), post_office.clock),))
        for engine in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()

    assert titles(webhooks) == expected


class TickingClock(DrivenClock):
    """Passes a second each time it is read."""

    def now(self) -> datetime:
        self.pass_by(seconds=1)
        return super().now()


@pytest.mark.parametrize("late", range(6))
def test_a_message_whose_time_comes_while_the_pass_looks_is_sent_in_that_pass(
    post_office: PostOffice, webhooks: WebhookServer, late: int
) -> None:
    discord = post_office.subscribe("discord", webhooks)
    post_office.record("first")
    webhooks.answer_next(503)
    post_office.deliver(discord, seconds=1)
    assert webhooks.contents == []
    clock = TickingClock(post_office.clock.now() + timedelta(seconds=5 - late))

    PostOffice(post_office.store, clock).deliver(discord, seconds=600)

    assert titles(webhooks) == ["first"]
