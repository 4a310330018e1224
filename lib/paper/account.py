"""A paper account, as an exchange account and as the place to trade it by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from lib.balances.flows import CashFlow, FlowKind
from lib.errors import OrderRefused, SymbolHalted
from lib.market.book import Level, OrderBook
from lib.market.symbols import SymbolStatus
from lib.paper.matching import Execution, calc_fee, calc_quantity, match_market_order
from lib.paper.stores import PaperBooks, PaperOrder, PaperStore, Transfer
from lib.portfolio.fills import Balance, Fill, Side
from lib.portfolio.money import format_number
from lib.portfolio.stores import Listing, MarketFacts
from lib.ports import BookSource, Clock
from lib.units import floor_to_step, format_money

START = "start"  # the transfer that an account begins with


@dataclass(frozen=True)
class Wish:
    """An order that somebody wants filled at once; either a quantity in base or a notional in quote.

    Attributes:
        symbol: "BTC/USDT".
        side: Buy or sell.
        client_order_id: The same one is the same order.
        quantity: Base.
        notional: Quote.
        limit_price: Quote per base; levels beyond it are not taken. None takes any.
    """

    symbol: str
    side: Side
    client_order_id: str
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None

    def reach(self, book: OrderBook) -> tuple[Level, ...]:
        """Return the levels that it may take, the best first."""
        levels = book.asks if self.side is Side.BUY else book.bids
        limit = self.limit_price
        if limit is None:
            return levels
        return tuple(one for one in levels if (one.price <= limit if self.side is Side.BUY else one.price >= limit))


class PaperAccount:
    """The port `ExchangeAccount` on our own tables; orders fill at once against the exchange's book of that moment.

    Its orders do not move the book: an order that is large for it looks cheaper here than it would be.

    Args:
        account: Our name of it.
        quote_asset: Its cash.
        cash: What it begins with.
        fee_ratio: Of what is received.
        store: Where it is kept.
        books: The exchange's order books.
        market: Stored symbols, for steps and minima.
        clock: Now.
    """

    def __init__(
        self,
        account: str,
        *,
        quote_asset: str,
        cash: Decimal,
        fee_ratio: Decimal,
        store: PaperStore,
        books: BookSource,
        market: MarketFacts,
        clock: Clock,
    ) -> None:
        self.account = account
        self._start = Transfer(START, quote_asset, cash, clock.now())
        self._fee_ratio = fee_ratio
        self._store = store
        self._books = books
        self._market = market
        self._clock = clock

    async def fetch_balances(self) -> Mapping[str, Balance]:
        """Return every asset with a total above zero; nothing is ever locked, because every order fills at once."""
        await asyncio.to_thread(self._store.save_transfer, self.account, self._start)
        held = await asyncio.to_thread(self._store.load_balances, self.account)
        return {asset: Balance(asset, total, Decimal(0)) for asset, total in held.items() if total > 0}

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        """Return all fills of the symbol with an id >= `from_id`, rising by id."""
        return await asyncio.to_thread(self._store.load_fills, self.account, symbol, from_id)

    async def fetch_cash_flows(self, since: datetime) -> Sequence[CashFlow]:
        """Return what was brought in and taken out since then, by time."""
        transfers = await asyncio.to_thread(self._store.load_transfers, self.account, since)
        return [self._to_flow(transfer) for transfer in transfers]

    async def close(self) -> None:
        """Nothing is open."""

    async def trade(self, wish: Wish) -> PaperOrder:
        """Fill a market order against the book, as far as the book goes; the same client order id is filled once.

        Raises:
            OrderRefused: An amount that cannot be, below the exchange's minima, more than is held, or an empty book.
            SymbolHalted: The symbol does not trade.
            ExchangeUnavailable: No book was to be had; nothing was stored (and the other errors of `BookSource`).
        """
        listing = await asyncio.to_thread(self.load_listing, wish.symbol)
        book = await self._books.fetch_book(wish.symbol)
        await asyncio.to_thread(self._store.save_transfer, self.account, self._start)
        return await asyncio.to_thread(self._fill, wish, book, listing)

    async def load_order(self, client_order_id: str) -> PaperOrder | None:
        """Return the order of that name, if there is one."""

        def load() -> PaperOrder | None:
            with self._store.open_books(self.account) as books:
                return books.load_order(client_order_id)

        return await asyncio.to_thread(load)

    def load_listing(self, symbol: str) -> Listing:
        """Return what is known of a symbol that trades.

        Raises:
            OrderRefused: It is not known.
            SymbolHalted: It does not trade.
        """
        listing = self._market.load_listings({symbol}).get(symbol)
        if listing is None or listing.quantity_step is None:
            raise OrderRefused(f"{symbol} is not known. Name a symbol of the exchange; sync_market_data learns them.")
        if listing.status is not SymbolStatus.TRADING:
            raise SymbolHalted(f"{symbol} is {listing.status} on the exchange: nothing can be traded there now.")
        return listing

    def _to_flow(self, transfer: Transfer) -> CashFlow:
        kind = FlowKind.DEPOSIT if transfer.amount > 0 else FlowKind.WITHDRAWAL
        flow_id = f"{kind}:{transfer.transfer_id}"
        return CashFlow(self.account, flow_id, kind, transfer.asset, transfer.amount, transfer.at, is_booked=True)

    def _fill(self, wish: Wish, book: OrderBook, listing: Listing) -> PaperOrder:
        with self._store.open_books(self.account) as books:
            if known := books.load_order(wish.client_order_id):
                return known
            levels = wish.reach(book)
            step = listing.quantity_step or Decimal(1)
            quantity = (
                calc_quantity(wish.notional, levels, step)
                if wish.notional is not None
                else floor_to_step(wish.quantity or Decimal(0), step)
            )
            executions = match_market_order(quantity, levels)
            _check_minima(wish.symbol, quantity, executions, listing)
            self._check_funds(wish, executions, books)
            order = self._make_order(wish, quantity, executions, books)
            books.save_order(order)
            return order

    def _make_order(
        self, wish: Wish, quantity: Decimal, executions: Sequence[Execution], books: PaperBooks
    ) -> PaperOrder:
        order_id, fill_id = books.load_next_ids(wish.symbol)
        now = self._clock.now()
        base, _, quote = wish.symbol.partition("/")
        fills = tuple(
            Fill(
                account=self.account,
                symbol=wish.symbol,
                fill_id=fill_id + number,
                order_id=str(order_id),
                side=wish.side,
                price=execution.price,
                quantity=execution.quantity,
                fee=calc_fee(wish.side, execution, self._fee_ratio),
                fee_asset=base if wish.side is Side.BUY else quote,
                filled_at=now,
            )
            for number, execution in enumerate(executions)
        )
        return PaperOrder(wish.client_order_id, wish.symbol, wish.side, quantity, fills, now)

    def _check_funds(self, wish: Wish, executions: Sequence[Execution], books: PaperBooks) -> None:
        base, _, quote = wish.symbol.partition("/")
        asset = quote if wish.side is Side.BUY else base
        needed = sum(
            (one.quantity * one.price if wish.side is Side.BUY else one.quantity for one in executions), Decimal(0)
        )
        held = books.load_balances().get(asset, Decimal(0))
        if needed > held:
            raise OrderRefused(
                f"The order needs {format_number(needed)} {asset}, account {self.account} has {format_number(held)}. "
                "Order less."
            )


def _check_minima(symbol: str, quantity: Decimal, executions: Sequence[Execution], listing: Listing) -> None:
    """Refuse what the exchange would refuse (Binance: LOT_SIZE, NOTIONAL)."""
    if not executions and quantity > 0:
        raise OrderRefused(f"Nobody in the order book of {symbol} takes that side at such a price. Try again later.")
    smallest, base = listing.min_quantity or Decimal(0), symbol.partition("/")[0]
    if quantity <= 0 or quantity < smallest:
        raise OrderRefused(
            f"Expected at least {format_number(smallest)} {base} in steps of "
            f"{format_number(listing.quantity_step or Decimal(0))}, was {format_number(quantity)}. Order more."
        )
    notional = sum((one.quantity * one.price for one in executions), Decimal(0))
    if notional < (listing.min_notional or 0):
        quote = symbol.partition("/")[2]
        raise OrderRefused(
            f"Expected at least {format_money(listing.min_notional or Decimal(0), quote)} an order in {symbol}, was "
            f"{format_money(notional, quote)}. Order more."
        )
