"""Checks of Binance's answers about an account: balances and fills.

Sources: Binance Spot API, "Account information" and "Account trade list".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lib.adapters.exchange.answers import (
    refuse,
    to_amount,
    to_flag,
    to_instant,
    to_integer,
    to_list,
    to_object,
    to_positive,
    to_text,
)
from lib.portfolio.fills import Balance, Fill, Side


def to_balances(answer: Any, where: str) -> dict[str, Balance]:
    """Return the assets of ``account`` with a total above zero.

    Raises:
        BadAnswer: A value of a wrong type, a negative amount, or an asset that is there twice.
    """
    balances: dict[str, Balance] = {}
    seen: set[str] = set()
    for row in to_list(to_object(answer, where).get("balances"), where, "balances"):
        asset = to_text(to_object(row, where).get("asset"), where, "asset")
        free = to_amount(row.get("free"), where, f"free {asset}")
        locked = to_amount(row.get("locked"), where, f"locked {asset}")
        if asset in seen:
            raise refuse(where, "asset", "each asset once", asset)
        seen.add(asset)
        if free or locked:
            balances[asset] = Balance(asset, free, locked)
    return balances


def find_newest_fill(answer: Any) -> int:
    """Return the latest time in ``myTrades``, in milliseconds; 0 where none can be read."""
    rows = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    return max((row["time"] for row in rows if type(row.get("time")) is int), default=0)


def to_fills(
    answer: Any, *, where: str, account: str, symbol: str, from_id: int, limit: int, latest: datetime
) -> list[Fill]:
    """Return one page of ``myTrades``.

    Args:
        answer: JSON of ``myTrades``.
        where: For messages.
        account: Our account's name.
        symbol: Our symbol's name, asked for; a fill of another one refuses the answer.
        from_id: Asked for; a smaller id refuses the answer.
        limit: Asked for; more fills refuse the answer.
        latest: The exchange's time; a fill after it refuses the answer.

    Raises:
        BadAnswer: As said above, ids that do not rise, a value of a wrong type, or one out of its range.
    """
    rows = to_list(answer, where)
    if len(rows) > limit:
        raise refuse(where, "", f"at most {limit} fills", rows)
    fills = [_to_fill(to_object(row, where), where, account, symbol) for row in rows]
    least = from_id
    for fill in fills:
        if fill.fill_id < least:
            raise refuse(where, "id", f"ids that rise, the next from {least} on", fill.fill_id)
        if fill.filled_at > latest:
            raise refuse(where, "time", f"nothing after {latest:%Y-%m-%d %H:%M:%S} UTC", fill.filled_at)
        least = fill.fill_id + 1
    return fills


def _to_fill(row: dict[str, Any], where: str, account: str, symbol: str) -> Fill:
    identifier = to_text(row.get("symbol"), where, "symbol")
    if identifier != symbol.replace("/", ""):
        raise refuse(where, "symbol", f"fills of {symbol}", identifier)
    fill_id = to_integer(row.get("id"), where, "id")
    inside = f"{where}, fill {fill_id}"
    return Fill(
        account=account,
        symbol=symbol,
        fill_id=fill_id,
        order_id=str(to_integer(row.get("orderId"), inside, "orderId")),
        side=Side.BUY if to_flag(row.get("isBuyer"), inside, "isBuyer") else Side.SELL,
        price=to_positive(row.get("price"), inside, "price"),
        quantity=to_positive(row.get("qty"), inside, "qty"),
        fee=to_amount(row.get("commission"), inside, "commission"),
        fee_asset=to_text(row.get("commissionAsset"), inside, "commissionAsset"),
        filled_at=to_instant(row.get("time"), inside, "time"),
    )
