"""Text messages through Apprise's plugin of a gateway whose address can be set (SMSEagle), to a stand-in over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from apprise.plugins.smseagle import NotifySMSEagle

from lib.adapters.channels import make_channel
from lib.notifications.channels import FilePlace, Subscriber
from lib.notifications.messages import Attachment, Severity
from lib.notifications.outbox import DeliveryState
from lib.notifications.sms import SEGMENT, count_places
from tests.notifications.samples import PostOffice, open_post_office
from tests.webhooks import WebhookServer

TAKEN = {"result": {"message_id": 7, "status": "ok"}}
LINK = "http://127.0.0.1:4200/runs/flow-run/0190f0aa-7c1e-7b8e-9d7f-3f3f3f3f3f3f"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySMSEagle, "request_rate_per_sec", 0)  # Apprise waits 5.5 s between two texts


@pytest.fixture
def post_office(database_url: str) -> Iterator[PostOffice]:
    with open_post_office(database_url) as office:
        yield office


def subscribe(gateway: WebhookServer) -> Subscriber:
    host = gateway.base.removeprefix("http://").removesuffix("/api/webhooks")
    return Subscriber(make_channel("phone", f"smseagle://gateway-token@{host}/+4915112345678"))


def test_an_alert_is_one_segment_on_the_phone(post_office: PostOffice, webhooks: WebhookServer) -> None:
    phone = subscribe(webhooks)
    webhooks.answer_next(200, body=TAKEN)
    chart = Attachment("chart.png", "image/png", b"\x89PNG")
    post_office.record("🛑 STOP LOSS", body="word " * 300, severity=Severity.URGENT, link=LINK, attachments=(chart,))

    post_office.deliver(phone)

    sent = json.loads(webhooks.body)["params"]
    assert (sent["to"], sent["message_type"]) == ("+4915112345678", "sms")
    assert sent["message"].startswith("STOP LOSS\r\nword word")
    assert sent["message"].endswith(f"...\n{LINK}")
    assert count_places(sent["message"]) <= SEGMENT
    assert webhooks.requests == 1
    assert [row.state for row in post_office.rows()] == [DeliveryState.DELIVERED]


def test_what_the_gateway_does_not_take_waits_and_its_words_name_no_number(
    post_office: PostOffice, webhooks: WebhookServer
) -> None:
    phone = subscribe(webhooks)
    webhooks.answer_next(200, body={"result": {"status": "error", "error_text": "no credit"}})
    webhooks.answer_next(503)
    webhooks.answer_next(200, body=TAKEN)
    post_office.record("🛑 STOP LOSS", severity=Severity.URGENT)

    post_office.deliver(phone, seconds=7)
    (row,) = post_office.rows()
    assert row.state == DeliveryState.PENDING
    assert "4915112345678" not in row.last_error
    assert "gateway-token" not in row.last_error
    post_office.deliver(phone)

    assert (webhooks.requests, post_office.rows()[0].state) == (3, DeliveryState.DELIVERED)


@pytest.mark.parametrize(
    "url",
    [
        "smseagle://token@127.0.0.1/+4915112345678",
        "clickatell://api-key/15112345678",
        "bulksms://user:password@+4915112345678",
    ],
)
def test_every_gateway_gets_one_segment_and_no_files(url: str) -> None:
    channel = make_channel("phone", url)
    assert (channel.max_characters, channel.file_place) == (SEGMENT, FilePlace.NOWHERE)
