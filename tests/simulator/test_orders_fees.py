from __future__ import annotations

from decimal import Decimal

from lib.simulator.books import Page
from lib.simulator.records import Trade
from tests.simulator.paper_market import PaperExchange, open_paper_exchange


def settings(exchange: PaperExchange, **changed: object) -> None:
    exchange.account = exchange.books.change_account(exchange.account, **changed)


def last_trade(exchange: PaperExchange) -> Trade:
    return exchange.books.trades(1, Page())[-1]


def test_a_buy_pays_its_fee_in_base_and_a_sell_in_quote() -> None:
    exchange = open_paper_exchange(USDT="1000", BTC="5")
    exchange.order("BUY", "MARKET", quantity="2")
    assert (last_trade(exchange).fee, last_trade(exchange).fee_asset) == (Decimal("0.002"), "BTC")
    exchange.order("SELL", "MARKET", quantity="3")
    assert (last_trade(exchange).fee, last_trade(exchange).fee_asset) == (Decimal("0.29997"), "USDT")


def test_a_fee_is_cut_off_after_eight_decimals() -> None:
    exchange = open_paper_exchange(USDT="1000")
    exchange.order("BUY", "MARKET", quantity="0.12345")
    assert last_trade(exchange).fee == Decimal("0.00012345")
    settings(exchange, taker_rate=Decimal("0.00033"))
    exchange.order("BUY", "MARKET", quantity="0.12345")
    assert last_trade(exchange).fee == Decimal("0.00004073")  # 0.0000407385


def test_makers_and_takers_pay_their_own_rates() -> None:
    exchange = open_paper_exchange(USDT="1000")
    settings(exchange, maker_rate=Decimal("0.0002"), taker_rate=Decimal("0.0005"))
    exchange.order("BUY", "MARKET", quantity="1")
    assert last_trade(exchange).fee == Decimal("0.0005")
    exchange.order("BUY", "LIMIT", quantity="1", price="99")
    exchange.pass_time(60, price="98")
    assert last_trade(exchange).fee == Decimal("0.0002")


def test_fees_in_bnb_cost_a_quarter_less() -> None:
    exchange = open_paper_exchange(USDT="1000", BNB="1")
    settings(exchange, fees_in_bnb=True)
    exchange.order("BUY", "MARKET", quantity="2")
    # 200.02 USDT x 0.1 % x 0.75 = 0.150015 USDT; one BNB costs 50
    assert (last_trade(exchange).fee, last_trade(exchange).fee_asset) == (Decimal("0.00300030"), "BNB")
    assert exchange.has("BTC") == ("2", "0")
    assert exchange.has("BNB") == ("0.9969997", "0")


def test_fees_fall_back_to_the_received_asset_where_bnb_runs_out() -> None:
    exchange = open_paper_exchange(USDT="1000", BNB="0.003")
    settings(exchange, fees_in_bnb=True)
    exchange.order("BUY", "MARKET", quantity="2")
    assert (last_trade(exchange).fee, last_trade(exchange).fee_asset) == (Decimal("0.002"), "BTC")
    assert exchange.has("BNB")[0] == "0.003"


def test_bought_bnb_pays_its_own_discounted_fee() -> None:
    exchange = open_paper_exchange(USDT="1000")
    settings(exchange, fees_in_bnb=True)
    exchange.order("BUY", "MARKET", quantity="2", symbol="BNBUSDT")
    assert (last_trade(exchange).fee, last_trade(exchange).fee_asset) == (Decimal("0.0015"), "BNB")
    assert exchange.has("BNB")[0] == "1.9985"


def test_bnb_locked_by_an_order_pays_no_fee() -> None:
    exchange = open_paper_exchange(USDT="1000", BNB="1")
    settings(exchange, fees_in_bnb=True)
    exchange.order("SELL", "LIMIT", quantity="1", price="60", symbol="BNBUSDT")
    exchange.order("BUY", "MARKET", quantity="1")
    assert last_trade(exchange).fee_asset == "BTC"
