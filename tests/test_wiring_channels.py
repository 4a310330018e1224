"""A typing error in a channel's URL loses nothing: what was meant for it waits until it is mended."""

import pytest

from lib.errors import AllItemsFailed
from lib.notifications.messages import MessageType
from lib.results import Status
from lib.tasks import notifications
from tests.platforms import World
from tests.webhooks import run_webhooks

URL = "FKS_CHANNELS__TEAM__URL"
MISSPELT = "htps//discord.com/api/webhooks/1/secret-token"


async def test_what_was_recorded_while_the_only_channel_was_misspelt_arrives_once_it_is_mended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, MISSPELT)
    for urgent in (True, False):
        async with world.platform() as platform:
            with pytest.raises(AllItemsFailed, match=f"waiting.*{URL} is not a URL") as failure:
                await notifications.send_notifications(
                    platform, MessageType.STOP_LOSS, f"stop loss {urgent}", urgent=urgent, key=str(urgent)
                )
            [lost, *_] = platform.notifications.load_undelivered(platform.clock.now().replace(year=2000), 10)
            assert lost.reason.startswith(f"team: {URL} is not a URL")
    assert not failure.value.retryable
    assert "secret-token" not in str(failure.value)

    monkeypatch.setenv(URL, world.webhooks.url)
    world.query("UPDATE notification_deliveries SET next_attempt_at = now()")  # its pause is over
    async with world.platform() as platform:
        result = await notifications.send_notifications(platform)

    assert result.status is Status.OK
    assert [content.splitlines()[0] for content in world.webhooks.contents] == [
        "🛑 stop loss True",
        "🛑 stop loss False",
    ]


async def test_an_urgent_message_goes_past_a_misspelt_channel_at_once_and_the_others_are_told_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, MISSPELT)
    with run_webhooks() as phone:
        monkeypatch.setenv("FKS_CHANNELS__PHONE__URL", phone.url)
        monkeypatch.setenv("FKS_CHANNELS__PHONE__TYPES", '["report"]')
        monkeypatch.setenv("FKS_CHANNELS__PHONE__ORDER", "1")
        async with world.platform() as platform:
            result = await notifications.send_notifications(
                platform, MessageType.STOP_LOSS, "stop loss", urgent=True, key="1"
            )
            await notifications.send_notifications(platform)
    titles = {content.splitlines()[0] for content in phone.contents}
    assert titles == {"🛑 stop loss", "⚠️ Channel refuses messages: team"}
    assert len(phone.contents) == 2
    assert [(item.name, item.status) for item in result.items] == [("team", Status.FAILED), ("phone", Status.OK)]


async def test_a_misspelt_channel_is_reported_also_when_nothing_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, MISSPELT)
    async with world.platform() as platform:
        with pytest.raises(AllItemsFailed, match=f"{URL} is not a URL"):
            await notifications.send_notifications(platform)
