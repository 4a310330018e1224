"""A message that cannot be delivered is overtaken by those behind it; a channel that is down keeps its order."""

from __future__ import annotations

from lib.notifications.channels import Subscriber
from lib.notifications.messages import Severity
from tests.notifications.samples import PickyChannel, PostOffice


def deliver_every_five_minutes(office: PostOffice, channel: PickyChannel, passes: int) -> None:
    for _ in range(passes):
        office.deliver(Subscriber(channel))
        office.clock.pass_by(minutes=5)


def test_an_urgent_message_that_cannot_be_delivered_does_not_hold_up_the_others(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    post_office.record("third")

    deliver_every_five_minutes(post_office, mail, 4)

    assert mail.taken == ["second", "third"]


def test_several_messages_that_cannot_be_delivered_do_not_hold_up_the_others(post_office: PostOffice) -> None:
    bad = [f"bad {number}" for number in range(6)]
    mail = PickyChannel(*bad)
    post_office.record(*bad, "good", severity=Severity.URGENT)

    deliver_every_five_minutes(post_office, mail, 40)

    assert mail.taken == ["good"]


def test_nobody_waits_for_the_backoff_of_a_message_that_was_overtaken(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    deliver_every_five_minutes(post_office, mail, 4)
    post_office.deliver(Subscriber(mail))
    assert mail.tried[-1] == "bad"

    post_office.record("third", "fourth")
    reports = post_office.deliver(Subscriber(mail))

    assert mail.taken == ["second", "third", "fourth"]
    assert reports[0].backlog is not None
    assert reports[0].backlog.waiting == 1
    assert reports[0].backlog.resume_at > post_office.clock.now()


def test_a_message_that_was_overtaken_is_still_tried_and_arrives(post_office: PostOffice) -> None:
    mail = PickyChannel("bad")
    post_office.record("bad", "second", severity=Severity.URGENT)
    deliver_every_five_minutes(post_office, mail, 6)
    mail.undeliverable.clear()

    deliver_every_five_minutes(post_office, mail, 1)

    assert mail.taken == ["second", "bad"]


def test_a_channel_that_is_down_is_left_in_peace_and_keeps_the_order(post_office: PostOffice) -> None:
    expected = [f"message {number:02}" for number in range(40)]
    mail = PickyChannel(*expected)
    post_office.record(*expected)
    deliver_every_five_minutes(post_office, mail, 12 * 24)
    assert len(mail.tried) <= 4 * 12 * 24
    mail.undeliverable.clear()
    post_office.clock.pass_by(minutes=5)

    deliver_every_five_minutes(post_office, mail, 1)

    assert mail.taken == expected
