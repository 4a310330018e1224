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

    Each step runs even when an earlier one failed: a stop loss must not wait for a candle. Nor for a long repair of
    gaps: that is cut short here, and the chains of signals and risk go on with it.

    Args:
        account: Check only this account; empty means every account.
    """
    return await support.run_chain(
        (tasks.sync_market_data, None, None, tasks.CRITICAL_REPAIR_SECONDS),
        (tasks.update_positions, account or None),
        (tasks.check_stop_loss, account or None),
        (tasks.send_notifications,),
        every=CRITICAL_PATH_EVERY,
    )


@flow(name="signal-generation", flow_run_name=showing.name_run, validate_parameters=True)
async def signal_generation(account: str | None = None, timeframe: Timeframe | None = None) -> State[Any]:
    """Keep candles fresh, let every active strategy say BUY or HOLD, bring balances up to date, reconcile orders.

    Signals are made of closed candles only; where the newest one is missing, there is none.

    Args:
        account: Sync and reconcile only this account; empty means every account. BUYs are sized for all of them
            either way, because each is told once.
        timeframe: Candles that strategies decide on; empty means the setting FKS_SIGNAL_TIMEFRAME.
    """
    return await support.run_chain(
        (tasks.sync_market_data,),
        (tasks.generate_signals, timeframe),
        (tasks.sync_account_balance, account or None),
        (tasks.reconcile_orders, account or None),
        (tasks.send_notifications,),
        every=SIGNAL_GENERATION_EVERY,
    )


@flow(name="market-analysis", flow_run_name=showing.name_run, validate_parameters=True)
async def market_analysis(account: str | None = None) -> State[Any]:
    """Keep candles fresh, bring indicators up to date, and judge the risk of every account.

    Rebalance plans that nobody decided on in time are rejected.

    Args:
        account: Judge only this account; empty means every account.
    """
    return await support.run_chain(
        (tasks.sync_market_data,),
        (tasks.update_indicators,),
        (tasks.analyze_risk, account or None),
        (tasks.reject_unanswered_plans,),
        (tasks.send_notifications,),
        every=MARKET_ANALYSIS_EVERY,
    )


@flow(name="news", flow_run_name=showing.name_run, validate_parameters=True)
async def news(limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> State[Any]:
    """Fetch the news feeds, store each new story once, with the symbols it is about and how it sounds, and tell people.

    They are told of a feed that has failed for a day, never of a story.

    Args:
        limit: How many new articles a run stores at most; the others are left for the next one.
    """
    return await support.run_chain(
        (tasks.fetch_news, limit),
        (tasks.send_notifications,),
        every=NEWS_EVERY,
    )
