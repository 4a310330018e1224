"""Whatever is done, the books stay explained by deposits, withdrawals, trades and fees, and nothing is negative."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lib.simulator.api_errors import ApiError
from lib.simulator.books import OverdrawnError, Page
from lib.simulator.faults import Fault
from lib.simulator.matching import to_steps
from lib.simulator.order_lists import OcoRequest, place_oco
from lib.simulator.order_request import OrderRequest
from lib.simulator.records import MovementKind, OrderType, Side, TimeInForce
from tests.simulator.paper_market import PaperExchange, open_paper_exchange

ASSETS = {"BTCUSDT": "BTC", "ETHUSDT": "ETH", "BNBUSDT": "BNB"}
symbols = st.sampled_from(sorted(ASSETS))
sides = st.sampled_from(list(Side))
amounts = st.decimals("0.0001", "60", places=4)
factors = st.decimals("0.8", "1.25", places=4)


class TradingMachine(RuleBasedStateMachine):
    """An account that orders at random while prices move."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange: PaperExchange = open_paper_exchange(USDT="5000", BTC="20", ETH="100", BNB="3")

    def price_near(self, symbol: str, factor: Decimal) -> Decimal:
        tick = self.exchange.market.instruments[symbol].tick_size
        return to_steps(self.exchange.market.price(symbol, self.exchange.now_ms) * factor, tick)

    @rule(
        symbol=symbols,
        side=sides,
        kind=st.sampled_from(list(OrderType)),
        amount=amounts,
        factor=factors,
        stop_factor=factors,
        time_in_force=st.sampled_from(list(TimeInForce)),
        by_quote=st.booleans(),
    )
    def place(
        self,
        symbol: str,
        side: Side,
        kind: OrderType,
        amount: Decimal,
        factor: Decimal,
        stop_factor: Decimal,
        time_in_force: TimeInForce,
        by_quote: bool,
    ) -> None:
        step = self.exchange.market.instruments[symbol].step_size
        by_quote = by_quote and kind is OrderType.MARKET
        request = OrderRequest(
            symbol,
            side,
            kind,
            quantity=Decimal(0) if by_quote else max(to_steps(amount, step), step),
            quote_quantity=amount * 50 if by_quote else Decimal(0),
            price=self.price_near(symbol, factor) if kind.has_price else Decimal(0),
            stop_price=self.price_near(symbol, stop_factor) if kind.has_trigger else Decimal(0),
            time_in_force=time_in_force,
        )
        try:
            self.exchange.desk.place(self.exchange.account, request, self.exchange.now_ms)
        except ApiError as error:
            assert error.code in (-1013, -2010)

    @rule(symbol=symbols, side=sides, amount=amounts, above=factors, below=factors, with_limit=st.booleans())
    def place_list(
        self, symbol: str, side: Side, amount: Decimal, above: Decimal, below: Decimal, with_limit: bool
    ) -> None:
        step = self.exchange.market.instruments[symbol].step_size
        quantity = max(to_steps(amount, step), step)
        high, low = self.price_near(symbol, max(above, 2 - above)), self.price_near(symbol, min(below, 2 - below))
        limit_price, stop_price = (high, low) if side is Side.SELL else (low, high)
        limit = OrderRequest(symbol, side, OrderType.LIMIT_MAKER, quantity, price=limit_price)
        kind = OrderType.STOP_LOSS_LIMIT if with_limit else OrderType.STOP_LOSS
        price = stop_price if with_limit else Decimal(0)
        stop = OrderRequest(symbol, side, kind, quantity, price=price, stop_price=stop_price)
        request = OcoRequest(limit, stop, None) if side is Side.SELL else OcoRequest(stop, limit, None)
        exchange = self.exchange
        try:
            place_oco(exchange.books, exchange.market, exchange.desk, exchange.account, request, exchange.now_ms)
        except ApiError as error:
            assert error.code in (-1013, -2010)

    @rule(symbol=symbols, factor=factors, seconds=st.integers(1, 7200))
    def move(self, symbol: str, factor: Decimal, seconds: int) -> None:
        self.exchange.pass_time(seconds, price=str(self.price_near(symbol, factor)), symbol=symbol)

    @rule(choice=st.integers(0, 10))
    def cancel(self, choice: int) -> None:
        there = self.exchange.books.open_orders()
        if there:
            self.exchange.desk.cancel(there[choice % len(there)], self.exchange.now_ms)

    @rule(fraction=st.sampled_from(["0", "0.3", "0.5", "1"]), rest=st.sampled_from(["open", "expired"]))
    def arm_partial_fill(self, fraction: str, rest: str) -> None:
        self.exchange.faults.arm(Fault("partial_fill", params={"fraction": fraction, "rest": rest}))

    @rule(asset=st.sampled_from(["USDT", "BTC", "BNB"]), amount=amounts)
    def move_money(self, asset: str, amount: Decimal) -> None:
        books, account_id, now_ms = self.exchange.books, self.exchange.account.account_id, self.exchange.now_ms
        books.deposit(account_id, asset, amount, now_ms)
        try:
            books.withdraw(account_id, asset, amount * 2, amount / 10, now_ms)
        except OverdrawnError:
            assert books.balance(account_id, asset).free < amount * Decimal("2.1")

    @rule(in_bnb=st.booleans())
    def choose_fee_asset(self, in_bnb: bool) -> None:
        self.exchange.account = self.exchange.books.change_account(self.exchange.account, fees_in_bnb=in_bnb)

    @invariant()
    def balances_are_explained_and_not_negative(self) -> None:
        books, account_id = self.exchange.books, self.exchange.account.account_id
        expected: dict[str, Decimal] = defaultdict(Decimal)
        for movement in books.movements(account_id):
            sign = 1 if movement.kind is MovementKind.DEPOSIT else -1
            expected[movement.asset] += sign * movement.amount - movement.fee
        for trade in books.trades(account_id, Page()):
            sign = 1 if trade.side is Side.BUY else -1
            expected[ASSETS[trade.symbol]] += sign * trade.quantity
            expected["USDT"] -= sign * trade.quote_quantity
            expected[trade.fee_asset] -= trade.fee
        held = books.balances(account_id)
        assert {asset: free + locked for asset, (free, locked) in held.items()} == expected
        assert all(free >= 0 and locked >= 0 for free, locked in held.values())

    @invariant()
    def locks_are_those_of_open_orders(self) -> None:
        books, account_id = self.exchange.books, self.exchange.account.account_id
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for order in books.orders(account_id, Page()):
            assert order.is_open or order.locked == 0
            locked[order.locked_asset] += order.locked
        assert {asset: balance.locked for asset, balance in books.balances(account_id).items() if balance.locked} == {
            asset: amount for asset, amount in locked.items() if amount
        }

    @invariant()
    def orders_are_the_sum_of_their_trades(self) -> None:
        books, account_id = self.exchange.books, self.exchange.account.account_id
        for order in books.orders(account_id, Page()):
            trades = books.trades(account_id, Page(symbol=order.symbol, order_id=order.order_id))
            assert order.executed == sum(trade.quantity for trade in trades) <= order.quantity
            assert order.executed_quote == sum(trade.quote_quantity for trade in trades)
            assert (order.status == "FILLED") == (order.executed == order.quantity)
            if order.price:
                worse = (trade.price > order.price for trade in trades)
                better = (trade.price < order.price for trade in trades)
                assert not any(worse if order.side is Side.BUY else better)
            if order.quote_quantity:
                assert order.executed_quote <= order.quote_quantity


TradingMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_any_sequence_of_orders_keeps_the_books = TradingMachine.TestCase
