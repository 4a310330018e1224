"""Deposits and withdrawals as Binance tells them: checked, and read to the last page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account
from lib.adapters.exchange.flow_answers import to_deposits, to_withdrawals
from lib.balances.flows import CashFlow, FlowKind
from lib.errors import BadAnswer, CredentialsRefused
from lib.portfolio.fills import Balance
from lib.units import from_milliseconds
from tests.portfolio.hand_exchange import HandClock
from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator

DEPOSIT = {
    "id": "769800519366885376",
    "amount": "0.00100000",
    "coin": "BNB",
    "status": 1,
    "insertTime": 1_772_400_000_000,
    "completeTime": 1_772_400_600_000,
    "walletType": 0,
}
WITHDRAWAL = {
    "id": "b6ae22b3aa844210a7041aee7589627c",
    "amount": "8.91000000",
    "transactionFee": "0.004",
    "coin": "USDT",
    "status": 6,
    "applyTime": "2026-03-02 11:12:02",
    "walletType": 0,
}


@pytest.fixture
async def account(simulator: RunningSimulator, engine: Engine) -> AsyncIterator[BinanceAccount]:
    venue = Venue("simulator", url=simulator.url, timeout_seconds=10)
    clock = HandClock(START_AT)
    account = make_account(venue, "demo", API_KEY, API_SECRET, ledger=BudgetStore(engine), clock=clock)
    yield account
    await account.close()


def deposits(*rows: Any) -> list[CashFlow]:
    return to_deposits(list(rows), where="test", account="demo", limit=1000)


def withdrawals(*rows: Any) -> list[CashFlow]:
    return to_withdrawals(list(rows), where="test", account="demo", limit=1000)


async def test_money_in_and_out_of_the_simulator_explains_its_balance(
    simulator: RunningSimulator, account: BinanceAccount
) -> None:
    (opening,) = await account.fetch_cash_flows(START_AT - timedelta(days=200))
    assert (opening.kind, opening.asset, opening.amount) == (FlowKind.DEPOSIT, "USDT", Decimal(100_000))
    assert opening.at == START_AT - timedelta(days=30)
    before = await account.fetch_balances()
    simulator.control.request("POST", "/deposit", asset="DOT", amount="2.5")
    simulator.control.request("POST", "/withdraw", asset="USDT", amount="100", fee="1.5")
    deposit, withdrawal = await account.fetch_cash_flows(START_AT - timedelta(days=1))
    assert (deposit.kind, deposit.asset, deposit.amount, deposit.at) == ("deposit", "DOT", Decimal("2.5"), START_AT)
    assert (withdrawal.kind, withdrawal.amount, withdrawal.is_booked) == ("withdrawal", Decimal("-101.5"), True)
    after = await account.fetch_balances()
    assert after["DOT"] == Balance("DOT", Decimal("2.5"), Decimal(0))
    assert after["USDT"].total == before["USDT"].total + withdrawal.amount


async def test_a_key_that_may_not_read_them_is_refused_as_credentials(
    simulator: RunningSimulator, account: BinanceAccount
) -> None:
    simulator.control.arm("status", path="/sapi/*", status=401, code=-2015, message="Invalid permissions.", count=0)
    with pytest.raises(CredentialsRefused, match="deposits of demo"):
        await account.fetch_cash_flows(START_AT - timedelta(days=1))


def test_a_deposit_counts_when_it_was_credited() -> None:
    assert deposits(DEPOSIT) == [
        CashFlow(
            account="demo",
            flow_id="deposit:769800519366885376",
            kind=FlowKind.DEPOSIT,
            asset="BNB",
            amount=Decimal("0.001"),
            at=from_milliseconds(1_772_400_600_000),
            is_booked=True,
        )
    ]


@pytest.mark.parametrize(("status", "is_booked"), [(0, False), (6, True), (7, False), (8, False), (2, False)])
def test_a_deposit_is_booked_once_it_is_credited(status: int, is_booked: bool) -> None:
    (flow,) = deposits(DEPOSIT | {"status": status})
    assert flow.is_booked is is_booked


@pytest.mark.parametrize(
    ("status", "is_booked"), [(0, True), (1, False), (2, True), (3, False), (4, True), (5, False), (6, True)]
)
def test_a_withdrawal_is_booked_until_it_fails(status: int, is_booked: bool) -> None:
    (flow,) = withdrawals(WITHDRAWAL | {"status": status})
    assert (flow.amount, flow.is_booked) == (Decimal("-8.914"), is_booked)


def test_what_moved_the_funding_wallet_is_left_out() -> None:
    assert deposits(DEPOSIT | {"walletType": 1}) == []
    assert withdrawals(WITHDRAWAL | {"walletType": 1}) == []


@pytest.mark.parametrize(
    "change",
    [{"amount": 5}, {"amount": "-1"}, {"amount": "NaN"}, {"id": 7}, {"coin": ""}, {"status": "1"}],
    ids=str,
)
def test_a_wrong_value_refuses_all(change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        deposits(DEPOSIT, DEPOSIT | change)
    with pytest.raises(BadAnswer):
        withdrawals(WITHDRAWAL, WITHDRAWAL | change)


@pytest.mark.parametrize("garbage", [None, {}, "text", [1, 2], [[]]], ids=str)
def test_garbage_is_a_bad_answer(garbage: Any) -> None:
    with pytest.raises(BadAnswer):
        to_deposits(garbage, where="test", account="demo", limit=1000)


def test_a_time_that_is_none_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="applyTime"):
        withdrawals(WITHDRAWAL | {"applyTime": "yesterday"})
