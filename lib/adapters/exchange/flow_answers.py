"""Checks of Binance's answers about money in and out of an account.

Sources: Binance Wallet API, "Deposit History" and "Withdraw History" (supporting network).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from lib.adapters.exchange.answers import refuse, to_amount, to_instant, to_integer, to_list, to_object, to_text
from lib.balances.flows import CashFlow, FlowKind

CREDITED = frozenset({1, 6})  # success; credited but not to be withdrawn yet
FAILED = frozenset({1, 3, 5})  # of withdrawals: cancelled, rejected, failure
SPOT_WALLET = 0  # else the funding wallet, which is no part of the spot account


def to_deposits(answer: Any, *, where: str, account: str, limit: int) -> list[CashFlow]:
    """Return one page of ``capital/deposit/hisrec``, without what went to another wallet.

    Raises:
        BadAnswer: More rows than `limit`, a value of a wrong type, or one out of its range.
    """
    rows = _to_rows(answer, where, limit)
    spot = [row for row in rows if row.get("walletType", SPOT_WALLET) == SPOT_WALLET]
    return [flow for row in spot if (flow := _to_deposit(row, where, account)) is not None]


def to_withdrawals(answer: Any, *, where: str, account: str, limit: int) -> list[CashFlow]:
    """Return one page of ``capital/withdraw/history``, without what left another wallet.

    Raises:
        BadAnswer: As `to_deposits`.
    """
    rows = _to_rows(answer, where, limit)
    spot = [row for row in rows if row.get("walletType", SPOT_WALLET) == SPOT_WALLET]
    return [flow for row in spot if (flow := _to_withdrawal(row, where, account)) is not None]


def _to_rows(answer: Any, where: str, limit: int) -> list[dict[str, Any]]:
    rows = to_list(answer, where)
    if len(rows) > limit:
        raise refuse(where, "", f"at most {limit} rows", rows)
    return [to_object(row, where) for row in rows]


def _to_deposit(row: dict[str, Any], where: str, account: str) -> CashFlow | None:
    number = to_text(row.get("id"), where, "id")
    inside = f"{where}, deposit {number}"
    is_booked = to_integer(row.get("status"), inside, "status") in CREDITED
    booked_at = row.get("completeTime") or row.get("insertTime")  # credited long after it was first seen on the chain
    amount = to_amount(row.get("amount"), inside, "amount")
    return _to_flow(account, FlowKind.DEPOSIT, number, row, inside, amount, to_instant(booked_at, inside), is_booked)


def _to_withdrawal(row: dict[str, Any], where: str, account: str) -> CashFlow | None:
    """The amount is what arrives; the network's fee leaves the account besides."""
    number = to_text(row.get("id"), where, "id")
    inside = f"{where}, withdrawal {number}"
    is_booked = to_integer(row.get("status"), inside, "status") not in FAILED
    amount = to_amount(row.get("amount"), inside, "amount") + to_amount(
        row.get("transactionFee", "0"), inside, "transactionFee"
    )
    at = _to_utc(row.get("applyTime"), inside)
    return _to_flow(account, FlowKind.WITHDRAWAL, number, row, inside, -amount, at, is_booked)


def _to_flow(
    account: str,
    kind: FlowKind,
    number: str,
    row: dict[str, Any],
    where: str,
    amount: Decimal,
    at: datetime,
    is_booked: bool,
) -> CashFlow | None:
    if not amount:
        return None
    return CashFlow(account, f"{kind}:{number}", kind, to_text(row.get("coin"), where, "coin"), amount, at, is_booked)


def _to_utc(value: Any, where: str) -> datetime:
    """Return the instant of ``2026-03-02 12:00:30``, which is UTC."""
    written = to_text(value, where, "applyTime")
    try:
        return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise refuse(where, "applyTime", "UTC as 2026-03-02 12:00:30", value) from None
