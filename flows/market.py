"""The chains that follow the market through the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows import showing, support, tasks
from lib.params import Timeframe

# As in prefect.yaml; a test holds them equal.
CRITICAL_PATH_EVERY = timedelta(minutes=5)
SIGNAL_GENERATION_EVERY = timedelta(minutes=15)
MARKET_ANALYSIS_EVERY = timedelta(minutes=30)
NEWS_EVERY = timedelta(hours=1)


@flow(name="critical-path", flow_run_name=showing.name_run, validate_parameters=True)
async def critical_path(account: str | None = None) -> State[Any]:
    """Keep candles fresh, bring positions up to date, check every stop loss, and tell people.

    Each step runs even when an earlier one failed: a stop loss must not wait for a candle.

    Args:
        account: Check only this account; empty means every account.
    """
    if late := await support.skip_when_late(CRITICAL_PATH_EVERY):
        return late
    account = account or None  # what a form sends for a field that was emptied
    async with support.platform():
        synced = await support.attempt(tasks.sync_market_data)
        updated = await support.attempt(tasks.update_positions, account)
        checked = await support.attempt(tasks.check_stop_loss, account)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain(
            "critical-path",
            sync_market_data=synced,
            update_positions=updated,
            check_stop_loss=checked,
            send_notifications=sent,
        )


@flow(name="signal-generation", flow_run_name=showing.name_run, validate_parameters=True)
async def signal_generation(account: str | None = None, timeframe: Timeframe | None = None) -> State[Any]:
    """Keep candles fresh, let every active strategy say BUY or HOLD, and bring balances up to date.

    Signals are made of closed candles only; where the newest one is missing, there is none.

    Args:
        account: Sync the balance only of this account; empty means every account. BUYs are sized for all of them
            either way, because each is told once.
        timeframe: Candles that strategies decide on; empty means the setting FKS_SIGNAL_TIMEFRAME.
    """
    if late := await support.skip_when_late(SIGNAL_GENERATION_EVERY):
        return late
    account = account or None
    async with support.platform():
        synced = await support.attempt(tasks.sync_market_data)
        signalled = await support.attempt(tasks.generate_signals, timeframe)
        balanced = await support.attempt(tasks.sync_account_balance, account)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain(
            "signal-generation",
            sync_market_data=synced,
            generate_signals=signalled,
            sync_account_balance=balanced,
            send_notifications=sent,
        )


@flow(name="market-analysis", flow_run_name=showing.name_run, validate_parameters=True)
async def market_analysis(account: str | None = None) -> State[Any]:
    """Keep candles fresh, bring indicators up to date, and judge the risk of every account.

    Args:
        account: Judge only this account; empty means every account.
    """
    if late := await support.skip_when_late(MARKET_ANALYSIS_EVERY):
        return late
    account = account or None
    async with support.platform():
        synced = await support.attempt(tasks.sync_market_data)
        updated = await support.attempt(tasks.update_indicators)
        analyzed = await support.attempt(tasks.analyze_risk, account)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain(
            "market-analysis",
            sync_market_data=synced,
            update_indicators=updated,
            analyze_risk=analyzed,
            send_notifications=sent,
        )


@flow(name="news", flow_run_name=showing.name_run, validate_parameters=True)
async def news(limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> State[Any]:
    """Fetch the news feeds, store each new story once, with the symbols it is about and how it sounds, and tell people.

    They are told of a feed that has failed for a day, never of a story.

    Args:
        limit: How many new articles a run stores at most; the others are left for the next one.
    """
    if late := await support.skip_when_late(NEWS_EVERY):
        return late
    async with support.platform():
        fetched = await support.attempt(tasks.fetch_news, limit)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain("news", fetch_news=fetched, send_notifications=sent)
