"""Signed endpoints of the account and its wallet: balances, permissions, deposits, withdrawals, fees."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256

from lib.simulator.filters import to_text
from lib.simulator.order_json import Json
from lib.simulator.order_routes import read_known_symbol
from lib.simulator.parameters import ASSET
from lib.simulator.records import Balance, Movement, MovementKind
from lib.simulator.signed_calls import Call, Route

_DAY_MS = 86_400_000
HISTORY_DAYS = 90  # how far the wallet looks back where no startTime is sent
_DEPOSIT_SUCCESS = 1
_WITHDRAWAL_COMPLETED = 6


def query_account(call: Call) -> Json:
    """GET /api/v3/account."""
    account = call.account
    rates = {"maker": to_text(account.maker_rate), "taker": to_text(account.taker_rate)}
    return {
        "makerCommission": int(account.maker_rate * 10_000),
        "takerCommission": int(account.taker_rate * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates | {"buyer": "0.00000000", "seller": "0.00000000"},
        "canTrade": account.can_trade,
        "canWithdraw": account.can_withdraw,
        "canDeposit": account.can_deposit,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.exchange.books.last_change_ms(account),
        "accountType": "SPOT",
        "balances": _list_balances(call, omit_zero=call.parameters.flag("omitZeroBalances")),
        "permissions": ["SPOT"],
        "uid": account.account_id,
    }


def _list_balances(call: Call, *, omit_zero: bool) -> list[Json]:
    held = call.exchange.books.balances(call.account.account_id)
    instruments = call.exchange.market.instruments.values()
    assets = sorted({asset for each in instruments for asset in (each.base, each.quote)} | set(held))
    nothing = Balance(Decimal(0), Decimal(0))
    return [
        {"asset": asset, "free": to_text(balance.free), "locked": to_text(balance.locked)}
        for asset in assets
        if any(balance := held.get(asset, nothing)) or not omit_zero
    ]


def query_restrictions(call: Call) -> Json:
    """GET /sapi/v1/account/apiRestrictions: what the key may do."""
    return {
        "ipRestrict": False,
        "createTime": call.account.created_at_ms,
        "enableReading": True,
        "enableWithdrawals": call.account.enable_withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": call.account.can_trade,
        "enablePortfolioMarginTrading": False,
    }


def query_deposits(call: Call) -> list[Json]:
    """GET /sapi/v1/capital/deposit/hisrec, newest first."""
    return [
        {
            "id": str(movement.movement_id),
            "amount": to_text(movement.amount),
            "coin": movement.asset,
            "network": movement.asset,
            "status": _DEPOSIT_SUCCESS,
            "address": f"simulated-{call.account.account_id}",
            "addressTag": "",
            "txId": _make_transaction_id(movement),
            "insertTime": movement.at_ms,
            "completeTime": movement.at_ms,
            "transferType": 0,
            "confirmTimes": "1/1",
            "unlockConfirm": 0,
            "walletType": 0,
        }
        for movement in _read_movements(call, MovementKind.DEPOSIT, _DEPOSIT_SUCCESS)
    ]


def query_withdrawals(call: Call) -> list[Json]:
    """GET /sapi/v1/capital/withdraw/history, newest first; its instants are UTC text."""
    return [
        {
            "id": _make_transaction_id(movement)[:32],
            "amount": to_text(movement.amount),
            "transactionFee": to_text(movement.fee),
            "coin": movement.asset,
            "status": _WITHDRAWAL_COMPLETED,
            "address": "simulated-elsewhere",
            "txId": _make_transaction_id(movement),
            "applyTime": _to_utc_text(movement.at_ms),
            "network": movement.asset,
            "transferType": 0,
            "info": "",
            "confirmNo": 1,
            "walletType": 0,
            "txKey": "",
            "completeTime": _to_utc_text(movement.at_ms),
        }
        for movement in _read_movements(call, MovementKind.WITHDRAWAL, _WITHDRAWAL_COMPLETED)
    ]


def _read_movements(call: Call, kind: MovementKind, status: int) -> list[Movement]:
    """Return the movements a wallet query asks for; all of them have the one status."""
    parameters = call.parameters
    coin = parameters.text("coin", ASSET)
    from_ms, to_ms = parameters.integer("startTime"), parameters.integer("endTime")
    to_ms = call.at_ms if to_ms is None else to_ms
    from_ms = to_ms - HISTORY_DAYS * _DAY_MS if from_ms is None else from_ms
    offset, limit = parameters.integer("offset") or 0, parameters.limit(default=1000, maximum=1000)
    if parameters.integer("status") not in (None, status):
        return []
    found = [
        movement
        for movement in reversed(call.exchange.books.movements(call.account.account_id))
        if movement.kind is kind and coin in (None, movement.asset) and from_ms <= movement.at_ms <= to_ms
    ]
    return found[offset : offset + limit]


def query_trade_fees(call: Call) -> list[Json]:
    """GET /sapi/v1/asset/tradeFee: of one symbol or of all."""
    symbols = list(call.exchange.market.instruments)
    if call.parameters.sent("symbol"):
        symbols = [read_known_symbol(call)]
    maker, taker = (f"{rate.normalize():f}" for rate in (call.account.maker_rate, call.account.taker_rate))
    return [{"symbol": symbol, "makerCommission": maker, "takerCommission": taker} for symbol in symbols]


def _make_transaction_id(movement: Movement) -> str:
    return sha256(f"movement {movement.movement_id}".encode()).hexdigest()


def _to_utc_text(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M:%S}"


_WALLET = ("coin", "status", "startTime", "endTime", "offset", "limit")

ACCOUNT_ROUTES = (
    Route("GET", "/api/v3/account", query_account, ("omitZeroBalances",), 20),
    Route("GET", "/sapi/v1/account/apiRestrictions", query_restrictions, (), 1),
    Route("GET", "/sapi/v1/capital/deposit/hisrec", query_deposits, _WALLET, 1),
    Route("GET", "/sapi/v1/capital/withdraw/history", query_withdrawals, _WALLET, 1),
    Route("GET", "/sapi/v1/asset/tradeFee", query_trade_fees, ("symbol",), 1),
)
