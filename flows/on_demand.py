"""What a person starts, in the Prefect UI by a form or with `prefect deployment run`, and what runs when it is due."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field, WithJsonSchema

from flows import order_tasks, ordering, protection, rebalancing, showing, support, tasks
from lib.balances.flows import FlowKind
from lib.errors import AllItemsFailed, OperatorError
from lib.execution.opening import OpeningWish
from lib.notifications.messages import MessageType
from lib.params import AssetName, Price, SymbolName, Timeframe, Words
from lib.portfolio.fills import Side
from lib.reporting.report import ReportType
from lib.strategy.stores import StrategyState

SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}  # percent, in a form
DELIVERY_SECONDS = 45  # a minute's run; while messages wait the next one follows


@flow(name="send-notification", flow_run_name=showing.name_run)
async def send_notification(type: MessageType, message: Words, urgent: bool = False) -> State[Any]:  # noqa: A002
    """Say something to everyone who subscribed to this type of message.

    Args:
        type: What it is about; channels subscribe to types.
        message: What to say; its first line becomes the title.
        urgent: Someone must see it now: goes to every channel that wants urgent messages, and on to the next channel
            when the first one is silent.
    """
    async with support.platform():
        sent = await support.attempt(tasks.send_notifications, type, message, urgent)
        return await support.conclude_chain("send-notification", send_notifications=sent)


@flow(name="deliver-notifications", flow_run_name=showing.name_run)
async def deliver_notifications() -> State[Any]:
    """Deliver what is due between two chains; every delivery pass that leaves messages behind schedules this.

    A channel that does not answer leaves the run Partial: its messages wait, and the chain reports it. People are told
    of each failed run of this kind, which must not go on every few seconds while a channel is down.
    """
    async with support.platform():
        sent = await support.attempt(tasks.send_notifications, seconds=DELIVERY_SECONDS)
        concluded = await support.conclude_chain("deliver-notifications", send_notifications=sent)
        if isinstance(await sent.aresult(raise_on_failure=False), AllItemsFailed):
            return Completed(name="Partial", message=concluded.message)
        return concluded


@flow(name="backfill-market-data", flow_run_name=showing.name_run)
async def backfill_market_data(
    start: datetime,
    end: datetime | None = None,
    symbols: list[SymbolName] | None = None,
    timeframes: list[Timeframe] | None = None,
) -> State[Any]:
    """Fetch the candles that are missing in a window; what is stored is left alone.

    Gaps that were marked verified absent are asked for once more.

    Args:
        start: Beginning of the window, UTC.
        end: End of the window, UTC; empty means now.
        symbols: Symbols as "BTC/USDT"; empty means all that are kept.
        timeframes: Timeframes as "1h"; empty means all that are kept.
    """
    async with support.platform():
        filled = await support.attempt(tasks.backfill_market_data, symbols, timeframes, start, end)
        return await support.conclude_chain("backfill-market-data", backfill_market_data=filled)


@flow(name="restore-archive", flow_run_name=showing.name_run)
async def restore_archive(
    start: datetime,
    end: datetime | None = None,
    symbols: list[SymbolName] | None = None,
    timeframes: list[Timeframe] | None = None,
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30,
) -> State[Any]:
    """Bring archived candles and indicators back into the database; the files stay.

    Whole months come back, and stay for a while: then the nightly run deletes them again, as they are in their files.

    Args:
        start: Beginning of the window, UTC; its whole month comes back.
        end: End of the window, UTC; empty means now.
        symbols: Symbols as "BTC/USDT"; empty means all that are archived.
        timeframes: Timeframes as "1h"; empty means all that are archived.
        keep_days: How many days they stay in the database.
    """
    async with support.platform():
        restored = await support.attempt(tasks.restore_archive, symbols, timeframes, start, end, keep_days)
        return await support.conclude_chain("restore-archive", restore_archive=restored)


@flow(name="set-stop-loss", flow_run_name=showing.name_run)
async def set_stop_loss(
    account: Words,
    symbol: SymbolName,
    stop_loss: Price | None = None,
    take_profit: Price | None = None,
    remove_stop_loss: bool = False,
    remove_take_profit: bool = False,
) -> State[Any]:
    """Set or remove the stop loss and the take profit of an open position; what is not given stays as it is.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo".
        symbol: The position's symbol, as "BTC/USDT".
        stop_loss: Alert when the price is at or below this (quote per base, below the current price).
        take_profit: Tell when the price is at or above this (quote per base, above the current price).
        remove_stop_loss: Have no stop loss from now on.
        remove_take_profit: Have no take profit from now on.
    """
    async with support.platform():
        done = await support.attempt(
            tasks.set_stop_loss,
            account,
            symbol,
            stop_loss,
            take_profit,
            remove_stop_loss=remove_stop_loss,
            remove_take_profit=remove_take_profit,
        )
        protected = {} if done.is_failed() else await protection.protect_changed(account)
        return await support.conclude_chain("set-stop-loss", set_stop_loss=done, **protected)


@flow(name="protect-positions", flow_run_name=showing.name_run)
async def protect_positions(account: Words | None = None, again: bool = True) -> State[Any]:
    """Bring protective orders up to date: for each position with a stop loss, one that rests on the exchange.

    The chain starts this by itself when a position or a limit has changed, for accounts with protective_orders on.
    Where that is off, what rests is cancelled. During a trading halt nothing is placed or cancelled.

    Args:
        account: The account's name, as in FKS_ACCOUNTS; empty means every account.
        again: Place also what somebody has cancelled on the exchange, or what was refused within the hour. The chain
            does not.
    """
    async with support.platform():
        done = await support.attempt(protection.protect_positions, account or None, again=again)
        sent = await support.attempt(tasks.send_notifications)
        return protection.conclude_protection(
            await support.conclude_chain("protect-positions", protect_positions=done, send_notifications=sent)
        )


@flow(name="paper-trade", flow_run_name=showing.name_run)
async def paper_trade(
    account: Words, symbol: SymbolName, side: Side, quantity: Price | None = None, notional: Price | None = None
) -> State[Any]:
    """Buy or sell at the market on a paper account, which has no page of an exchange to do it on.

    The order fills at once against the exchange's order book, with fees; then positions are brought up to date. The
    trading halt stops it; it needs no approval, and the limits of orders do not count for it.

    Args:
        account: A paper account's name, as in FKS_ACCOUNTS; without that setting "paper" at a real exchange.
        symbol: What to trade, as "BTC/USDT".
        side: Buy or sell.
        quantity: How much of the base asset; or give a notional.
        notional: How much of the quote asset to spend (or to sell for, at most); or give a quantity.
    """
    async with support.platform():
        traded = await support.attempt(tasks.trade_on_paper, account, symbol, side, quantity, notional)
        updated = await support.attempt(tasks.update_positions, account)
        return await support.conclude_chain("paper-trade", trade_on_paper=traded, update_positions=updated)


@flow(name="open-position", flow_run_name=showing.name_run)
async def open_position(
    account: Words,
    symbol: SymbolName,
    strategy: Words | None = None,
    quantity: Price | None = None,
    notional: Price | None = None,
    stop_loss: Price | None = None,
    take_profit: Price | None = None,
    timeframe: Timeframe | None = None,
    execute: bool = False,
) -> State[Any]:
    """Buy by one order, following a BUY signal or by hand; the position gets its stop loss and take profit with it.

    The order is a limit that expires: it fills at once, at most the accepted slippage beyond its reference price, or
    not at all. A signal is followed once by an account, until the next candle closes, and while the price has not
    moved away from it.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo".
        symbol: What to buy, as "BTC/USDT".
        strategy: Whose BUY to follow, as in its message; it gives quantity, stop loss and take profit where you give
            none. Empty means by hand.
        quantity: How much of the base asset; or give a notional.
        notional: For how much of the quote asset, about; or give a quantity.
        stop_loss: Of the whole position (quote per base, below the price).
        take_profit: Of the whole position (quote per base, above the price).
        timeframe: Of the signal; empty means the setting FKS_SIGNAL_TIMEFRAME.
        execute: Send it, after an approval where the account needs one. Otherwise only show what would be sent, and
            what every check says.
    """
    wish = OpeningWish(account, symbol, strategy or None, quantity, notional, stop_loss, take_profit)
    async with support.platform():
        reviewed = await support.attempt(order_tasks.review_opening, wish, timeframe or None, execute=execute)
        return await ordering.conclude_order("open-position", reviewed)


@flow(name="close-position", flow_run_name=showing.name_run)
async def close_position(
    account: Words,
    symbol: SymbolName,
    quantity: Price | None = None,
    share_pct: Annotated[Price, Field(le=100), WithJsonSchema(SHARE)] = Decimal(100),
    execute: bool = False,
    exit_id: int | None = None,
) -> State[Any]:
    """Sell a position, or a part of it, by one order.

    No more is sold than the position has and the exchange says is free; where these differ, the run says so. The order
    is a limit that expires: it fills at once, at most the accepted slippage below the best price, or not at all.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo".
        symbol: The position's symbol, as "BTC/USDT".
        quantity: How much of the base asset; empty means the share.
        share_pct: How much of the position, in percent.
        execute: Send it, after an approval where the account needs one. Otherwise only show what would be sent, and
            what every check says.
        exit_id: Given by the stop-loss check when the account's policy wants the position sold; leave it empty.
    """
    async with support.platform():
        reviewed = await support.attempt(
            order_tasks.review_closing, account, symbol, quantity, share_pct, exit_id=exit_id, execute=execute
        )
        if exit_id is None:
            return await ordering.conclude_order("close-position", reviewed)
        return await ordering.conclude_exit("close-position", reviewed, exit_id)


@flow(name="rebalance-portfolio", flow_run_name=showing.name_run)
async def rebalance_portfolio(
    account: Words, execute: bool = False, plan: Annotated[int, Field(ge=1)] | None = None
) -> State[Any]:
    """Propose a rebalance plan and show it; with execute on, carry out a plan that was proposed, exactly as reviewed.

    Where the account wants a person's approval (a live one does unless its settings say otherwise), the run is
    suspended: its page then offers Resume, with a form. No answer in time is a rejection. A run that was killed is
    started again with the same values: it goes on with the same plan.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo".
        execute: Off: compare the account with its targets, and store and show a plan; nothing is traded. On: trade the
            stored plan, sells first.
        plan: The plan's number, with execute on only; empty means the account's open plan.
    """
    async with support.platform():
        if execute:
            return await rebalancing.rebalance(account, plan)
        if plan is not None:
            raise OperatorError(
                f"Plan {plan} was given with execute off, which makes a new one. Leave one of them out."
            )
        return await support.conclude_chain(
            rebalancing.KEY,
            optimize_portfolio=await support.attempt(tasks.optimize_portfolio, account),
            send_notifications=await support.attempt(tasks.send_notifications),
        )


@flow(name="classify-break", flow_run_name=showing.name_run)
async def classify_break(account: Words, asset: AssetName, kind: FlowKind, note: str = "") -> State[Any]:
    """Say what a break is: a difference between an account and its ledger that no fill and no transfer explains.

    It becomes a cash flow of that amount, the ledger expects what is there, and a position becomes what is held.

    Args:
        account: The account's name, as in the message about the break.
        asset: The asset's name, as "BTC".
        kind: A deposit or withdrawal is your own money and no profit. A trade is one side of a conversion, or of a
            trade in a market that is not watched; classify its other side too. Other (interest, an airdrop, a loss) is
            profit or loss of the day.
        note: What it was, in your words; kept with it.
    """
    async with support.platform():
        done = await support.attempt(tasks.classify_break, account, asset, kind, note)
        balanced = await support.attempt(tasks.sync_account_balance, account)
        return await support.conclude_chain("classify-break", classify_break=done, sync_account_balance=balanced)


@flow(name="reconcile", flow_run_name=showing.name_run)
async def reconcile(account: str | None = None) -> State[Any]:
    """Compare balances, fills and orders with the exchange's now, as signal-generation does every 15 minutes.

    Orders of ours that a killed run left are looked up and end; nothing is sent, and no order of somebody else is
    touched. People are told of what was not known before.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo"; empty means every account.
    """
    async with support.platform():
        balanced = await support.attempt(tasks.sync_account_balance, account or None)
        reconciled = await support.attempt(tasks.reconcile_orders, account or None)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain(
            "reconcile", sync_account_balance=balanced, reconcile_orders=reconciled, send_notifications=sent
        )


@flow(name="withdraw-order", flow_run_name=showing.name_run)
async def withdraw_order(account: Words, client_order_id: Words, note: Words) -> State[Any]:
    """End an order of ours that the exchange has forgotten, or that was never sent; until then it is waited for.

    It is looked up once more: one that the exchange has is not withdrawn. Nothing is sent or cancelled there.

    Args:
        account: The account's name, as in FKS_ACCOUNTS, or "demo".
        client_order_id: The order's name, which begins with "fks-", as in `fks status` or the message about it.
        note: Why, as "not in the order history of the exchange"; kept with it.
    """
    async with support.platform():
        done = await support.attempt(order_tasks.withdraw_order, account, client_order_id, note)
        updated = await support.attempt(tasks.update_positions, account)
        return await support.conclude_chain("withdraw-order", withdraw_order=done, update_positions=updated)


@flow(name="set-strategy-state", flow_run_name=showing.name_run)
async def set_strategy_state(strategy: Words, state: StrategyState, why: Words) -> State[Any]:
    """Switch a strategy on or off; it holds from the next run of signal-generation on.

    Args:
        strategy: Its name, as in the table of signals: "trend_following".
        state: Active gives signals; pinned does whatever a validation says; disabled gives none.
        why: Your reason, kept with the change.
    """
    async with support.platform():
        done = await support.attempt(tasks.set_strategy_state, strategy, state, why)
        return await support.conclude_chain("set-strategy-state", set_strategy_state=done)


@flow(name="generate-report", flow_run_name=showing.name_run)
async def generate_report(report_type: ReportType = ReportType.MONTHLY, account: str | None = None) -> State[Any]:
    """Write a report now, and send it with its pictures.

    It is about the last UTC day, the last 7 or the last 30; the present day is among them from 22:00 on. A report of
    the same days replaces the one that was written before.

    Args:
        report_type: How long its period is.
        account: Report only on this account, also one that left the settings; empty means all of the settings together.
    """
    async with support.platform():
        written = await support.attempt(tasks.generate_report, account or None, report_type.value)
        sent = await support.attempt(tasks.send_notifications)
        return await support.conclude_chain("generate-report", generate_report=written, send_notifications=sent)
