"""The ledger by numbers worked out by hand."""

from __future__ import annotations

from decimal import Decimal

from lib.portfolio.fills import BookedFill
from lib.portfolio.ledger import Position, build_ledger
from tests.portfolio.samples import at, buy, sell


def only_position(*fills: BookedFill) -> Position:
    (position,) = build_ledger(fills).positions
    return position


def test_two_buys_average_their_cost() -> None:
    position = only_position(buy("1", "100", number=1), buy("3", "120", number=2))
    assert position.quantity == 4
    assert position.cost_quote == 460  # 100 + 360
    assert position.average_cost == 115
    assert position.opened_at == at(1)
    assert position.opened_by == "SOL/USDT#1"
    assert position.is_open


def test_a_fee_in_quote_is_part_of_the_cost() -> None:
    position = only_position(buy("2", "100", "0.2 USDT", number=1))
    assert (position.quantity, position.cost_quote, position.fees_quote) == (
        Decimal(2),
        Decimal("200.2"),
        Decimal("0.2"),
    )
    assert position.average_cost == Decimal("100.1")


def test_a_fee_in_base_reduces_the_quantity_and_leaves_the_cost() -> None:
    position = only_position(buy("2", "100", "0.002 SOL", number=1))
    assert (position.quantity, position.cost_quote, position.fees_quote) == (
        Decimal("1.998"),
        Decimal(200),
        Decimal("0.2"),
    )


def test_a_fee_in_a_third_asset_adds_its_value_and_is_sold_from_that_assets_position() -> None:
    ledger = build_ledger(
        [
            buy("1", "600", number=1, symbol="BNB/USDT", step="0.001"),
            buy("2", "100", "0.0005 BNB", "0.35", number=2),  # BNB is worth 700 by now
        ]
    )
    bnb, sol = ledger.positions
    assert (sol.quantity, sol.cost_quote, sol.fees_quote) == (Decimal(2), Decimal("200.35"), Decimal("0.35"))
    assert bnb.quantity == Decimal("0.9995")
    assert bnb.cost_quote == Decimal("599.70")  # 600 - 0.0005 x 600
    assert bnb.realized_pnl_quote == Decimal("0.05")  # 0.35 - 0.30
    assert bnb.fees_quote == 0
    assert ledger.unmatched == ()


def test_a_fee_in_an_asset_that_was_deposited_is_unmatched() -> None:
    ledger = build_ledger([buy("2", "100", "0.0005 BNB", "0.35", number=2)])
    (fee,) = ledger.unmatched
    assert (fee.symbol, fee.fill_key, fee.quantity) == ("BNB/USDT", "SOL/USDT#2", Decimal("0.0005"))
    assert fee.proceeds_quote == Decimal("0.35")
    assert [position.symbol for position in ledger.positions] == ["SOL/USDT"]


def test_a_partial_sell_realizes_its_share_and_keeps_the_average_cost() -> None:
    position = only_position(buy("4", "100", "0.4 USDT", number=1), sell("1", "130", "0.13 USDT", number=2))
    # Cost 400.4, of which a quarter (100.1) goes; proceeds 130 - 0.13.
    assert position.realized_pnl_quote == Decimal("29.77")
    assert (position.quantity, position.cost_quote) == (Decimal(3), Decimal("300.3"))
    assert position.average_cost == Decimal("100.1")
    assert position.fees_quote == Decimal("0.53")
    assert position.is_open


def test_selling_out_closes_the_position_and_realizes_the_loss() -> None:
    position = only_position(
        buy("3", "100", "0.3 USDT", number=1), sell("1", "90", number=2), sell("2", "80", "0.16 USDT", number=3)
    )
    assert position.closed_at == at(3)
    assert (position.quantity, position.cost_quote) == (Decimal(0), Decimal(0))
    assert position.realized_pnl_quote == Decimal("-50.46")  # 90 + 160 - 0.16 - 300.3
    assert position.average_cost == Decimal("100.1")


def test_a_third_of_a_cost_is_cut_at_eighteen_decimals_and_nothing_is_lost() -> None:
    first = only_position(buy("3", "33.3333333333", number=1), sell("1", "50", number=2))
    assert first.cost_quote + Decimal("33.333333333300000000") == Decimal("99.9999999999")
    uneven = [buy("0.7", "1", number=1), sell("0.1", "10", number=2)]
    position = only_position(*uneven)
    assert position.cost_quote == Decimal("0.6")
    thirds = only_position(buy("3", "1", "0.0000001 USDT", number=1), sell("1", "1", number=2))
    assert thirds.realized_pnl_quote == Decimal("1") - Decimal("1.000000033333333333")
    assert thirds.cost_quote == Decimal("2.000000066666666667")


def test_selling_a_base_fee_takes_more_out_than_was_sold() -> None:
    position = only_position(
        buy("1", "600", number=1, symbol="BNB/USDT"), sell("0.5", "700", "0.0005 BNB", number=2, symbol="BNB/USDT")
    )
    assert position.quantity == Decimal("0.4995")
    assert position.realized_pnl_quote == Decimal("49.7")  # 350 - 0.5005 x 600
    assert position.fees_quote == Decimal("0.35")


