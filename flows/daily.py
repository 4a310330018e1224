"""The chains of the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows import showing, support, tasks
from lib.params import SymbolName

DAILY = timedelta(days=1)
PeriodDays = Annotated[int, Field(ge=1, le=3650)]


@flow(name="backtesting", flow_run_name=showing.name_run, validate_parameters=True)
async def backtesting(strategy: str | None = None, symbols: list[SymbolName] | None = None) -> State[Any]:
    """Search each strategy's parameters on past candles, and keep the best as its candidate; signals do not change.

    Parameters are chosen on past days and judged on the days after them (walk-forward), and on the last day. How much
    of the best result is chance is told by the deflated Sharpe ratio and the probability of overfitting.

    Args:
        strategy: Search only this one, also one that is disabled; empty means all.
        symbols: Search on these; empty means all that are kept.
    """
    return await support.run_chain(
        (tasks.sync_market_data,),
        (tasks.run_backtest, strategy or None, symbols or None),
        every=DAILY,
    )


@flow(name="strategy-validation", flow_run_name=showing.name_run, validate_parameters=True)
async def strategy_validation(strategy: str | None = None) -> State[Any]:
    """Test each strategy on recent candles with its own parameters; who fails is disabled, a passing candidate used.

    A strategy must reach the limits of the settings FKS_VALIDATION_*, a candidate those of FKS_PROMOTION_* too; a
    pinned one stays as it is whatever comes out. Then yesterday's signals are recomputed from the stored candles.
    set-strategy-state switches a strategy on again.

    Args:
        strategy: Test only this one, also one that is disabled; empty means all that give signals.
    """
    return await support.run_chain(
        (tasks.validate_strategies, strategy or None),
        (tasks.check_parity, strategy or None),
        (tasks.send_notifications,),
        every=DAILY,
    )


@flow(name="data-management", flow_run_name=showing.name_run, validate_parameters=True)
async def data_management(dry_run: bool = False) -> State[Any]:
    """Move old candles and indicators to the archive, delete other old rows, and measure how the database grows.

    Every month is written to a file, read back and compared before it is deleted. restore-archive brings it back.

    Args:
        dry_run: Only say what would be archived and deleted.
    """
    return await support.run_chain(
        (tasks.archive_old_data, dry_run),
        (tasks.send_notifications,),
        every=DAILY,
    )


@flow(name="portfolio-optimization", flow_run_name=showing.name_run, validate_parameters=True)
async def portfolio_optimization(account: str | None = None) -> State[Any]:
    """Compare each account with its targets, and propose a rebalance plan where it is off. Nothing is traded.

    A plan is carried out by rebalance-portfolio.

    Args:
        account: Look only at this account; empty means every account.
    """
    return await support.run_chain(
        (tasks.optimize_portfolio, account or None),
        (tasks.send_notifications,),
        every=DAILY,
    )


@flow(name="daily-metrics", flow_run_name=showing.name_run, validate_parameters=True)
async def daily_metrics(account: str | None = None, period_days: PeriodDays = 30) -> State[Any]:
    """Measure how each account did, and all together, over whole UTC days, deposits and withdrawals left out.

    Return, volatility, Sharpe, Sortino and Calmar ratio, drawdown, trades, win rate, profit factor and fees, kept in
    the table performance_snapshots.

    Args:
        account: Measure only this account, also one that left the settings; empty means all of the settings.
        period_days: How many UTC days; the present one is among them from 22:00 on.
    """
    return await support.run_chain((tasks.calculate_metrics, account or None, period_days), every=DAILY)


@flow(name="daily-report", flow_run_name=showing.name_run, validate_parameters=True)
async def daily_report(account: str | None = None) -> State[Any]:
    """Report on the day: accounts, performance, positions, trades, risk, signals, data, and what failed.

    It is shown here, written to the folder reports of FKS_HOME, and sent with its pictures.

    Args:
        account: Report only on this account; empty means all of the settings together.
    """
    return await support.run_chain(
        (tasks.generate_report, account or None, "daily"),
        (tasks.send_notifications,),
        every=DAILY,
    )
