"""The account a newcomer finds: thirty days old, about two fifths invested, with one gain or loss taken.

Everything in it went through the order desk at the prices of its day, so that its books are as real as any.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lib.simulator.matching import to_steps
from lib.simulator.order_request import OrderRequest
from lib.simulator.records import Account, OrderType, Side
from lib.simulator.signed_calls import PrivateExchange

# Not secrets: they open an account of play money on a server that answers only to its own machine.
DEMO_KEY = "simulator-key"
DEMO_SECRET = "simulator-secret"  # noqa: S105 - as above
DEPOSIT = Decimal(100_000)  # USDT
DEPOSIT_DAYS_AGO = 30
SOLD = "ETHUSDT"
SOLD_SHARE = Decimal("0.4")
SOLD_DAYS_AGO = 4
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True)
class _Purchase:
    """A market order over an amount of USDT."""

    days_ago: int
    symbol: str
    amount: int


# The small amount of BNB pays the fee of the sale. What is left after it is worth about 40 % of the equity.
PURCHASES = (
    _Purchase(29, "BNBUSDT", 300),
    _Purchase(28, "BTCUSDT", 8_000),
    _Purchase(25, "ETHUSDT", 11_000),
    _Purchase(21, "SOLUSDT", 6_000),
    _Purchase(17, "BTCUSDT", 7_000),
    _Purchase(13, "LINKUSDT", 5_000),
    _Purchase(9, "ETHUSDT", 4_000),
    _Purchase(2, "SOLUSDT", 3_000),
)


def open_demo_account(exchange: PrivateExchange) -> Account:
    """Write the demo account into the books, as one change; symbols the market does not have are left out."""
    now_ms = exchange.clock.now_ms()
    books = exchange.books
    with books.transaction():
        deposited_ms = now_ms - DEPOSIT_DAYS_AGO * _DAY_MS
        account = books.open_account(DEMO_KEY, DEMO_SECRET, deposited_ms)
        books.deposit(account.account_id, "USDT", DEPOSIT, deposited_ms)
        for purchase in (each for each in PURCHASES if each.days_ago > SOLD_DAYS_AGO):
            _buy(exchange, account, purchase, now_ms)
        account = books.change_account(account, fees_in_bnb=True)
        _sell_a_part(exchange, account, now_ms)
        account = books.change_account(account, fees_in_bnb=False)
        for purchase in (each for each in PURCHASES if each.days_ago < SOLD_DAYS_AGO):
            _buy(exchange, account, purchase, now_ms)
    return account


def _buy(exchange: PrivateExchange, account: Account, purchase: _Purchase, now_ms: int) -> None:
    if purchase.symbol not in exchange.market.instruments:
        return
    amount = Decimal(purchase.amount)
    request = OrderRequest(purchase.symbol, Side.BUY, OrderType.MARKET, quote_quantity=amount)
    exchange.desk.place(account, request, _days_before(now_ms, purchase.days_ago))


def _sell_a_part(exchange: PrivateExchange, account: Account, now_ms: int) -> None:
    instrument = exchange.market.instruments.get(SOLD)
    if instrument is None:
        return
    held = exchange.books.balance(account.account_id, instrument.base).free
    quantity = to_steps(held * SOLD_SHARE, instrument.step_size)
    request = OrderRequest(SOLD, Side.SELL, OrderType.MARKET, quantity=quantity)
    exchange.desk.place(account, request, _days_before(now_ms, SOLD_DAYS_AGO))


def _days_before(now_ms: int, days: int) -> int:
    """Return an instant so many days and some hours ago, a different hour for each day."""
    return now_ms - days * _DAY_MS - (days * 5 % 23) * _HOUR_MS // 2
