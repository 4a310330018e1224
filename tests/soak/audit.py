"""The end of a soak: the platform's tables against the simulator's own books, its market, and what people got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from lib.execution.orders import OrderState
from lib.portfolio.exits import ExitState
from lib.units import to_milliseconds
from tests.soak.audit_market import audit_market
from tests.soak.audit_messages import audit_messages
from tests.soak.audit_tables import audit_tables
from tests.soak.log import Log
from tests.soak.stage import ASKS, SELLS, Stage

OURS = "fks-"


async def audit(stage: Stage, log: Log, start: datetime, days: float) -> None:
    """Compare everything; what differs is a breach."""
    for account in (ASKS, SELLS):
        books = stage.books(account)
        _compare(log, f"fills of {account}", _load_fills(stage, account), _read_trades(books))
        _compare(log, f"balances of {account}", _load_balances(stage, account), _read_balances(books))
        _compare(log, f"transfers of {account}", _load_flows(stage, account), _read_movements(books, start))
        _compare(log, f"orders of {account}", _load_orders(stage, account), _read_orders(books))
        _compare(log, f"positions of {account}", _load_positions(stage, account), _load_coins(stage, account))
    _audit_prices(stage, log)
    _audit_signals(stage, log)
    _audit_loose_ends(stage, log)
    await audit_market(stage, log)
    audit_messages(stage, log)
    audit_tables(stage, log, days)


def _compare(log: Log, what: str, ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> None:
    log.events[f"compared: {what}"] += len(theirs)
    for key in sorted({*ours, *theirs}, key=str):
        if ours.get(key) != theirs.get(key):
            log.breach(f"{what}: {key}: we have {ours.get(key)}, the exchange {theirs.get(key)}")


def _load_fills(stage: Stage, account: str) -> dict[Any, Any]:
    rows = stage.query("SELECT * FROM fills WHERE account = :account", account=account)
    return {
        (row.symbol.replace("/", ""), row.fill_id): (row.side, row.price, row.quantity, row.fee, row.fee_asset)
        for row in rows
    }


def _read_trades(books: Mapping[str, Any]) -> dict[Any, Any]:
    return {
        (one["symbol"], one["trade_id"]): (
            one["side"].lower(),
            *(Decimal(one[name]) for name in ("price", "quantity", "fee")),
            one["fee_asset"],
        )
        for one in books["trades"]
    }


def _load_balances(stage: Stage, account: str) -> dict[str, Decimal]:
    rows = stage.query("SELECT asset, free + locked AS total FROM account_balances WHERE account = :a", a=account)
    return {row.asset: row.total for row in rows if row.total}


def _read_balances(books: Mapping[str, Any]) -> dict[str, Decimal]:
    totals = {asset: Decimal(one["free"]) + Decimal(one["locked"]) for asset, one in books["balances"].items()}
    return {asset: total for asset, total in totals.items() if total}


def _load_flows(stage: Stage, account: str) -> Counter[tuple[str, Decimal]]:
    """Transfers since the start, which the first snapshot contains none of."""
    rows = stage.query(
        "SELECT flow.asset, flow.amount FROM cash_flows AS flow WHERE flow.account = :a AND flow.source = 'exchange' "
        "AND flow.at > (SELECT min(at) FROM opening_balances WHERE account = :a)",
        a=account,
    )
    return Counter((row.asset, row.amount.normalize()) for row in rows)


def _read_movements(books: Mapping[str, Any], start: datetime) -> Counter[tuple[str, Decimal]]:
    return Counter(
        (one["asset"], _signed(one).normalize())
        for one in books["movements"]
        if one["at_ms"] > to_milliseconds(start + timedelta(minutes=1))
    )


def _signed(movement: Mapping[str, Any]) -> Decimal:
    amount, fee = Decimal(movement["amount"]), Decimal(movement["fee"])
    return amount if movement["kind"] == "DEPOSIT" else -amount - fee


def _load_orders(stage: Stage, account: str) -> dict[str, Any]:
    """Our orders that the exchange has; those that it never took are none there."""
    rows = stage.query(
        "SELECT intent.client_order_id, intent.symbol, orders.order_id, orders.state = 'open' AS is_open, "
        "COALESCE((SELECT sum(quantity) FROM order_fills AS fill WHERE (fill.account, fill.client_order_id) = "
        "(intent.account, intent.client_order_id)), 0) AS executed "
        "FROM order_intents AS intent JOIN orders USING (account, client_order_id) "
        "WHERE intent.account = :account AND orders.order_id IS NOT NULL",
        account=account,
    )
    return {
        row.client_order_id: (row.symbol.replace("/", ""), int(row.order_id), row.executed, row.is_open) for row in rows
    }


def _read_orders(books: Mapping[str, Any]) -> dict[str, Any]:
    ours = [one for one in books["orders"] if one["client_order_id"].startswith(OURS)]
    return {
        one["client_order_id"]: (one["symbol"], one["order_id"], Decimal(one["executed"]), one["status"] == "NEW")
        for one in ours
    }


def _load_positions(stage: Stage, account: str) -> dict[str, Decimal]:
    """What the ledger holds of each coin, open positions and the dust of closed ones."""
    rows = stage.query(
        "SELECT DISTINCT ON (symbol) symbol, quantity FROM positions WHERE account = :a "
        "ORDER BY symbol, opened_at DESC",
        a=account,
    )
    return _drop_dust((row.symbol.partition("/")[0], row.quantity) for row in rows)


def _load_coins(stage: Stage, account: str) -> dict[str, Decimal]:
    held = _load_balances(stage, account)
    return _drop_dust((asset, total) for asset, total in held.items() if asset != stage.settings.quote_asset)


def _drop_dust(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Leave out what is below any step, and round to what the exchange keeps."""
    kept = {asset: round(amount, 8).normalize() for asset, amount in amounts}
    return {asset: amount for asset, amount in kept.items() if amount > Decimal("0.0001")}


