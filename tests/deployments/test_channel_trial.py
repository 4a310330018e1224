"""`fks test-message`: what people see of each channel."""

from __future__ import annotations

from pathlib import Path

from tests.deployments.test_cli import fks
from tests.webhooks import TOKEN, WebhookServer, run_webhooks


def test_every_channel_is_tried_and_what_each_answered_is_shown(tmp_path: Path, webhooks: WebhookServer) -> None:
    with run_webhooks() as revoked:
        revoked.answer_next(404)
        code, shown = fks(
            tmp_path,
            "test-message",
            FKS_CHANNELS__TEAM__URL=webhooks.url,
            FKS_CHANNELS__TEAM__TYPES='["risk"]',
            FKS_CHANNELS__OLD__URL=revoked.url,
            FKS_CHANNELS__WRONG__URL="htps://typing.error/secret-token",
        )

    assert code == 1
    assert "✓ team delivered" in shown
    assert "✗ old refuses us Discord answered 404: the webhook was deleted" in shown
    assert "✗ wrong refuses us FKS_CHANNELS__WRONG__URL is not a URL" in shown
    assert TOKEN not in shown
    assert "secret-token" not in shown
    (content,) = webhooks.contents
    assert content.startswith("🧪 Test of team\r\nFKS reaches this channel")
    assert "messages of risk, from severity info on" in content


def test_one_channel_alone_can_be_tried(tmp_path: Path, webhooks: WebhookServer) -> None:
    channels = {"FKS_CHANNELS__TEAM__URL": webhooks.url, "FKS_CHANNELS__DEAD__URL": "json://127.0.0.1:1"}

    assert fks(tmp_path, "test-message", "team", **channels)[0] == 0
    assert len(webhooks.messages) == 1
    code, shown = fks(tmp_path, "test-message", "nobody", **channels)
    assert (code, "There is no channel nobody. Expected one of" in shown) == (1, True)


def test_without_a_channel_the_setting_is_named(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "test-message")
    assert (code, "Set FKS_CHANNELS__TEAM__URL" in shown) == (1, True)
