"""The tasks, by the users' names: each calls one thing of the platform and reports it as its state."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from prefect import runtime, task
from prefect.client.schemas.objects import State

from flows import exits, follow_up, history, protection, server_figures, showing, support, trading_halt
from lib.balances.flows import FlowKind
from lib.errors import TimeSpent
from lib.notifications.messages import MessageType
from lib.paper.account import Wish
from lib.portfolio.fills import Side
from lib.results import extend
from lib.strategy.stores import StrategyState
from lib.tasks import market, notifications, portfolio

CHAINS_DELIVERY_SECONDS = 20  # however much is queued; `deliver_notifications` does the rest
SYNC_SECONDS = 200  # however slow the exchange is, stop losses are checked within the five minutes
CRITICAL_REPAIR_SECONDS = 10  # of gaps and older history, before stop losses are checked; the slower chains do the rest


@task(name="sync_market_data", task_run_name="sync_market_data", **support.RETRY)
async def sync_market_data(
    symbols: list[str] | None = None, timeframes: list[str] | None = None, repair_seconds: float | None = None
) -> State[Any]:
    """Fetch the closed candles that are due, then repair gaps while there is time, and skip what is fresh."""
    repair_for = None if repair_seconds is None else timedelta(seconds=repair_seconds)
    async with support.platform() as platform, showing.progress_artifact("sync-market-data") as show:
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                result = await market.sync_market_data(platform, symbols, timeframes, repair_for=repair_for, show=show)
        except TimeoutError:
            raise TimeSpent(
                f"Candles took longer than {SYNC_SECONDS} s. What was fetched is stored, and the next run carries on; "
                "see in its log what the exchange answers so slowly."
            ) from None
        return support.conclude_task(result)


@task(name="backfill_market_data", task_run_name="backfill_market_data", **support.RETRY)
async def backfill_market_data(
    symbols: list[str] | None, timeframes: list[str] | None, start: datetime, end: datetime | None
) -> State[Any]:
    """Fetch what is missing in a window."""
    async with support.platform() as platform, showing.progress_artifact("backfill-market-data") as show:
        return support.conclude_task(
            await market.backfill_market_data(platform, symbols, timeframes, start=start, end=end, show=show)
        )


@task(name="update_positions", task_run_name="update_positions", **support.RETRY)
async def update_positions(account: str | None = None) -> State[Any]:
    """Import new fills from the exchange, rebuild positions, and price them."""
    async with support.platform() as platform:
        return support.conclude_task(await portfolio.update_positions(platform, account))


@task(name="check_stop_loss", task_run_name="check_stop_loss", **support.RETRY)
async def check_stop_loss(account: str | None = None) -> State[Any]:
    """Compare each position's price with its stop loss and take profit, record alerts, and start what they want sold.

    Exits are started also when a check failed: what an earlier run wanted sold is still to be sold. So is the run that
    brings protective orders up to date, where one is due.
    """
    async with support.platform() as platform:
        try:
            result = await portfolio.check_stop_loss(platform, account)
        finally:
            started = (*await exits.start_exits(platform), *await protection.start_protection(platform))
        return support.conclude_task(extend(result, started))


@task(name="set_stop_loss", task_run_name="set_stop_loss", **support.RETRY)
async def set_stop_loss(
    account: str,
    symbol: str,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    *,
    remove_stop_loss: bool,
    remove_take_profit: bool,
) -> State[Any]:
    """Set or remove the limits of an open position."""
    async with support.platform() as platform:
        return support.conclude_task(
            await portfolio.set_stop_loss(
                platform,
                account,
                symbol,
                stop_loss,
                take_profit,
                remove_stop_loss=remove_stop_loss,
                remove_take_profit=remove_take_profit,
            )
        )


@task(name="trade_on_paper", task_run_name="trade_on_paper", **support.RETRY)
async def trade_on_paper(
    account: str, symbol: str, side: Side, quantity: Decimal | None, notional: Decimal | None
) -> State[Any]:
    """Buy or sell on a paper account unless trading is halted; a retried task orders once."""
    async with support.platform() as platform:
        wish = Wish(symbol, side, str(runtime.flow_run.id), quantity, notional)
        return support.conclude_task(await portfolio.trade_on_paper(platform, account, wish, trading_halt.read_halt))


@task(name="update_indicators", task_run_name="update_indicators", **support.RETRY)
async def update_indicators(symbols: list[str] | None = None, timeframes: list[str] | None = None) -> State[Any]:
    """Compute and store the indicators of candles that are new or have changed."""
    from lib.tasks import indicators  # numba stays out of the five-minute chain

    async with support.platform() as platform, showing.progress_artifact("update-indicators") as show:
        return support.conclude_task(await indicators.update_indicators(platform, symbols, timeframes, show=show))


@task(name="generate_signals", task_run_name="generate_signals", **support.RETRY)
async def generate_signals(timeframe: str | None = None) -> State[Any]:
    """Let every active strategy decide on the last closed candle, and record alerts of its BUYs."""
    from lib.tasks import signals  # numba stays out of the five-minute chain

    async with support.platform() as platform:
        return support.conclude_task(await signals.generate_signals(platform, timeframe))


@task(name="set_strategy_state", task_run_name="set_strategy_state", **support.RETRY)
async def set_strategy_state(strategy: str, state: StrategyState, why: str) -> State[Any]:
    """Switch a strategy on or off."""
    from lib.tasks import strategies  # numpy stays out of the five-minute chain

    async with support.platform() as platform:
        return support.conclude_task(await strategies.set_strategy_state(platform, strategy, state, why))


@task(name="sync_account_balance", task_run_name="sync_account_balance", **support.RETRY)
async def sync_account_balance(account: str | None = None) -> State[Any]:
    """Ask for balances, value them, store a snapshot, and compare with the ledger."""
    from lib.tasks import balances

    async with support.platform() as platform:
        return support.conclude_task(await balances.sync_account_balance(platform, account))


@task(name="reconcile_orders", task_run_name="reconcile_orders", **support.RETRY)
async def reconcile_orders(account: str | None = None) -> State[Any]:
    """Compare orders and fills with the exchange's, end what has ended, and record alerts of what differs."""
    from lib.tasks import reconciling

    async with support.platform() as platform:
        halt = await trading_halt.load_halt()
        trading_halt.tell_server(halt)
        return support.conclude_task(await reconciling.reconcile_orders(platform, account, halt))


