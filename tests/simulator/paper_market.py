"""A market with a price path written by hand, for tests of the account half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from lib.simulator.books import Books
from lib.simulator.faults import Faults
from lib.simulator.journal import Journal
from lib.simulator.market import Book, Instrument
from lib.simulator.order_request import OrderRequest
from lib.simulator.orders import OrderDesk
from lib.simulator.records import Account, Order, OrderType, Side

START_MS = 1_700_000_000_000


def make_instrument(base: str = "BTC", quote: str = "USDT", tick: str = "0.01", step: str = "0.00001") -> Instrument:
    return Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(9000),
        min_notional=Decimal(5),
        max_market_quantity=Decimal(100),
        percent_price_up=Decimal(5),
        percent_price_down=Decimal("0.2"),
        max_open_orders=20,
    )


@dataclass
class PaperMarket:
    """Prices are steps: each holds from its instant to the next; the book is `depth` on each of `levels` ticks."""

    instruments: dict[str, Instrument] = field(default_factory=dict)
    steps: dict[str, list[tuple[int, Decimal]]] = field(default_factory=dict)
    halted: set[str] = field(default_factory=set)
    depth: Decimal = Decimal(10)
    levels: int = 5

    def list(self, instrument: Instrument, price: str) -> None:
        self.instruments[instrument.symbol] = instrument
        self.steps[instrument.symbol] = [(0, Decimal(price))]

    def move(self, symbol: str, at_ms: int, price: Decimal | str) -> None:
        """Set the price from an instant on; instants must rise."""
        self.steps[symbol].append((at_ms, Decimal(price)))

    def status(self, symbol: str) -> str:
        return "HALT" if symbol in self.halted else "TRADING"

    def price(self, symbol: str, at_ms: int) -> Decimal:
        return [price for since_ms, price in self.steps[symbol] if since_ms <= at_ms][-1]

    def book(self, symbol: str, at_ms: int) -> Book:
        price, tick = self.price(symbol, at_ms), self.instruments[symbol].tick_size
        distances = [tick * number for number in range(1, self.levels + 1)]
        return Book(
            bids=tuple((price - distance, self.depth) for distance in distances if price > distance),
            asks=tuple((price + distance, self.depth) for distance in distances),
        )

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[Decimal, Decimal]:
        moved = [price for since_ms, price in self.steps[symbol] if from_ms < since_ms <= to_ms]
        prices = [self.price(symbol, from_ms), *moved]
        return min(prices), max(prices)


@dataclass
class PaperExchange:
    """Books in memory, a desk over a paper market, and one rich account."""

    market: PaperMarket
    faults: Faults
    books: Books
    desk: OrderDesk
    account: Account
    now_ms: int = START_MS

    def order(self, side: str, kind: str, *, symbol: str = "BTCUSDT", **terms: str) -> Order:
        """Place an order; amounts and prices are text."""
        return self.desk.place(self.account, to_request(side, kind, symbol=symbol, **terms), self.now_ms)

    def look(self, order: Order) -> Order:
        """Return an order as the books have it."""
        found = self.books.order(order.symbol, order.order_id)
        assert found is not None
        return found

    def pass_time(self, seconds: int, price: str | None = None, symbol: str = "BTCUSDT") -> None:
        """Let time pass, the price moving half way through, and settle."""
        if price is not None:
            self.market.move(symbol, self.now_ms + seconds * 500, price)
        self.now_ms += seconds * 1000
        self.desk.settle(self.account, self.now_ms)

    def has(self, asset: str) -> tuple[str, str]:
        """Return what is free and locked, as text without trailing zeros."""
        free, locked = self.books.balance(self.account.account_id, asset)
        return to_plain(free), to_plain(locked)


def to_plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def to_request(side: str, kind: str, *, symbol: str = "BTCUSDT", **terms: str) -> OrderRequest:
    amounts = {name: Decimal(terms[name]) for name in terms.keys() & _AMOUNTS}
    others: Mapping[str, str] = {name: value for name, value in terms.items() if name not in _AMOUNTS}
    return OrderRequest(symbol, Side(side), OrderType(kind), **amounts, **others)  # type: ignore[arg-type]  # by name


_AMOUNTS = {"quantity", "quote_quantity", "price", "stop_price"}


def open_paper_exchange(books: Books | None = None, **balances: str) -> PaperExchange:
    """Open an exchange that trades BTC at 100, ETH at 10 and BNB at 50 USDT; books that have an account go on."""
    market = PaperMarket()
    market.list(make_instrument(), "100")
    market.list(make_instrument("ETH", step="0.0001"), "10")
    market.list(make_instrument("BNB", step="0.001"), "50")
    faults, books = Faults(), books or Books(Journal())
    there = books.accounts()
    account = there[0] if there else books.open_account("key", "secret", START_MS)
    for asset, amount in () if there else (balances or {"USDT": "10000", "BTC": "20"}).items():
        books.deposit(account.account_id, asset, Decimal(amount), START_MS)
    return PaperExchange(market, faults, books, OrderDesk(books, market, faults), account)