def test_dust_below_the_step_closes_the_position_and_stays_on_it() -> None:
    position = only_position(buy("1", "100", "0.001 SOL", number=1), sell("0.99", "110", number=2))
    assert position.closed_at == at(2)
    assert position.quantity == Decimal("0.009")
    assert position.cost_quote == Decimal("0.900900900900900901")  # 100 - 100 x 0.99 / 0.999
    assert position.realized_pnl_quote == Decimal("108.9") - Decimal("99.099099099099099099")


def test_dust_is_taken_over_by_the_next_position() -> None:
    ledger = build_ledger(
        [
            buy("1", "100", "0.001 SOL", number=1),
            sell("0.99", "110", number=2),
            buy("2", "50", number=3),
        ]
    )
    first, second = ledger.positions
    assert (first.quantity, first.cost_quote, first.closed_at) == (Decimal(0), Decimal(0), at(2))
    assert second.quantity == Decimal("2.009")
    assert second.cost_quote == Decimal("100.900900900900900901")
    assert (second.opened_by, second.opened_at) == ("SOL/USDT#3", at(3))


def test_a_remainder_of_exactly_one_step_stays_open() -> None:
    assert only_position(buy("1", "100", number=1), sell("0.99", "110", number=2)).is_open


def test_a_small_first_buy_is_an_open_position() -> None:
    assert only_position(buy("0.01", "100", "0.00001 SOL", number=1)).is_open


def test_fees_close_the_fee_assets_position_when_less_than_a_step_is_left() -> None:
    bnb, _ = build_ledger(
        [
            buy("0.01", "600", number=1, symbol="BNB/USDT", step="0.001"),
            buy("200", "100", "0.0095 BNB", "5.7", number=2),
        ]
    ).positions
    assert bnb.closed_at == at(2)
    assert bnb.quantity == Decimal("0.0005")


def test_fees_taken_from_dust_are_realized_on_the_closed_position() -> None:
    fills = [
        buy("0.01", "600", number=1, symbol="BNB/USDT", step="0.001"),
        sell("0.0095", "600", number=2, symbol="BNB/USDT", step="0.001"),
        buy("1", "100", "0.0002 BNB", "0.14", number=3),
    ]
    bnb, _ = build_ledger(fills).positions
    assert (bnb.closed_at, bnb.quantity) == (at(2), Decimal("0.0003"))
    assert bnb.realized_pnl_quote == Decimal("0.02")  # 0.14 - 0.0002 x 600


def test_a_sell_beyond_the_known_quantity_is_unmatched_and_never_negative() -> None:
    ledger = build_ledger([buy("1", "100", number=1), sell("4", "120", "0.48 USDT", number=2)])
    (position,) = ledger.positions
    (beyond,) = ledger.unmatched
    assert (position.quantity, position.closed_at) == (Decimal(0), at(2))
    assert position.realized_pnl_quote == Decimal("19.88")  # a quarter of 479.52, minus 100
    assert (beyond.quantity, beyond.proceeds_quote) == (Decimal(3), Decimal("359.64"))
    assert (beyond.symbol, beyond.fill_key, beyond.at) == ("SOL/USDT", "SOL/USDT#2", at(2))


def test_selling_what_was_only_deposited_makes_no_position() -> None:
    ledger = build_ledger([sell("4", "120", number=2)])
    assert ledger.positions == ()
    assert ledger.unmatched[0].proceeds_quote == 480


def test_a_rebate_lowers_the_cost() -> None:
    assert only_position(buy("1", "100", "-0.01 USDT", number=1)).cost_quote == Decimal("99.99")


def test_a_rebate_in_a_third_asset_is_bought_at_its_value() -> None:
    sol, bnb = build_ledger([buy("1", "100", "-0.0001 BNB", "-0.06", number=1)]).positions
    assert sol.cost_quote == Decimal("99.94")
    assert (bnb.symbol, bnb.quantity, bnb.cost_quote) == ("BNB/USDT", Decimal("0.0001"), Decimal("0.06"))


def test_a_fee_whose_value_is_not_known_yet_counts_as_zero() -> None:
    position = only_position(buy("1", "100", "0.0001 BNB", number=1))
    assert (position.cost_quote, position.fees_quote) == (Decimal(100), Decimal(0))


def test_every_digit_of_large_and_small_numbers_is_kept() -> None:
    position = only_position(buy("98765432109.87654321", "12345678.12345678", number=1, symbol="PEPE/USDT"))
    assert position.cost_quote == Decimal("1219326234552658645.8177106022374638")


def test_the_smallest_prices_keep_their_digits() -> None:
    position = only_position(
        buy("123456789012", "0.00000001", number=1, symbol="PEPE/USDT"),
        sell("1", "0.00000002", number=2, symbol="PEPE/USDT"),
    )
    assert position.realized_pnl_quote == Decimal("0.00000001")