@task(name="classify_break", task_run_name="classify_break", **support.RETRY)
async def classify_break(account: str, asset: str, kind: FlowKind, note: str) -> State[Any]:
    """Accept a break as what a person says it is."""
    from lib.tasks import balances

    async with support.platform() as platform:
        return support.conclude_task(await balances.classify_break(platform, account, asset, kind, note))


@task(name="analyze_risk", task_run_name="analyze_risk", **support.RETRY)
async def analyze_risk(account: str | None = None) -> State[Any]:
    """Judge each account by the risk rules, measure what it may lose, and record alerts."""
    from lib.tasks import risk  # numpy stays out of the five-minute chain

    async with support.platform() as platform:
        return support.conclude_task(await risk.analyze_risk(platform, account))


@task(name="optimize_portfolio", task_run_name="optimize_portfolio", **support.RETRY)
async def optimize_portfolio(account: str | None = None) -> State[Any]:
    """Compare each account with its targets; where it is off, store a plan and record a message with its picture."""
    from lib.allocation.messages import draw_plan  # what draws stays out of the five-minute chain
    from lib.tasks import allocation

    async with support.platform() as platform:
        result = await allocation.optimize_portfolio(platform, account)
        for one in result.accounts:
            picture = await asyncio.to_thread(draw_plan, one.plan)
            await showing.show_picture(f"allocation {one.plan.account}", picture)
        return support.conclude_task(result)


@task(name="calculate_metrics", task_run_name="calculate_metrics", **support.RETRY)
async def calculate_metrics(account: str | None = None, period_days: int = 30) -> State[Any]:
    """Measure the performance of each account, and of all together, over whole UTC days, and keep it."""
    from lib.tasks import performance

    async with support.platform() as platform:
        return support.conclude_task(await performance.calculate_metrics(platform, account, period_days))


@task(name="validate_strategies", task_run_name="validate_strategies", **support.RETRY)
async def validate_strategies(strategy: str | None = None) -> State[Any]:
    """Judge strategies on recent data by their own parameters; who fails gives no signals from then on."""
    from lib.tasks import validating  # numba and matplotlib stay out of the five-minute chain

    async with support.platform() as platform, showing.progress_artifact("validation-progress") as show:
        return support.conclude_task(await validating.validate_strategies(platform, strategy, show))


@task(name="check_parity", task_run_name="check_parity", **support.RETRY)
async def check_parity(strategy: str | None = None) -> State[Any]:
    """Recompute yesterday's signals from the stored candles, and record alerts of those that are others."""
    from lib.tasks import parity  # numba stays out of the five-minute chain

    async with support.platform() as platform:
        return support.conclude_task(await parity.check_parity(platform, strategy))