def _audit_prices(stage: Stage, log: Log) -> None:
    """Open positions have the exchange's own price of the instant that they name, which is that of the last round."""
    with httpx.Client(base_url=stage.url, timeout=60, trust_env=False) as client:
        told = client.get("/api/v3/ticker/price").raise_for_status().json()
    prices = {row["symbol"]: Decimal(row["price"]) for row in told}
    for row in stage.query("SELECT account, symbol, price, price_at FROM positions WHERE closed_at IS NULL"):
        log.events["prices of positions compared"] += 1
        price = prices[row.symbol.replace("/", "")]
        if row.price_at == stage.clock.now() and row.price != price:
            log.breach(f"{row.account} {row.symbol} is priced {row.price}, the exchange says {price}")


def _audit_signals(stage: Stage, log: Log) -> None:
    """People are told of every BUY."""
    for row in stage.query("SELECT * FROM signals WHERE action = 'buy'"):
        log.events["BUY signals"] += 1
        if row.alerted_at is None:
            log.breach(f"nobody was told of the BUY {row.symbol} of {row.strategy} at {row.opened_at:%m-%d %H:%M}")


def _audit_loose_ends(stage: Stage, log: Log) -> None:
    """After calm hours nothing is under way."""
    for row in stage.query("SELECT * FROM breaks WHERE state IN ('suspected', 'open')"):
        log.breach(f"a break of {row.account} {row.asset} is {row.state}: {row.difference} {row.why}")
    for row in stage.query("SELECT account, plan_id, changed_at FROM rebalance_plans WHERE state = 'running'"):
        log.breach(f"plan {row.plan_id} of {row.account} runs since {row.changed_at:%m-%d %H:%M}")
    settled = {state.value for state in OrderState if state.is_final} | {OrderState.NEW.value, OrderState.OPEN.value}
    for row in stage.query("SELECT account, client_order_id, state, reason FROM orders"):
        if row.state not in settled:
            log.breach(f"order {row.client_order_id} of {row.account} is {row.state}: {row.reason}")
    started = ExitState.STARTED.value
    for row in stage.query("SELECT * FROM position_exits WHERE state = :state", state=started):
        if row.changed_at < stage.clock.now() - timedelta(hours=3):
            log.breach(
                f"exit {row.exit_id} of {row.account} {row.symbol} is {row.state} since {row.changed_at:%m-%d %H:%M}"
            )
