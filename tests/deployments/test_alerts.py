"""Alerts that go straight to a channel."""

from __future__ import annotations

import json

import pytest

from deployments import alerts
from deployments.alerts import choose_channels, send_alert
from lib.notifications.messages import Severity
from lib.settings import ChannelSettings
from tests.webhooks import TOKEN, WebhookServer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "RETRY_SECONDS", (0, 0))


def channel(**fields: object) -> ChannelSettings:
    return ChannelSettings.model_validate({"url": "json://127.0.0.1", **fields})


def test_channels_get_what_they_subscribed_to_in_their_order() -> None:
    channels = {
        "second": channel(order=2),
        "quiet": channel(order=0, min_severity="urgent"),
        "trades": channel(order=1, types=["signal"]),
        "first": channel(order=1, types=["operations", "report"]),
    }
    assert choose_channels(channels, Severity.URGENT) == ["quiet", "first", "second"]
    assert choose_channels(channels, Severity.WARNING) == ["first", "second"]


def test_an_urgent_alert_that_nobody_subscribed_to_goes_to_the_first_channel() -> None:
    channels = {"b": channel(types=["signal"]), "a": channel(types=["report"])}
    assert choose_channels(channels, Severity.URGENT) == ["a"]
    assert choose_channels(channels, Severity.WARNING) == []
    assert choose_channels({}, Severity.URGENT) == []


def test_a_channel_that_is_unavailable_is_tried_again(webhooks: WebhookServer) -> None:
    webhooks.answer_next(503, times=2)
    assert send_alert(webhooks.url, "🛑 Stopped", "Look at it.") is None
    assert webhooks.requests == 3
    assert webhooks.contents == ["🛑 Stopped\r\nLook at it."]


def test_a_channel_that_refuses_is_not_tried_again_and_says_why(webhooks: WebhookServer) -> None:
    webhooks.answer_next(401, body={"message": "Unauthorized", "code": 50027})
    reason = send_alert(webhooks.url, "Stopped", "Look at it.")
    assert reason
    assert TOKEN not in reason
    assert webhooks.requests == 1


def test_a_channel_that_stays_silent_is_given_up_with_its_reason(webhooks: WebhookServer) -> None:
    webhooks.down = True
    assert send_alert(webhooks.url, "Stopped", "Look at it.")
    assert webhooks.requests == 3


def test_an_alert_on_a_phone_keeps_the_link_in_its_last_line(webhooks: WebhookServer) -> None:
    host = webhooks.base.removeprefix("http://").removesuffix("/api/webhooks")
    webhooks.answer_next(200, body={"result": {"status": "ok"}})
    link = "http://127.0.0.1:4200/runs/flow-run/0190f0aa-7c1e-7b8e-9d7f-3f3f3f3f3f3f"

    reason = send_alert(f"smseagle://token@{host}/+4915112345678", "⚠️ news: Failed", f"{'no news ' * 40}\n{link}")

    assert reason is None
    text = json.loads(webhooks.body)["params"]["message"]
    assert text.startswith("news: Failed\r\nno news no news")
    assert text.endswith(f"...\n{link}")
    assert len(text) <= 160