@task(name="run_backtest", task_run_name="run_backtest", **support.RETRY)
async def run_backtest(strategy: str | None = None, symbols: list[str] | None = None) -> State[Any]:
    """Search the parameters of strategies on past candles, walking forward, and store the best as candidates.

    Strategies and symbols are mapped over processes, or over a Dask cluster; the page shows what they found.
    """
    from flows import sweeping  # numba and matplotlib stay out of the five-minute chain
    from lib.tasks import searching

    async with support.platform() as platform, showing.progress_artifact("backtest-progress") as show:
        work = sweeping.make_work(platform.settings)
        result, pictures = await searching.run_backtest(platform, strategy, symbols, work, show)
        for picture in pictures:
            await showing.show_picture(f"search {picture.name.partition('.')[0]}", picture)
        return support.conclude_task(result)


@task(name="generate_report", task_run_name="generate_report", **support.RETRY)
async def generate_report(account: str | None, report_type: str) -> State[Any]:
    """Write a report, show its pictures, and record the message that brings it; a retried task tells it once."""
    from lib.reporting.report import ReportType
    from lib.tasks import reports  # matplotlib stays out of the five-minute chain

    async with support.platform() as platform:
        kind = ReportType(report_type)
        period, now = reports.find_report_period(platform, kind)
        past = await history.read_history(period.start, now)
        result = await reports.generate_report(platform, account, kind, past, key=str(runtime.flow_run.id))
        for chart in result.charts:
            await showing.show_picture(f"{kind} report {chart.name.partition('.')[0]}", chart)
        return support.conclude_task(result)


@task(name="reject_unanswered_plans", task_run_name="reject_unanswered_plans", **support.RETRY)
async def reject_unanswered_plans() -> State[Any]:
    """Reject the rebalance plans whose approval form nobody answered in time, and record a message."""
    from lib.tasks import rebalancing

    async with support.platform() as platform:
        return support.conclude_task(await rebalancing.reject_unanswered_plans(platform))


@task(name="fetch_news", task_run_name="fetch_news", **support.RETRY)
async def fetch_news(limit: int) -> State[Any]:
    """Fetch the news feeds, store what is new, and record a warning of a feed that has failed for a day."""
    from lib.tasks import news

    async with support.platform() as platform:
        return support.conclude_task(await news.fetch_news(platform, limit))


@task(name="check_health", task_run_name="check_health", **support.RETRY)
async def check_health() -> State[Any]:
    """Gather the platform's figures, and record messages about what is out of bounds and what is no longer."""
    from lib.tasks import health  # not for the five-minute chain

    async with support.platform() as platform:
        return support.conclude_task(await health.check_health(platform, server_figures.read_server))


@task(name="archive_old_data", task_run_name="archive_old_data", **support.RETRY)
async def archive_old_data(dry_run: bool = False) -> State[Any]:
    """Move old candles and indicators to verified files, delete other old rows, and measure the tables."""
    from lib.tasks import archive  # pyarrow stays out of the other chains

    async with support.platform() as platform, showing.progress_artifact("archive-progress") as show:
        result = await archive.archive_old_data(platform, dry_run=dry_run, show=show)
        await showing.show_table("archive", result.list_holdings())
        return support.conclude_task(result)


@task(name="restore_archive", task_run_name="restore_archive", **support.RETRY)
async def restore_archive(
    symbols: list[str] | None, timeframes: list[str] | None, start: datetime, end: datetime | None, keep_days: int
) -> State[Any]:
    """Bring archived months back into the database for a while."""
    from lib.tasks import archive  # pyarrow stays out of the other chains

    async with support.platform() as platform, showing.progress_artifact("restore-progress") as show:
        result = await archive.restore_archive(
            platform, symbols, timeframes, start=start, end=end, keep_days=keep_days, show=show
        )
        await showing.show_table("archive", result.list_holdings())
        return support.conclude_task(result)


@task(name="send_notifications", task_run_name="send_notifications", **support.RETRY)
async def send_notifications(
    type: MessageType | None = None,  # noqa: A002 - the users' word
    message: str | None = None,
    urgent: bool = False,
    seconds: float = CHAINS_DELIVERY_SECONDS,
) -> State[Any]:
    """Record the message if there is one, deliver what is due for so long, and have a run follow for what is left."""
    async with support.platform() as platform:
        key = str(runtime.flow_run.id)  # a retried task says it once
        try:
            result = await notifications.send_notifications(
                platform, type, message, urgent=urgent, key=key, seconds=seconds
            )
        finally:
            await follow_up.schedule_delivery(platform)
        return support.conclude_task(result)
