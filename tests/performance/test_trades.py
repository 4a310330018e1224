"""What orders earned, by the ledger."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from lib.performance.trades import Entries, measure_trades, replay_orders
from lib.portfolio.adjustments import Adjustment, AdjustmentKind
from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.ledger import build_ledger
from tests.portfolio.samples import at, buy, sell


def in_one_order(*fills: BookedFill) -> list[BookedFill]:
    return [replace(one, fill=replace(one.fill, order_id="same")) for one in fills]


FILLS = [
    buy("10", "100", "1 USDT", number=1),  # cost 1001
    sell("5", "120", "0.6 USDT", number=2),  # 600 - 0.6 - 500.5 = 98.9
    sell("5", "90", "0.45 USDT", number=3),  # 450 - 0.45 - 500.5 = -50.95
    buy("1", "50000", "50 USDT", number=4, symbol="BTC/USDT"),
]


def test_orders_realize_what_the_ledger_says_fees_and_cost_deducted() -> None:
    orders, _ = replay_orders(Entries(FILLS))
    assert [order.realized for order in orders] == [None, Decimal("98.9"), Decimal("-50.95"), None]
    measured = measure_trades(orders)
    assert (measured.orders, measured.trades, measured.wins) == (4, 2, 1)
    assert (measured.gross_profit, measured.gross_loss) == (Decimal("98.9"), Decimal("-50.95"))
    assert measured.realized == Decimal("47.95") and measured.fees == Decimal("52.05")
    assert measured.win_rate == 0.5
    assert measured.profit_factor == pytest.approx(98.9 / 50.95)


def test_all_that_orders_realize_is_all_that_the_ledger_realizes() -> None:
    fills = [
        *FILLS,
        buy("2", "600", "0.002 BNB", number=5, symbol="BNB/USDT"),  # fee in base
        sell("0.5", "52000", "0.04 BNB", "25", number=6, symbol="BTC/USDT"),  # fee in a third asset: BNB leaves
        sell("0.5", "48000", "24 USDT", number=7, symbol="BTC/USDT"),
        buy("3", "80", "0.24 USDT", number=8),
    ]
    interest = Adjustment("interest", "SOL/USDT", AdjustmentKind.OTHER, Decimal(1), Decimal(85), Decimal("0.01"), at(9))
    lost = Adjustment("lost", "SOL/USDT", AdjustmentKind.OTHER, Decimal(-2), Decimal(-170), Decimal("0.01"), at(10))
    orders, realized = replay_orders(Entries(list(reversed(fills)), [lost, interest]))
    positions = build_ledger(fills, adjustments=[interest, lost]).positions
    for symbol in ("SOL/USDT", "BTC/USDT", "BNB/USDT"):
        amount = sum(one.amount for one in realized if one.symbol == symbol)
        assert amount == sum(one.realized_pnl_quote for one in positions if one.symbol == symbol), symbol
    sale = next(order for order in orders if order.side is Side.SELL and order.symbol == "BTC/USDT")
    assert {one.symbol for one in realized if one.at == sale.at} == {"BTC/USDT", "BNB/USDT"}
    assert Decimal(85) in [one.amount for one in realized]  # interest is profit when it comes


def test_the_fills_of_one_order_are_one_trade_at_their_average_price() -> None:
    sales = in_one_order(sell("1", "110", number=2), sell("1", "120", number=3))
    (bought, sold), _ = replay_orders(Entries([buy("3", "100", number=1), *sales]))
    assert [sold.quantity, sold.price, sold.realized] == [2, 115, 30]
    assert sold.at == at(3)
    assert measure_trades([bought, sold]).trades == 1


def test_a_sale_of_what_was_deposited_is_no_trade_and_one_in_part_is() -> None:
    deposited, _ = replay_orders(Entries([sell("2", "100", number=1)]))
    partly, _ = replay_orders(Entries([buy("1", "90", number=1), sell("2", "100", number=2)]))
    assert [order.realized for order in deposited] == [None]
    assert measure_trades(deposited).win_rate is None
    assert partly[1].realized == 10  # of the one that was bought


def test_without_a_loss_there_is_no_profit_factor() -> None:
    measured = measure_trades(replay_orders(Entries([buy("1", "90", number=1), sell("1", "100", number=2)]))[0])
    assert (measured.profit_factor, measured.win_rate) == (None, 1.0)
    nothing = measure_trades([])
    assert (nothing.profit_factor, nothing.win_rate) == (None, None)
    assert nothing.fees == 0
