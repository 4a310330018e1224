"""What the platform adds to the rooms of lib: several accounts, the operator's settings, and what people are told."""

from __future__ import annotations

import json

import pytest

from lib.errors import AllItemsFailed, OperatorError, SettingsError
from lib.market.symbols import SymbolGroup
from lib.results import Status
from lib.settings import load_settings
from lib.tasks import market, portfolio, risk, signals
from lib.tasks.market import sync_options_of
from tests.platforms import World
from tests.simulators import API_KEY, API_SECRET

KEY, SECRET = "second-key", "second-secret"


@pytest.fixture
def two_accounts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo account, and another one whose orders are nobody's business."""
    world.simulator.control.request("POST", "/accounts", api_key=KEY, api_secret=SECRET, balances={"USDT": "5"})
    for name, key, secret in (("DEMO", API_KEY, API_SECRET), ("OTHER", KEY, SECRET)):
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__KIND", "live")
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_KEY", key)
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_SECRET", secret)


@pytest.mark.usefixtures("two_accounts")
async def test_one_accounts_failure_leaves_the_others_positions_and_stops_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
    monkeypatch.setenv("FKS_ACCOUNTS__OTHER__API_SECRET", "wrong")
    async with world.platform() as platform:
        updated = await portfolio.update_positions(platform)
        checked = await portfolio.check_stop_loss(platform)
    assert updated.status is Status.PARTIAL
    assert {line.account for line in updated.positions} == {"demo"}
    assert [item.name for item in updated.failed] == ["other"]
    assert "refused the key" in updated.failed[0].detail
    assert ("⚠️ Cannot be imported: other fills",) in world.query("SELECT title FROM notifications")
    assert (checked.status, checked.counts["without stop"]) == (Status.OK, 5)


@pytest.mark.usefixtures("two_accounts")
async def test_one_account_alone_is_worked_on_when_it_is_named(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        other = await portfolio.update_positions(platform, "other")
        everyone = await portfolio.update_positions(platform)
    assert other.positions == ()
    assert {line.account for line in everyone.positions} == {"demo"}


@pytest.mark.usefixtures("two_accounts")
async def test_an_account_that_left_the_settings_with_open_positions_is_reported_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        await portfolio.update_positions(platform)
    for name in ("KIND", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"FKS_ACCOUNTS__DEMO__{name}")

    async with world.platform() as platform:
        with pytest.raises(AllItemsFailed, match=r"demo: holds BNB/USDT, .* and is not in the settings"):
            await portfolio.check_stop_loss(platform)
        assert (await portfolio.check_stop_loss(platform, "other")).status is Status.SKIPPED

    [[severity, title]] = world.query("SELECT severity, title FROM notifications")
    assert (severity, title) == ("urgent", "⚠️ Not watched: demo (5 open positions)")


async def test_a_stop_loss_that_the_settings_would_bring_back_is_not_removed(world: World) -> None:
    async with world.platform() as platform:
        with pytest.raises(OperatorError, match="it would come back with the next run"):
            await portfolio.set_stop_loss(
                platform, "demo", "SOL/USDT", None, None, remove_stop_loss=True, remove_take_profit=False
            )


async def test_positions_without_a_stop_get_the_accounts_percentage_in_the_same_run(world: World) -> None:
    async with world.platform() as platform:
        await market.sync_market_data(platform, timeframes=["1h"])
        result = await portfolio.update_positions(platform)
        held = platform.portfolio.load_held("demo")
    assert len(held) == 5
    assert all(one.stop_loss is not None and one.stop_loss < one.position.average_cost for one in held)
    assert [line.stop_loss for line in result.positions] == [one.stop_loss for one in held]
    assert sum(item.detail.startswith("stop loss ") for item in result.items) == 5


def test_symbols_are_kept_in_the_groups_of_the_settings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_MAINS", json.dumps(["btc"]))
    monkeypatch.setenv("FKS_ALTS", json.dumps(["sol"]))
    options = sync_options_of(load_settings())
    assert options.groups == {"BTC/USDT": SymbolGroup.MAIN, "SOL/USDT": SymbolGroup.ALT}
    assert set(options.history) == {"5m", "1h"}


async def test_before_the_first_sync_and_import_signals_and_risk_pass_everything_over(world: World) -> None:
    async with world.platform() as platform:
        signalled = await signals.generate_signals(platform)
        analyzed = await risk.analyze_risk(platform)
    assert (signalled.status, analyzed.status) == (Status.SKIPPED, Status.SKIPPED)
    assert {item.name for item in signalled.items} >= {"BTC/USDT", "ETH/USDT", "SOL/USDT", "LINK/USDT"}
    assert "nothing is known yet of what it holds" in analyzed.items[0].detail


async def test_signals_of_candles_that_are_not_kept_are_refused_with_the_remedy(world: World) -> None:
    async with world.platform() as platform:
        with pytest.raises(SettingsError, match=r"\(5m, 1h\), was 4h. Add it to FKS_HISTORY_DAYS"):
            await signals.generate_signals(platform, timeframe="4h")
