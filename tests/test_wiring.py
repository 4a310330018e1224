"""What is wrong with one account or channel stops only that one."""

import pytest

from lib.errors import AllItemsFailed, OperatorError, SettingsError
from lib.results import Status
from lib.tasks import market, notifications, portfolio
from tests.platforms import World


async def test_a_wrong_channel_is_reported_and_the_others_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_CHANNELS__WRONG__URL", "no-url-at-all")
    async with world.platform() as platform:
        result = await notifications.send_notifications(platform, message="hello", key="1")
    hello, told = world.webhooks.contents
    assert hello.endswith("hello")
    assert told.startswith("⚠️ Channel refuses messages: wrong")
    assert result.status is Status.PARTIAL
    (failed,) = result.failed
    assert failed.name == "wrong"
    assert "FKS_CHANNELS__WRONG__URL" in failed.detail


async def test_an_account_that_contradicts_the_database_is_reported_and_the_others_are_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", "simulator-key")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", "simulator-secret")
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__KIND", "paper")
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__API_KEY", "another-key")
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__API_SECRET", "another-secret")
    async with world.platform() as platform:
        result = await portfolio.update_positions(platform)
        with pytest.raises(SettingsError, match="other"):
            await portfolio.update_positions(platform, "other")
        with pytest.raises(OperatorError, match="Unknown account 'nobody'"):
            await portfolio.update_positions(platform, "nobody")
    assert {line.account for line in result.positions} == {"demo"}
    assert [item.name for item in result.failed] == ["other"]


async def test_open_positions_of_an_account_that_contradicts_the_database_are_told_as_not_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        await portfolio.update_positions(platform)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "paper")
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__KIND", "paper")
    async with world.platform() as platform:
        with pytest.raises(AllItemsFailed, match="demo is stored as live"):
            await portfolio.check_stop_loss(platform)
    [[title, body]] = world.query("SELECT title, body FROM notifications")
    assert title == "⚠️ Not watched: demo (5 open positions)"
    assert "demo is stored as live, simulator, USDT, the settings say paper" in body


async def test_a_refused_key_is_told_urgently_once_a_day_because_nothing_watches_what_is_bought(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        await portfolio.update_positions(platform)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", "simulator-key")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", "a-wrong-secret")
    async with world.platform() as platform:
        for _ in range(2):
            assert (await portfolio.update_positions(platform)).status is Status.PARTIAL
            await notifications.send_notifications(platform)
    (told,) = world.webhooks.contents
    assert "Cannot be imported: demo fills" in told
    assert "a-wrong-secret" not in told


async def test_a_database_of_one_exchange_is_not_opened_for_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.platform():
        pass
    monkeypatch.setenv("FKS_EXCHANGE", "binance")  # its address is the simulator's still, as in a running stack
    with pytest.raises(SettingsError, match=r"candles of simulator, .* name binance at 127.0.0.1.* Set FKS_HOME"):
        async with world.platform():
            pass
    monkeypatch.setenv("FKS_EXCHANGE", "simulator")
    async with world.platform() as platform:
        assert platform.exchange.name == "simulator"
